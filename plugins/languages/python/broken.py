"""Gives up at the item `boom`: to see what its user is told."""

import taskhost


class Describe(taskhost.describe("Gives up at `boom`.", split="lines", merge="lines")):
    pass


class Mapper:
    def process(self, item: bytes) -> bytes:
        if item == b"boom":
            raise ValueError("the item went boom")
        return item
