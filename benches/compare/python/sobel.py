"""The horizontal Sobel gradient of float64: sobel.py KIND WORKERS INPUT OUTPUT WIDTH HEIGHT

The picture is cut into strips, each with the rows above and below it, so that the seams are right.
"""

import sys
from array import array

from pools import map_over

WEIGHTS = ((1, 0, -1), (2, 0, -2), (1, 0, -1))


def filter_strip(task):
    rows, width = task
    result = array("d")
    for y in range(1, len(rows) - 1):
        out = array("d", bytes(8 * width))
        for x in range(1, width - 1):
            total = 0.0
            for dy in range(3):
                row = rows[y + dy - 1]
                for dx in range(3):
                    total += WEIGHTS[dy][dx] * row[x + dx - 1]
            out[x] = total
        result.extend(out)
    return result


def main(kind, workers, source, target, width, height):
    workers, width, height = int(workers), int(width), int(height)
    samples = array("d")
    with open(source, "rb") as file:
        samples.fromfile(file, width * height)
    rows = [samples[y * width : (y + 1) * width] for y in range(height)]
    size = -(-(height - 2) // (4 * workers))
    strips = [(rows[y - 1 : min(y + size, height - 1) + 1], width) for y in range(1, height - 1, size)]
    with open(target, "wb") as file:
        file.write(bytes(8 * width))
        for strip in map_over(kind, workers, filter_strip, strips):
            strip.tofile(file)
        file.write(bytes(8 * width))


if __name__ == "__main__":
    main(*sys.argv[1:])
