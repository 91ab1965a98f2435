"""Counts the primes below 100,000 with a kernel: primes.py [TASKHOST]"""

import sys

from pool import Pool

with Pool("primes", program=sys.argv[1] if len(sys.argv) > 1 else "taskhost") as pool:
    ranges = [f"{low} {low + 1000}".encode() for low in range(0, 100_000, 1000)]
    print(sum(int(count) for count in pool.map(None, ranges)))
