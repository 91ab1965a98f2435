#!/usr/bin/env bash
# Makes a 2000x2000 float64 picture and takes its Sobel gradient: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

seq 0 1999 | "$taskhost" run "$here/noise.wat" -o "$out/image.raw"
"$taskhost" run sobel "$out/image.raw" --size 2000x2000 --sample f64 -o "$out/edges.raw"
(cd "$out" && sha256sum --check "$here/expected.sha256")
