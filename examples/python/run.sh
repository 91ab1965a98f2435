#!/usr/bin/env bash
# Counts the primes below 100,000 from Python: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

PYTHONDONTWRITEBYTECODE=1 python3 "$here/primes.py" "$taskhost" >"$out/count.txt"
diff "$here/expected.txt" "$out/count.txt"
cat "$out/count.txt"
