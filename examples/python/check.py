"""Tries pool.py: check.py TASKHOST FOLDER, where FOLDER has a component `library.wasm`, if there is one to be called."""

import asyncio
import os
import pickle
import sys
from concurrent.futures import BrokenExecutor, as_completed

from pool import ItemError, Pool


def text(low, high):
    return f"{low} {high}".encode()


def failure(future, kind):
    error = future.exception()
    assert isinstance(error, kind), error
    return error


def kernel_of_bytes(program):
    with Pool("primes", "-j", "2", program=program) as pool:
        lows = range(0, 100_000, 1000)
        counts = [int(count) for count in pool.map(None, [text(low, low + 1000) for low in lows])]
        assert (len(counts), counts[0], sum(counts)) == (100, 168, 9592), counts
        # One bad item is one exception, in its place.
        futures = [pool.submit(None, text(9, 3) if n == 5 else text(0, n)) for n in range(10)]
        record = failure(futures[5], ItemError).record
        assert (record["item"], record["blame"]) == (105, "item"), record
        # It can be told on another machine.
        there = pickle.loads(pickle.dumps(futures[5].exception()))
        assert there.record == record and str(there) == record["message"], there
        assert [int(future.result()) for future in futures if future is not futures[5]] == [0, 0, 0, 1, 2, 3, 3, 4, 4]
        assert sum(int(future.result()) for future in as_completed(futures[:5])) == 3

    async def ask():
        with Pool("primes", "-j", "1", program=program) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, None, text(2, 100))

    assert asyncio.run(ask()) == b"25"


def shutdown(program):
    pool = Pool("primes", "-j", "1", program=program)
    futures = [pool.submit(None, text(0, 20_000)) for _ in range(50)]
    pool.shutdown()
    assert all(future.result() == b"2262" for future in futures)
    try:
        pool.submit(None, b"0 1")
    except RuntimeError:
        pass
    else:
        raise AssertionError("it was shut down")
    # What was cancelled is not told any more.
    pool = Pool("primes", "-j", "1", program=program)
    futures = [pool.submit(None, text(0, 1_000_000)) for _ in range(20)]
    pool.shutdown(cancel_futures=True)
    assert any(future.cancelled() for future in futures)
    # A kernel that is none breaks the pool, and nobody waits for ever.
    pool = Pool("no such kernel", program=program)
    try:
        failure(pool.submit(None, b""), BrokenExecutor)
    except BrokenExecutor:
        pass
    pool.shutdown()


def functions(program, library):
    with Pool(library, "-j", "1", program=program) as pool:
        assert list(pool.map("divide", [7, 9, 8], [2, 3, 2])) == [3, 3, 4]
        assert pool.submit("is-prime", 1_000_003).result() is True
        assert failure(pool.submit("divide", "seven", 2), ItemError).record["blame"] == "item"


if __name__ == "__main__":
    taskhost, folder = sys.argv[1:]
    kernel_of_bytes(taskhost)
    shutdown(taskhost)
    library = os.path.join(folder, "library.wasm")
    if os.path.exists(library):
        functions(taskhost, library)
    print("as it should be")
