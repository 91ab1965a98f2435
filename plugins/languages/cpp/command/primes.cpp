// `lo hi` on standard input: how many primes lie in [lo, hi).
#include <cstdint>
#include <iostream>

static bool is_prime(std::uint32_t number) {
    if (number < 2) return false;
    for (std::uint32_t divisor = 2; divisor <= number / divisor; ++divisor)
        if (number % divisor == 0) return false;
    return true;
}

int main() {
    std::uint32_t low, high, count = 0;
    if (!(std::cin >> low >> high) || !(std::cin >> std::ws).eof()) {
        std::cerr << "expected two whole numbers `lo hi`\n";
        return 1;
    }
    for (; low < high; ++low) count += is_prime(low);
    std::cout << count;
}
