"""255 minus every byte."""

import taskhost

TABLE = bytes(255 - byte for byte in range(256))


class Describe(taskhost.describe("Inverts every byte: 255 - byte.", split="chunks:256KiB", result_length="same")):
    pass


class Mapper:
    def process(self, item: bytes) -> bytes:
        return item.translate(TABLE)
