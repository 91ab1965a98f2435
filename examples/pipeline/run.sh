#!/usr/bin/env bash
# Validates, transforms and loads the rows of eight CSV files with two runs and a shell pipe: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

"$here/make.sh" "$out/csv"
# Both are at work at the same time. The first ends with 3, since it rejects some rows: they are in rejected.jsonl.
{ "$taskhost" run "$here/validate.wasm" --header "$out/csv" --on-error skip --errors "$out/rejected.jsonl" || [ $? = 3 ]; } |
    "$taskhost" run "$here/transform.wasm" - -o "$out/rows.jsonl"
wc -l <"$out/rejected.jsonl" | tr -d ' ' >"$out/result.txt"
# The load: any program that reads lines. Python has SQLite in its standard library.
python3 "$here/load.py" "$out/rows.db" <"$out/rows.jsonl" >>"$out/result.txt"
diff "$here/expected.txt" "$out/result.txt"
cat "$out/result.txt"
