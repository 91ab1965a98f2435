"""How many bytes each line has; many lines to one call."""

import taskhost


class Describe(taskhost.describe("Length of each line.", split="lines", merge="lines")):
    pass


class Mapper:
    def process(self, item: bytes) -> bytes:
        if item.startswith(b"#"):
            raise taskhost.invalid_input("a comment has no length")
        return str(len(item)).encode()


class PackedMapper(taskhost.packed(Mapper)):
    pass
