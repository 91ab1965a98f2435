"""An executor of concurrent.futures whose workers run WebAssembly: see README.md."""

import json
import struct
import subprocess
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future
from threading import Lock, Thread


class ItemError(Exception):
    """An item failed. `record` says at what, and who is to blame (docs/errors.md)."""

    def __init__(self, record):
        super().__init__(record)  # All that pickle gives it on another machine.
        self.record = record

    def __str__(self):
        return self.record["message"]


class Pool(Executor):
    """`submit(None, item)` has a kernel process bytes, `submit("name", 1, 2)` calls a function of a component."""

    def __init__(self, kernel, *flags, program="taskhost"):
        self._command = [program, "stdio", kernel, *flags, "--quiet"]
        self._filters, self._lock = {}, Lock()  # A process for each function; what is written to it stays whole.

    def submit(self, function, /, *arguments):
        item = arguments[0] if function is None else json.dumps(arguments).encode()
        future = Future()
        with self._lock:
            if self._filters is None:
                raise RuntimeError("the pool was shut down")
            process, waiting = self._filters.get(function) or self._start(function)
            waiting.append(future)
            try:
                process.stdin.write(struct.pack("<I", len(item)) + item)
                process.stdin.flush()
            except OSError as error:
                raise BrokenExecutor(f"taskhost ended with {process.wait()}") from error
        return future

    def _start(self, function):
        call = [] if function is None else ["--invoke", function]
        process = subprocess.Popen(self._command + call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        filter = self._filters[function] = process, deque()
        Thread(target=_answer, args=(*filter, bytes if function is None else json.loads), daemon=True).start()
        return filter

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self._lock:
            filters, self._filters = self._filters or {}, None
        for process, waiting in filters.values():
            cancel_futures and [future.cancel() for future in list(waiting)]
            process.stdin.close()  # It answers what it was given, and ends.
        wait and [process.wait() for process, _ in filters.values()]


def _answer(process, waiting, read):
    """Gives each future its reply. Replies come in the order of the items."""
    while len(head := process.stdout.read(5)) == 5:
        has_failed, length = struct.unpack("<BI", head)
        reply, future = process.stdout.read(length), waiting.popleft()
        if future.set_running_or_notify_cancel():
            future.set_exception(ItemError(json.loads(reply))) if has_failed else future.set_result(read(reply))
    code = process.wait()
    while waiting:
        future = waiting.popleft()
        future.set_running_or_notify_cancel() and future.set_exception(BrokenExecutor(f"taskhost ended with {code}"))
