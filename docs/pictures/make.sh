#!/usr/bin/env bash
# Makes the pictures in this folder: docs/pictures/make.sh [TASKHOST]
#
# Each is a filter's result, shrunk to 256 pixels; filters.png is all of them beside the original. Needs Python for that.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
taskhost=${1:-taskhost}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
original=$here/../../examples/pictures/astronaut.png

small() { "$taskhost" run -q resize -c width=256 -c height=256 "$@"; }
"$taskhost" run -q sobel "$original" -o "$work/sobel.ppm"
"$taskhost" run -q gaussian-blur -c sigma=6 "$original" -o "$work/gaussian-blur.ppm"
"$taskhost" run -q grayscale "$original" -o "$work/grayscale.pgm"
cp "$original" "$work/resize.png"
for name in sobel.ppm gaussian-blur.ppm grayscale.pgm resize.png; do
    small "$work/$name" -o "$here/${name%.*}.png"
    small "$work/$name" -o "$work/small-${name%.*}.${name##*.}"
done
small "$original" -o "$work/small-resize.ppm"

python3 - "$work" <<'PYTHON'
import sys
from pathlib import Path

folder = Path(sys.argv[1])
def rows(name):
    kind, size, most, samples = (folder / name).read_bytes().split(b"\n", 3)
    if kind == b"P5":
        samples = bytes(sample for sample in samples for _ in range(3))
    return [samples[y * 768 : (y + 1) * 768] for y in range(256)]

names = "small-resize.ppm", "small-gaussian-blur.ppm", "small-grayscale.pgm", "small-sobel.ppm"
gap = b"\xff" * 3 * 8
lines = [gap.join(parts) for parts in zip(*map(rows, names))]
(folder / "filters.ppm").write_bytes(b"P6\n%d 256\n255\n" % (len(lines[0]) // 3) + b"".join(lines))
PYTHON
"$taskhost" run -q resize -c width=1048 -c height=256 "$work/filters.ppm" -o "$here/filters.png"
