"""The same four filters in plain Python, from their definitions: filters.py ASTRONAUT.png FOLDER

It shares no code with taskhost, not even the PNG decoder, and must give the same bytes.
"""

import sys
import zlib
from math import ceil, exp, floor
from pathlib import Path


def read_png(path):
    """Rows of RGB samples of an 8-bit RGB picture that is not interlaced."""
    data, at, packed = Path(path).read_bytes(), 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = (int.from_bytes(body[i : i + 4], "big") for i in (0, 4))
            assert body[8:] == bytes([8, 2, 0, 0, 0]), "not 8-bit RGB"
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    raw, size, rows, above = zlib.decompress(packed), 3 * width, [], bytes(3 * width)
    for y in range(height):
        line = raw[y * (size + 1) : (y + 1) * (size + 1)]
        kind, row = line[0], bytearray(line[1:])
        for i in range(size):
            left, up, corner = (row[i - 3] if i > 2 else 0), above[i], (above[i - 3] if i > 2 else 0)
            guess = left + up - corner
            distances = abs(guess - left), abs(guess - up), abs(guess - corner)
            paeth = (left, up, corner)[distances.index(min(distances))]
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        rows.append(row)
        above = row
    return rows


def half_up(value):
    return max(0, min(255, floor(value + 0.5)))


def sobel(rows):
    """Correlation with [[1, 0, -1], [2, 0, -2], [1, 0, -1]]; the absolute value; zero on the border."""
    height, size = len(rows), len(rows[0])
    result = [bytearray(size) for _ in rows]
    for y in range(1, height - 1):
        above, here, below = rows[y - 1 : y + 2]
        for i in range(3, size - 3):
            a, b = i - 3, i + 3
            total = above[a] - above[b] + 2 * (here[a] - here[b]) + below[a] - below[b]
            result[y][i] = min(255, abs(total))
    return result


def gaussian_blur(rows, sigma=2.0):
    """Rows first, then columns; edge pixels repeated; rounded once at the end."""
    radius = ceil(3 * sigma)
    weights = [exp(-(x * x) / (2 * sigma * sigma)) for x in range(-radius, radius + 1)]
    total = sum(weights)
    weights = [weight / total for weight in weights]
    across = []
    for row in rows:
        wide = row[:3] * radius + row + row[-3:] * radius
        across.append([sum(w * wide[i + 3 * k] for k, w in enumerate(weights)) for i in range(len(row))])
    tall = across[:1] * radius + across + across[-1:] * radius
    columns = (zip(*tall[y : y + len(weights)]) for y in range(len(rows)))
    return [bytes(half_up(sum(w * v for w, v in zip(weights, near))) for near in column) for column in columns]


def grayscale(rows):
    return [bytes(half_up(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in zip(*[iter(row)] * 3)) for row in rows]


def halve(rows):
    """To half the width and height: the average of four pixels."""
    pairs = zip(rows[::2], rows[1::2])
    places = [i for i in range(len(rows[0])) if i % 6 < 3]
    return [bytes(half_up((a[i] + a[i + 3] + b[i] + b[i + 3]) / 4) for i in places) for a, b in pairs]


def write(path, kind, channels, rows):
    header = f"{kind}\n{len(rows[0]) // channels} {len(rows)}\n255\n"
    path.write_bytes(header.encode() + b"".join(rows))


def main(source, folder):
    rows, folder = read_png(source), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "edges.ppm", "P6", 3, sobel(rows))
    write(folder / "blurred.ppm", "P6", 3, gaussian_blur(rows))
    write(folder / "grey.pgm", "P5", 1, grayscale(rows))
    write(folder / "small.ppm", "P6", 3, halve(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
