"""The same count with Python's ProcessPoolExecutor: primes.py [END] [STEP] [WORKERS]

Counts the primes below END by trial division, in ranges of STEP numbers, one task each.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from math import isqrt


def is_prime(number):
    if number < 2:
        return False
    for divisor in range(2, isqrt(number) + 1):
        if number % divisor == 0:
            return False
    return True


def count(low, high):
    return sum(is_prime(number) for number in range(low, high))


def main(end=100_000, step=1000, workers=os.cpu_count()):
    lows = range(0, int(end), int(step))
    highs = [min(low + int(step), int(end)) for low in lows]
    with ProcessPoolExecutor(int(workers)) as pool:
        print(sum(pool.map(count, lows, highs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
