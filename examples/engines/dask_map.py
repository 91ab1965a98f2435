"""The lines of a file through a kernel, on the workers of a Dask cluster: see README.md."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from dask import delayed
from dask.bytes import read_bytes
from dask.distributed import Client

POOL = Path(__file__).parent.parent / "python" / "pool.py"


def through(block, kernel, program):
    """The result of each line of a block, in order; of one that failed, what went wrong (docs/errors.md)."""
    from pool import ItemError, Pool  # Sent to the workers by upload_file.

    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()  # Nothing follows the last line end.
    with Pool(kernel, "--workers", "1", program=program) as pool:
        replies = [pool.submit(None, line) for line in lines]
    failed = lambda reply: isinstance(reply.exception(), ItemError)
    # Whatever else went wrong, a program that was killed, say, is for Dask to try again.
    return [reply.exception().record if failed(reply) else reply.result() for reply in replies]


def main(arguments):
    where = {"address": arguments.scheduler} if arguments.scheduler else {
        "n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with Client(**where) as client, open(arguments.output, "wb") as output:
        client.upload_file(str(POOL))
        _, (blocks,) = read_bytes(arguments.input, delimiter=b"\n", blocksize=arguments.block, sample=False)
        tasks = [delayed(through)(block, arguments.kernel, arguments.taskhost) for block in blocks]
        line, failed = 0, 0
        for block in client.compute(tasks, retries=3):
            for result in block.result():
                line += 1
                if isinstance(result, dict):
                    failed += 1
                    place = {"source": arguments.input, "item": line - 1, "line": line}
                    print(json.dumps(result | place), file=sys.stderr)
                else:
                    output.write(result + b"\n")
    return 3 if failed else 0


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("kernel")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--scheduler", help="tcp://HOST:PORT; without it, two workers here")
    parser.add_argument("--taskhost", default="taskhost", help="where it is on all machines")
    parser.add_argument("--block", default="16MiB", help="input of one task")
    sys.exit(main(parser.parse_args()))
