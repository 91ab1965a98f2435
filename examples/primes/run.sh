#!/usr/bin/env bash
# Counts the primes below 100,000: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

# A line `lo hi` for each thousand numbers.
seq 0 1000 99000 | while read -r low; do echo "$low $((low + 1000))"; done >"$out/ranges.txt"
"$taskhost" run primes "$out/ranges.txt" --merge reduce -o "$out/count.txt"
diff "$here/expected.txt" "$out/count.txt"
cat "$out/count.txt"
