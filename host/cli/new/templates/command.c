/* Standard input backwards, to standard output: one item to a run. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    size_t length = 0, room = 65536;
    unsigned char *bytes = malloc(room);
    while (bytes) {
        length += fread(bytes + length, 1, room - length, stdin);
        if (length < room) break;
        bytes = realloc(bytes, room *= 2);
    }
    if (!bytes || ferror(stdin)) {
        fputs("there is no memory for the item\n", stderr);
        return 1;
    }
    while (length > 0) putchar(bytes[--length]);
    return fflush(stdout) != 0;
}
