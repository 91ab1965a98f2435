"""The same filter with Python's ProcessPoolExecutor: sobel.py IMAGE.raw OUTPUT.raw [WORKERS] [WIDTH] [HEIGHT]

The picture is cut into horizontal strips, one task each. A strip takes the rows above and below it along, so that the
seams are right. Every strip is pickled to a worker and its result is pickled back.
"""

import os
import sys
from array import array
from concurrent.futures import ProcessPoolExecutor

WEIGHTS = ((1, 0, -1), (2, 0, -2), (1, 0, -1))


def filter_strip(task):
    """The own rows of a strip: all of its rows but the first and the last."""
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


def main(source, target, workers=os.cpu_count(), width=2000, height=2000):
    workers, width, height = int(workers), int(width), int(height)
    samples = array("d")
    with open(source, "rb") as file:
        samples.fromfile(file, width * height)
    rows = [samples[y * width : (y + 1) * width] for y in range(height)]

    size = -(-(height - 2) // (4 * workers))
    strips = [(rows[y - 1 : min(y + size, height - 1) + 1], width) for y in range(1, height - 1, size)]
    with ProcessPoolExecutor(workers) as pool, open(target, "wb") as file:
        border = bytes(8 * width)
        file.write(border)
        for strip in pool.map(filter_strip, strips):
            strip.tofile(file)
        file.write(border)


if __name__ == "__main__":
    main(*sys.argv[1:])
