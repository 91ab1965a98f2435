#!/usr/bin/env bash
# Gets what the tests of engines need on Debian and Ubuntu, as root: the scheduler's daemons and commands. None of them is
# started; tests/engines/cluster.sh does that, in a folder.
set -euo pipefail

if command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null; then
    slurmctld -V
    exit
fi
apt-get update -qq
# The packages would start them.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client iproute2
slurmctld -V
