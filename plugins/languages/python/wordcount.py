"""How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text."""

from collections import Counter

import taskhost


class Describe(
    taskhost.describe("Counts words; lines `word<TAB>count`, sorted by bytes.", split="blocks:1MiB", merge="reduce")
):
    pass


def written(counts: Counter) -> bytes:
    return b"".join(b"%s\t%d\n" % entry for entry in sorted(counts.items()))


class Mapper:
    def process(self, item: bytes) -> bytes:
        return written(Counter(item.split()))


class Reducer:
    def combine(self, parts: list[bytes]) -> bytes:
        counts: Counter = Counter()
        for part in parts:
            for line in part.split(b"\n")[:-1]:
                word, count = line.split(b"\t")
                counts[word] += int(count)
        return written(counts)

    def finish(self, total: bytes) -> bytes:
        return total
