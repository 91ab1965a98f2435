"""Submits an item and waits for it, again and again: submit.py KIND COUNT"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
from time import perf_counter


def same(item):
    return item


def main(kind, count):
    if kind == "executor":
        pool = ProcessPoolExecutor(2)
        run = lambda item: pool.submit(same, item).result()  # noqa: E731
    else:
        pool = Pool(2)
        run = lambda item: pool.apply_async(same, (item,)).get()  # noqa: E731
    took = []
    for number in range(int(count)):
        began = perf_counter()
        assert run(number) == number
        took.append(perf_counter() - began)
    took.sort()
    print(f"median_us {took[len(took) // 2] * 1e6:.2f}")
    if kind == "executor":
        pool.shutdown()
    else:
        pool.close()
        pool.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
