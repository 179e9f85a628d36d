#!/usr/bin/env bash
# Pre-training on GPU nodes under SLURM, one process a GPU:
#
#     sbatch launch/slurm.sh --config configs/public.py --data data --workdir work/public
#     sbatch --nodes=4 --partition=gpu launch/slurm.sh ...       options of sbatch come first
#     bash launch/slurm.sh --dry-run --config ...                print what would run
#
# --data and --workdir must lie where all nodes see them. Before the time limit, and when another
# job takes the nodes, SLURM sends SIGTERM to the tasks: they save the step under way and end with
# status 143, which puts the job back into the queue. Any other failure ends the job.
#
#SBATCH --job-name=imujax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@120

# --signal without B: goes to the tasks, not to this script. One task a GPU, each of which sees all
# GPUs of its node: jax gives task I of a node its GPU I (so no --gpus-per-task, no --gpu-bind).
set -uo pipefail

if [ "${1:-}" = --dry-run ]; then
  shift
  printf '%q ' srun --kill-on-bad-exit=1 imujax pretrain "$@"
  echo
  echo 'scontrol requeue "$SLURM_JOB_ID"  # where srun ends with status 143'
  exit 0
fi

trap : TERM # this shell outlives its tasks, to read their status
srun --kill-on-bad-exit=1 imujax pretrain "$@"
status=$?
if [ "$status" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
