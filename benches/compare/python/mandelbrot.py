"""Rows of the Mandelbrot set: mandelbrot.py KIND WORKERS OUTPUT WIDTH HEIGHT ITERATIONS"""

import sys
from array import array
from functools import partial

from pools import map_over


def row(size, y):
    width, height, iterations = size
    im = -1.0 + 2.0 * (y + 0.5) / height
    out = array("H")
    for x in range(width):
        re = -2.5 + 3.5 * (x + 0.5) / width
        zr = zi = 0.0
        done = 0
        while done < iterations and zr * zr + zi * zi <= 4.0:
            zr, zi = zr * zr - zi * zi + re, 2.0 * zr * zi + im
            done += 1
        out.append(done)
    return out


def main(kind, workers, target, width, height, iterations):
    size = int(width), int(height), int(iterations)
    chunk = max(1, size[1] // (16 * int(workers)))
    with open(target, "wb") as file:
        for made in map_over(kind, int(workers), partial(row, size), range(size[1]), chunk):
            made.tofile(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
