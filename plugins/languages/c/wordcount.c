/* How often each word occurs: lines `word<TAB>count`, sorted by bytes. A partial result is the same text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#define TASKHOST_REDUCE
#include "taskhost.h"

const taskhost_description kernel_description = {
    .summary = "Counts words; lines `word<TAB>count`, sorted by bytes.",
    .split = "blocks:1MiB",
    .merge = "reduce",
};

typedef struct {
    const uint8_t *text;
    size_t length;
    uint64_t count;
} word;

typedef struct {
    word *words;
    size_t length, room;
} list;

static void add(list *list, word added) {
    if (list->length == list->room) {
        size_t room = list->room ? 2 * list->room : 4096;
        list->words = taskhost_grow(list->words, list->room * sizeof(word), room * sizeof(word));
        list->room = room;
    }
    list->words[list->length++] = added;
}

static int by_bytes(const void *left, const void *right) {
    const word *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* Sorts the words, adds up equal ones, and writes a line for each. */
static taskhost_bytes written(list list) {
    size_t size = 0, kept = 0;
    qsort(list.words, list.length, sizeof(word), by_bytes);
    for (size_t i = 0; i < list.length; i++) {
        if (kept && by_bytes(&list.words[kept - 1], &list.words[i]) == 0) {
            list.words[kept - 1].count += list.words[i].count;
        } else {
            size += list.words[i].length + 22; /* tab, 20 digits, newline */
            list.words[kept++] = list.words[i];
        }
    }
    taskhost_bytes text = {taskhost_allocate(size + 1), 0};
    for (size_t i = 0; i < kept; i++) {
        memcpy(text.data + text.length, list.words[i].text, list.words[i].length);
        text.length += list.words[i].length;
        text.length += (size_t)snprintf((char *)text.data + text.length, 23, "\t%" PRIu64 "\n", list.words[i].count);
    }
    return text;
}

static int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

taskhost_bytes kernel_process(taskhost_bytes item) {
    list list = {NULL, 0, 0};
    for (size_t at = 0; at < item.length;) {
        size_t start = at;
        while (at < item.length && !is_space(item.data[at])) at++;
        if (at > start) add(&list, (word){item.data + start, at - start, 1});
        else at++;
    }
    return written(list);
}

taskhost_bytes kernel_combine(const taskhost_bytes *parts, size_t count) {
    list list = {NULL, 0, 0};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = parts[i].data, *end = at + parts[i].length;
        while (at < end) {
            const uint8_t *tab = memchr(at, '\t', (size_t)(end - at));
            word read = {at, (size_t)(tab - at), 0};
            for (at = tab + 1; *at != '\n'; at++) read.count = read.count * 10 + (uint64_t)(*at - '0');
            add(&list, read);
            at++;
        }
    }
    return written(list);
}

taskhost_bytes kernel_finish(taskhost_bytes total) { return total; }
