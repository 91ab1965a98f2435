"""The words of each line, each a result of its own: none, one or many for an item."""

import taskhost


class Describe(taskhost.describe("The words of each line.", split="lines", merge="lines")):
    pass


class FlatMapper:
    def process(self, item: bytes) -> list[bytes]:
        if 0 in item:
            raise taskhost.invalid_input("a NUL byte is in no word")
        return item.split()
