/* `lo hi` on standard input: how many primes lie in [lo, hi). */
#include <inttypes.h>
#include <stdio.h>

static int is_prime(uint32_t number) {
    if (number < 2) return 0;
    for (uint32_t divisor = 2; divisor <= number / divisor; divisor++)
        if (number % divisor == 0) return 0;
    return 1;
}

int main(void) {
    uint32_t low, high, count = 0;
    char more;
    if (scanf("%" SCNu32 " %" SCNu32 " %c", &low, &high, &more) != 2) {
        fprintf(stderr, "expected two whole numbers `lo hi`\n");
        return 1;
    }
    for (; low < high; low++) count += (uint32_t)is_prime(low);
    printf("%" PRIu32, count);
    return 0;
}
