from componentize_py_types import Err
from wit_world import exports


class Math(exports.Math):
    def is_prime(self, n):
        return n > 1 and all(n % divisor for divisor in range(2, int(n**0.5) + 1))

    def swap(self, pairs):
        if not pairs:
            raise Err("nothing to swap")
        return [(pair.second, pair.first) for pair in pairs]
