"""What a taskhost kernel in Python is written with. Items and results are bytes.

    import taskhost

    class Mapper:
        def process(self, item: bytes) -> bytes:
            return str(len(item)).encode()

    class Describe(taskhost.describe("Length of each line.", split="lines", merge="lines")):
        pass

A kernel that reduces also has a class Reducer with `combine(self, parts: list[bytes]) -> bytes` and
`finish(self, total: bytes) -> bytes`. Build it for the world that has these classes: map-kernel or reduce-kernel.

A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.
"""

from componentize_py_types import Err
from wit_world.exports import describe as _describe
from wit_world.imports import types as _types


def invalid_input(text: str) -> Err:
    """To be raised: the item is at fault. The text goes to the user as it is: say what is wrong and where."""
    return Err(_types.Error_InvalidInput(text))


def failed(text: str) -> Err:
    """To be raised: the kernel could not do it."""
    return Err(_types.Error_Failed(text))


def temporary(text: str) -> Err:
    """To be raised: something was not ready, try again (--retries)."""
    return Err(_types.Error_Temporary(text))


def setting(name: str, default: str | None, help: str) -> _describe.Setting:
    """A setting that users give as --config name=value; without a default they must."""
    return _describe.Setting(name, default, help)


def describe(summary: str, split: str = "whole", merge: str = "concat", result_length: str | int = "unknown", settings=()):
    """What a kernel says of itself, as a base class. `result_length` is "unknown", "same" or a number of bytes."""
    if isinstance(result_length, int):
        length = _describe.ResultLength_Exactly(result_length)
    else:
        length = {"unknown": _describe.ResultLength_Unknown, "same": _describe.ResultLength_Same}[result_length]()

    class Described:
        def describe(self) -> _describe.Description:
            return _describe.Description(summary, split, merge, length, list(settings))

    return Described
