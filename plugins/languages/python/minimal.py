"""Each item in capitals (ASCII). The smallest kernel: one method, and what it is good for stands on the command line."""


class Mapper:
    def process(self, item: bytes) -> bytes:
        return item.upper()
