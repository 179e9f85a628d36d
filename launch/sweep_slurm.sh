#!/usr/bin/env bash
# A sweep shared out over a SLURM array, one GPU for each share:
#
#     sbatch --array=1-16 launch/sweep_slurm.sh 16 --config configs/public.py --data data --workdir work
#     bash launch/sweep_slurm.sh --dry-run 16 --config ...       print what would run
#
# The first word is the number of shares; a share is the task of the array of that number, so that
# `--array=3` does again what has failed. The encoders must be there: `imujax pretrain` comes first
# (slurm.sh). --data and --workdir must lie where all nodes see them. Whichever share comes last
# writes the tables; a share that was killed, or whose node was lost, goes on where it stood.
#
#SBATCH --job-name=imujax-sweep
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=4:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

set -euo pipefail

run=(exec)
if [ "${1:-}" = --dry-run ]; then
  shift
  run=(printf '%q ')
fi
shares=${1:?the number of shares comes first}
shift
"${run[@]}" imujax sweep --share "$shares" "$@"
