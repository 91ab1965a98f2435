/* `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#define TASKHOST_REDUCE
#include "taskhost.h"

const taskhost_description kernel_description = {
    .summary = "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.",
    .split = "lines",
    .merge = "lines",
};

static int is_prime(uint32_t number) {
    if (number < 2) return 0;
    for (uint32_t divisor = 2; divisor <= number / divisor; divisor++)
        if (number % divisor == 0) return 0;
    return 1;
}

/* Reads a whole number below 2^32 and moves on; false when there is none. */
static int read_number(const uint8_t **at, const uint8_t *end, uint64_t *number) {
    const uint8_t *start;
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r')) ++*at;
    start = *at;
    for (*number = 0; *at < end && **at >= '0' && **at <= '9' && *number <= UINT32_MAX; ++*at)
        *number = *number * 10 + (uint64_t)(**at - '0');
    return *at > start && *number <= UINT32_MAX;
}

static taskhost_bytes decimal(uint64_t number, const char *after) {
    char *text = taskhost_allocate(24);
    snprintf(text, 24, "%" PRIu64 "%s", number, after);
    return taskhost_text(text);
}

taskhost_bytes kernel_process(taskhost_bytes item) {
    const uint8_t *at = item.data, *end = item.data + item.length;
    uint64_t low, high, count = 0, none;
    if (!read_number(&at, end, &low) || !read_number(&at, end, &high) || read_number(&at, end, &none) || at != end)
        return taskhost_invalid_input("expected two whole numbers `lo hi`");
    for (; low < high; low++) count += (uint64_t)is_prime((uint32_t)low);
    return decimal(count, "");
}

taskhost_bytes kernel_combine(const taskhost_bytes *parts, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t part = 0;
        for (size_t j = 0; j < parts[i].length; j++) part = part * 10 + (uint64_t)(parts[i].data[j] - '0');
        sum += part;
    }
    return decimal(sum, "");
}

taskhost_bytes kernel_finish(taskhost_bytes total) {
    total.data = taskhost_grow(total.data, total.length, total.length + 1);
    total.data[total.length++] = '\n';
    return total;
}
