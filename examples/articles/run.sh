#!/usr/bin/env bash
# What tutorials on Python's multiprocessing compute, as commands: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

# Primes below 100,000, in two halves.
printf '2 50000\n50000 100000\n' | "$taskhost" run primes --merge reduce -o "$out/primes.txt"

# The squares below 10,000,000, four times over.
printf '%s\n' 10000000 10000000 10000000 10000000 |
    "$taskhost" run "$here/squares.wasm" -o "$out/cpu-task.txt"

# The first ten primes from a billion on. Whoever has read enough ends the pipe, and with it what writes into it (141).
until_nobody_reads() { "$@" || [ $? = 141 ]; }
until_nobody_reads awk 'BEGIN { for (n = 1000000000; ; n++) printf "%d %d\n", n, n + 1 }' |
    until_nobody_reads "$taskhost" run primes --quiet - |
    awk '$1 { printf "%d\n", 1000000000 + NR - 1; if (++found == 10) exit }' >"$out/endless.txt"

# 100,000 rows of 16 float64 that all workers share. Items are the numbers of rows.
seq 0 1999 | "$taskhost" run "$here/../sobel/noise.wat" -o "$out/noise.raw"
head -c $((100000 * 16 * 8)) "$out/noise.raw" >"$out/array.raw"
seq 0 99999 | "$taskhost" run "$here/row-sum.wasm" --broadcast "array=$out/array.raw" -o "$out/sums.txt"
(cd "$out" && sha256sum --check "$here/sums.sha256")

for name in primes cpu-task endless; do
    diff "$here/$name.txt" "$out/$name.txt"
done
