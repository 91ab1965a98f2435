"""The Gaussian blur with sigma 2 of float64: blur.py KIND WORKERS INPUT OUTPUT WIDTH HEIGHT"""

import math
import sys
from array import array

from pools import map_over

SIGMA = 2.0
RADIUS = math.ceil(3 * SIGMA)


def weights():
    values = [math.exp(-(x * x) / (2.0 * SIGMA * SIGMA)) for x in range(-RADIUS, RADIUS + 1)]
    total = 0.0
    for value in values:
        total += value
    return [value / total for value in values]


def across(row, kernel):
    padded = [row[0]] * RADIUS + list(row) + [row[-1]] * RADIUS
    out = array("d")
    for x in range(len(row)):
        total = 0.0
        for offset, weight in enumerate(kernel):
            total += weight * padded[x + offset]
        out.append(total)
    return out


def filter_strip(task):
    """Rows `first` to `last` of those that are given."""
    rows, first, last, top, height = task
    kernel = weights()
    blurred = [across(row, kernel) for row in rows]
    result = array("d")
    for y in range(first, last):
        near = [blurred[min(max(y + dy, 0), height - 1) - top] for dy in range(-RADIUS, RADIUS + 1)]
        for x in range(len(rows[0])):
            total = 0.0
            for row, weight in zip(near, kernel):
                total += weight * row[x]
            result.append(total)
    return result


def main(kind, workers, source, target, width, height):
    workers, width, height = int(workers), int(width), int(height)
    samples = array("d")
    with open(source, "rb") as file:
        samples.fromfile(file, width * height)
    rows = [samples[y * width : (y + 1) * width] for y in range(height)]
    size = -(-height // (4 * workers))
    strips = []
    for first in range(0, height, size):
        last = min(first + size, height)
        top, bottom = max(first - RADIUS, 0), min(last + RADIUS, height)
        strips.append((rows[top:bottom], first, last, top, height))
    with open(target, "wb") as file:
        for strip in map_over(kind, workers, filter_strip, strips):
            strip.tofile(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
