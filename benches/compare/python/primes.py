"""Counts primes by trial division: primes.py KIND WORKERS RANGES OUTPUT"""

import sys
from math import isqrt

from pools import map_over


def is_prime(number):
    if number < 2:
        return False
    for divisor in range(2, isqrt(number) + 1):
        if number % divisor == 0:
            return False
    return True


def count(line):
    low, high = line.split()
    return sum(is_prime(number) for number in range(int(low), int(high)))


def main(kind, workers, source, target):
    with open(source) as file:
        lines = file.read().splitlines()
    chunk = max(1, len(lines) // (4 * int(workers)))
    total = sum(map_over(kind, int(workers), count, lines, chunk))
    with open(target, "w") as file:
        file.write(f"{total}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
