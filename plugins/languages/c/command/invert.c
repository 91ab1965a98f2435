/* 255 minus every byte of standard input, to standard output. */
#include <stdio.h>

int main(void) {
    static unsigned char bytes[65536];
    size_t length;
    while ((length = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(255 - bytes[i]);
        if (fwrite(bytes, 1, length, stdout) != length) return 1;
    }
    return ferror(stdin) || fflush(stdout) != 0;
}
