#!/usr/bin/env bash
# Pre-training on a TPU VM slice: asks for a queued resource, waits for it, runs on all workers, and
# asks again when the slice is taken away.
#
#     NAME=imujax ZONE=us-east5-b TYPE=v6e-16 bash launch/tpu_vm.sh \
#         --config public --data /mnt/imujax/data --workdir /mnt/imujax/runs/public
#     ... bash launch/tpu_vm.sh --dry-run --config ...             print what would run
#
# --data and --workdir must lie where all workers see them (Filestore, or a bucket that SETUP mounts).
#   SETUP    run on every worker before each start, e.g. 'pip install -q imujax "jax[tpu]"'
#   VERSION  software of the VMs
#   POLL     seconds between two looks
# Status 143 of the command means "run me again": the slice is looked at, and the command run again
# on it or on the next one. When the command has ended otherwise, the slice is deleted.
set -uo pipefail

if [ "${1:-}" = --dry-run ]; then
  dry=1
  shift
else
  dry=
fi
name=${NAME:?the name of the queued resource} zone=${ZONE:?the zone} type=${TYPE:?e.g. v6e-16}
tpus=(gcloud compute tpus)
command="${SETUP:-true} && imujax pretrain$(printf ' %q' "$@")"

run() {
  if [ -n "$dry" ]; then printf '%q ' "$@"; echo; else "$@"; fi
}
create() {
  run "${tpus[@]}" queued-resources create "$name" --node-id="$name" --zone="$zone" \
    --accelerator-type="$type" --runtime-version="${VERSION:-v2-alpha-tpuv6e}" --spot
}
state() {
  "${tpus[@]}" queued-resources describe "$name" --zone="$zone" --format='value(state.state)'
}
work() {
  run "${tpus[@]}" tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$command"
}
delete() {
  run "${tpus[@]}" queued-resources delete "$name" --zone="$zone" --force --quiet
}

if [ -n "$dry" ]; then
  create
  run "${tpus[@]}" queued-resources describe "$name" --zone="$zone" --format='value(state.state)'
  work
  delete
  exit 0
fi

lost=0
while true; do
  case "$(state 2>/dev/null)" in
    ACTIVE)
      work
      status=$?
      # 255: the connection was lost, as when the slice is taken away under it.
      if [ "$status" -eq 255 ] && [ "$lost" -lt 10 ]; then
        lost=$((lost + 1))
      elif [ "$status" -ne 143 ]; then
        delete
        exit "$status"
      fi
      ;;
    FAILED | SUSPENDING | SUSPENDED)
      delete
      ;;
    "")
      create || exit
      ;;
  esac
  sleep "${POLL:-30}"
done
