/* A kernel with lines of its own in its backtraces: it gives up where an item begins with a 7. */
#define EXPORT(name) __attribute__((export_name(name)))

static unsigned char buffer[4096];

EXPORT("taskhost_alloc") unsigned char *take(unsigned length) {
    return length <= sizeof buffer ? buffer : 0;
}

static __attribute__((noinline)) void refuse(int digit) {
    if (digit == 7)
        __builtin_trap();
}

static __attribute__((noinline)) void look(const unsigned char *item, unsigned length) {
    if (length > 0)
        refuse(item[0] - '0');
}

EXPORT("taskhost_process") unsigned long long process(const unsigned char *item, unsigned length) {
    look(item, length);
    return (unsigned long long)(unsigned long)item << 32 | length;
}
