"""Each record of SIZE bytes as it is: records.py KIND WORKERS INPUT OUTPUT SIZE CHUNK"""

import sys

from pools import map_over


def same(item):
    return item


def main(kind, workers, source, target, size, chunk):
    size = int(size)
    with open(source, "rb") as file:
        data = file.read()
    items = (data[at : at + size] for at in range(0, len(data), size))
    with open(target, "wb") as file:
        for item in map_over(kind, int(workers), same, items, int(chunk)):
            file.write(item)


if __name__ == "__main__":
    main(*sys.argv[1:])
