"""The same job with Python's ProcessPoolExecutor: rows_and_sum.py WORKERS FILE.csv…

One task for each file. Prints the number of rows and the sum of value² + (0 + 1 + … + 99) over all rows.
"""

import csv
import sys
from concurrent.futures import ProcessPoolExecutor


def total(path):
    rows, result = 0, 0.0
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            result += float(row["value"]) ** 2 + sum(range(100))
    return rows, result


def main(workers, *paths):
    rows, result = 0, 0.0
    with ProcessPoolExecutor(int(workers)) as pool:
        for some_rows, part in pool.map(total, paths):
            rows += some_rows
            result += part
    print(f"{rows}\t{result}")


if __name__ == "__main__":
    main(*sys.argv[1:])
