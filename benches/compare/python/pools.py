"""The ways to map over processes that Python has: executor, pool, joblib."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool


def map_over(kind, workers, function, items, chunk=1):
    """Results in the order of the items."""
    if kind == "executor":
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(function, items, chunksize=chunk)
    elif kind == "pool":
        with Pool(workers) as pool:
            yield from pool.imap(function, items, chunksize=chunk)
    elif kind == "joblib":
        from joblib import Parallel, delayed

        yield from Parallel(n_jobs=workers, batch_size=chunk)(delayed(function)(item) for item in items)
    else:
        raise SystemExit(f"no such way: {kind}")
