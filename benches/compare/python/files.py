"""Inverts every file of a folder: files.py KIND WORKERS FOLDER OUTPUT"""

import os
import sys
from functools import partial

from pools import map_over

TABLE = bytes(255 - byte for byte in range(256))


def invert(source, target, name):
    with open(os.path.join(source, name), "rb") as file:
        data = file.read().translate(TABLE)
    with open(os.path.join(target, name), "wb") as file:
        file.write(data)


def main(kind, workers, source, target):
    os.makedirs(target, exist_ok=True)
    names = os.listdir(source)
    chunk = max(1, len(names) // (4 * int(workers)))
    for _ in map_over(kind, int(workers), partial(invert, source, target), names, chunk):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
