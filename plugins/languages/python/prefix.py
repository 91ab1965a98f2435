"""A setting in front of each line; it is looked at once, before the first item."""

import taskhost
from wit_world.imports import config


class Describe(
    taskhost.describe(
        "Puts a text in front of each line.",
        split="lines",
        merge="lines",
        settings=[taskhost.setting("with", "> ", "What to put in front of each line.")],
    )
):
    pass


prefix = b""


class Lifecycle:
    def start(self) -> None:
        global prefix
        prefix = (config.get("with") or "").encode()
        if not 1 <= len(prefix) <= 63:
            raise taskhost.failed("`with` must have 1 to 63 bytes")


class Mapper:
    def process(self, item: bytes) -> bytes:
        return prefix + item
