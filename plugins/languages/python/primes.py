"""`lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point."""

import taskhost


class Describe(
    taskhost.describe(
        "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.", split="lines", merge="lines"
    )
):
    pass


def is_prime(number: int) -> bool:
    if number < 2:
        return False
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True


class Mapper:
    def process(self, item: bytes) -> bytes:
        try:
            low, high = map(int, item.split())
        except ValueError:
            raise taskhost.invalid_input("expected two whole numbers `lo hi`")
        return str(sum(map(is_prime, range(low, high)))).encode()


class Reducer:
    def combine(self, parts: list[bytes]) -> bytes:
        return str(sum(map(int, parts))).encode()

    def finish(self, total: bytes) -> bytes:
        return total + b"\n"
