"""Each line backwards."""

import taskhost


class Describe(taskhost.describe("Each line backwards, byte by byte.", "lines", "lines", "same")):
    pass


class Mapper:
    def process(self, line: bytes) -> bytes:
        return line[::-1]
