#!/usr/bin/env bash
# Rows and a sum over one column of eight CSV files: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

"$here/make.sh" "$out/csv"
"$taskhost" run csv-stats --header "$out/csv" -o "$out/total.tsv"
diff "$here/expected.tsv" "$out/total.tsv"
cat "$out/total.tsv"
