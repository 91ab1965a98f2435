#!/usr/bin/env bash
# Measures what docs/engines.md extrapolates from, on this machine and a throw-away cluster on it, and prints a table:
# tests/engines/measure.sh TASKHOST FOLDER
#
# FOLDER is made, gets some 4 GB, and is removed. Of what is done several times, the shortest is told: the machine may have
# other work. Needs what cluster.sh needs, and strace.
set -euo pipefail
taskhost=$(realpath "${1:?the program}")
cluster=$(realpath "$(dirname "$0")/cluster.sh")
mkdir "${2:?a folder that is not there}"
cd "$2"
here=$PWD
export XDG_CACHE_HOME=$here/cache XDG_RUNTIME_DIR=$here/runtime
mkdir cache runtime

finish() {
    cd /
    "$cluster" down "$here/slurm" 2>/dev/null || true
    rm -rf "$here"
}
trap finish EXIT

# seconds COMMAND…: how long it takes; what it says is kept in `said`, and how it ends does not matter.
seconds() {
    local began=$EPOCHREALTIME
    "$@" >said 2>&1 || true
    awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

# shortest TIMES COMMAND…
shortest() {
    local times=$1
    shift
    for _ in $(seq "$times"); do seconds "$@"; done | sort -g | head -n 1
}

# cpu COMMAND…: seconds of CPU time, of the user and of the system.
cpu() {
    local TIMEFORMAT='%U %S'
    { time "$@" >said 2>&1; } 2>&1 | awk '{ printf "%.2f\n", $1 + $2 }'
}

# shards PLAN: the numbers of its shards. Where a cut would fall into the same item as another, there is one fewer.
shards() { seq 0 $(($(grep -c '"work"' "$1") - 1)); }

calculate() { awk "BEGIN { printf \"$1\n\", $2 }"; }
row() { printf '| %s | `%s` | %s |\n' "$@"; }

echo '| what | command | measured |'
echo '| --- | --- | --- |'

# Inputs of a plan.
mkdir many
seq 50000 | (cd many && split --lines=1 --suffix-length=5 - '')
time=$(shortest 3 "$taskhost" plan echo --split whole many -o many.plan --shards 1000 -q)
bytes=$(($(stat --format=%s many.plan) / 50000))
row 'planning 50,000 inputs, 1000 shards' 'plan echo --split whole many --shards 1000' "$time s, $bytes bytes of plan an input"
time=$(shortest 3 "$taskhost" shard run --plan many.plan --index 0)
row 'a shard of that plan: 50 inputs' 'shard run' "$time s"

# Shards that have hardly anything to do.
seq 2000000 >lines
"$taskhost" plan grep -c pattern=77 lines -o small.plan --shards 1000 -q
time=$(for index in $(seq 0 19); do seconds "$taskhost" shard run --plan small.plan --index "$index"; done | sort -g | head -n 1)
row 'a shard of 2000 lines, from its start to its end' 'shard run' "$time s"
rest=$(shards small.plan | tail -n +21)
count=$(wc -l <<<"$rest")
all=$(seconds xargs -P "$(nproc)" -I '{}' "$taskhost" shard run --plan small.plan --index '{}' <<<"$rest")
row "$count of them, $(nproc) at a time" 'shard run' "$all s, $(calculate %.0f "$count / $all") parts a second"

# What a shard asks of the storage that it shares with others.
rm small.plan.parts/000005.*
strace -f -y -o trace "$taskhost" shard run --plan small.plan --index 5 2>/dev/null
of() { grep -E "(^| )$1\(" trace | grep -F "$here/" | grep -vE "$here/(cache|runtime)" | grep -vc ENOENT || true; }
opens=$(of 'open(at|at2)?') syncs=$(of 'f(data)?sync') lists=$(of getdents64) renames=$(of 'rename(at|at2)?')
row 'what it asks of shared storage, beside 999 parts' 'strace -f' \
    "$opens files and folders opened, $lists times a piece of a folder listed, $renames renamed, $syncs synced"

# Looking through them, and joining them.
last=$(ls small.plan.parts/*.part | tail -n 1)
mv "$last" kept
time=$(shortest 5 "$taskhost" merge --plan small.plan -o out -q)
row 'looking whether 1000 parts are there' 'merge, one is missing' "$time s, $(calculate %.2f "$time") ms a part"
mv kept "$last"
time=$(shortest 5 "$taskhost" merge --plan small.plan -o out -q)
row 'joining them' 'merge' "$time s"

# Large parts.
head -c 1G /dev/urandom >big
"$taskhost" plan echo --split chunks:4MiB --merge concat big -o big.plan --shards 8 -q
for index in $(seq 0 7); do "$taskhost" shard run --plan big.plan --index "$index" 2>/dev/null; done
time=$(shortest 3 "$taskhost" merge --plan big.plan -o out -q)
cmp big out
work=$(cpu "$taskhost" merge --plan big.plan -o out -q)
row 'joining 1 GiB from 8 parts, compared with their digests' 'merge' \
    "$time s, $(calculate %.0f "1024 / $time") MiB a second; $work s of CPU time"
began=$(shortest 1 dd if=big of=copy bs=1M conv=fsync)
row 'for comparison: copying 1 GiB on this disk' 'dd conv=fsync' "$began s"

# Reductions.
mkdir words
seq 1500000 | awk '{ print "w" $1 % 5000 }' | (cd words && split --lines=5000 --suffix-length=3 - '')
"$taskhost" plan wordcount --split whole words -o words.plan --shards 300 -q
shards words.plan | xargs -P "$(nproc)" -I '{}' "$taskhost" shard run --plan words.plan --index '{}' 2>/dev/null
time=$(shortest 3 "$taskhost" merge --plan words.plan -o out -q)
size=$(cat words.plan.parts/*.part | wc -c)
count=$(shards words.plan | wc -l)
row "joining a reduction of $count parts, 5000 words" 'merge' "$time s, $((size / count)) bytes a part"

# The scheduler.
"$cluster" up "$here/slurm"
export SLURM_CONF=$here/slurm/slurm.conf
printf '#!/bin/sh\nexec true\n' >nothing.sh
time=$(shortest 10 sbatch --parsable --hold --array=0-999 -o /dev/null nothing.sh)
row 'handing in an array of 1000' 'sbatch --hold --array=0-999' "$time s"
scancel --user="$(id -un)"
time=$(seconds sbatch --wait --array=0-99 -o /dev/null nothing.sh)
row '100 elements that do nothing, on two nodes of one core' 'sbatch --wait --array=0-99' "$(calculate %.2f "$time / 100") s each"
time=$(seconds "$taskhost" run grep -c pattern=77 lines -o out --engine slurm --shards 100 -q)
row '100 shards of 20,000 lines, and their merge' 'run --engine slurm --shards 100' "$time s, $(calculate %.2f "$time / 100") s each"
time=$(shortest 3 "$taskhost" run grep -c pattern=77 lines -o out --engine slurm --shards 4 -q)
row '4 shards and a merge, from the command to the result' 'run --engine slurm --shards 4' "$time s"
