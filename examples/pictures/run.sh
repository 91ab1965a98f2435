#!/usr/bin/env bash
# Filters a photograph in four ways: run.sh [TASKHOST [FOLDER]]
# Writes into FOLDER (default: out) and ends with 0 when the results are the expected ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
out=${2:-out}
mkdir -p "$out"

picture=$here/astronaut.png
"$taskhost" run sobel "$picture" -o "$out/edges.ppm"
"$taskhost" run gaussian-blur "$picture" -o "$out/blurred.ppm"
"$taskhost" run grayscale "$picture" -o "$out/grey.pgm"
"$taskhost" run resize -c width=256 -c height=256 "$picture" -o "$out/small.ppm"
(cd "$out" && sha256sum --check "$here/expected.sha256")
