"""What a taskhost kernel in Python is written with. Items and results are bytes.

    import taskhost

    class Mapper:
        def process(self, item: bytes) -> bytes:
            return str(len(item)).encode()

    class Describe(taskhost.describe("Length of each line.", split="lines", merge="lines")):
        pass

A kernel has a class for each interface that its world exports: Mapper, FlatMapper, PackedMapper, Reducer, ImageFilter,
Describe, Lifecycle, with the methods of wit/kernel.wit. What the host offers is imported from wit_world.imports: config, item,
log, broadcast, counter.

A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.
"""

from itertools import accumulate

from componentize_py_types import Err
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


def setting(name: str, default: str | None, help: str):
    """A setting that users give as --config name=value; without a default they must."""
    from wit_world.exports import describe as _describe

    return _describe.Setting(name, default, help)


def describe(summary: str, split: str = "whole", merge: str = "concat", result_length: str | int = "unknown", settings=()):
    """What a kernel says of itself, as a base class. `result_length` is "unknown", "same" or a number of bytes."""
    # Not every world has it.
    from wit_world.exports import describe as _describe

    if isinstance(result_length, int):
        length = _describe.ResultLength_Exactly(result_length)
    else:
        length = {"unknown": _describe.ResultLength_Unknown, "same": _describe.ResultLength_Same}[result_length]()

    class Described:
        def describe(self) -> _describe.Description:
            return _describe.Description(summary, split, merge, length, list(settings))

    return Described


def packed(mapper):
    """Many small items in one call, over a class Mapper or FlatMapper; for a world that exports packed-mapper:

    class PackedMapper(taskhost.packed(Mapper)):
        pass
    """
    from wit_world.exports import packed_mapper

    class Packed:
        def process(self, items: packed_mapper.Packed) -> packed_mapper.PackedResults:
            one, pieces, counts, failures, start = mapper(), [], [], [], 0
            for position, end in enumerate(items.ends):
                try:
                    results = one.process(items.bytes[start:end])
                    results = results if isinstance(results, list) else [results]
                except Err as error:
                    results = []
                    failures.append((position, error.value))
                pieces += results
                counts.append(len(results))
                start = end
            ends = list(accumulate(map(len, pieces)))
            return packed_mapper.PackedResults(packed_mapper.Packed(b"".join(pieces), ends), counts, failures)

    return Packed


SAMPLE_BYTES = {"UNSIGNED8": 1, "UNSIGNED16": 2, "SIGNED16": 2, "UNSIGNED32": 4, "SIGNED32": 4, "FLOAT32": 4, "FLOAT64": 8}


def row_bytes(format) -> int:
    """Bytes of one row of pictures of a format."""
    return format.width * format.channels * SAMPLE_BYTES[format.sample.name]


def row(tile, row: int) -> bytes:
    """Row `row` of a tile's picture; rows beyond the picture are its outermost ones."""
    length = row_bytes(tile.image)
    at = (min(max(row, 0), tile.image.height - 1) - (tile.first_row - tile.above)) * length
    return tile.samples[at : at + length]
