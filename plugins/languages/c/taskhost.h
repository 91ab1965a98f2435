/* taskhost.h: what a taskhost kernel in C (or C++, see taskhost.hpp) is written with. One file, nothing to link.
 *
 *     #include "taskhost.h"
 *
 *     const taskhost_description kernel_description = {
 *         .summary = "255 minus every byte.", .split = "chunks:256KiB", .merge = "concat", .result_length = taskhost_same,
 *     };
 *
 *     taskhost_bytes kernel_process(taskhost_bytes item) {
 *         for (size_t i = 0; i < item.length; i++) item.data[i] = (uint8_t)(255 - item.data[i]);
 *         return item;
 *     }
 *
 * Before the #include, what the kernel has besides:
 *
 *     TASKHOST_REDUCE     kernel_combine and kernel_finish
 *     TASKHOST_START      kernel_start
 *     TASKHOST_FLAT       kernel_process_flat instead of kernel_process (components)
 *     TASKHOST_IMAGE      kernel_prepare and kernel_filter instead of kernel_process (components)
 *     TASKHOST_MINIMAL    no kernel_description
 *
 * With -DTASKHOST_COMPONENT the same source becomes a component, without it a raw module (docs/abi.md). Include it in one
 * file of a kernel.
 *
 * A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once. */
#ifndef TASKHOST_H
#define TASKHOST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes, or an error: what is made by one of the functions of errors below. */
typedef struct {
    uint8_t *data;
    size_t length;
} taskhost_bytes;

/* ---- What a kernel defines ---------------------------------------------------------------------------------------- */

enum { taskhost_unknown = 0, taskhost_same = -1 };

typedef struct {
    const char *name;
    const char *fallback; /* What taskhost_setting gives when the user gives nothing; NULL when the user must give it. */
    const char *help;
} taskhost_setting_description;

typedef struct {
    const char *summary; /* One line. */
    const char *split;   /* As in --split: whole, lines, blocks:1MiB, records:16, chunks:64KiB. */
    const char *merge;   /* As in --merge: concat, lines, reduce. */
    int32_t result_length; /* taskhost_unknown, taskhost_same, or this many bytes. */
    const taskhost_setting_description *settings; /* Ends with one that has no name. May be NULL. */
} taskhost_description;

extern const taskhost_description kernel_description;

/* Makes the result of one item. The item may be changed and given back. */
taskhost_bytes kernel_process(taskhost_bytes item);

/* With TASKHOST_REDUCE. Joins consecutive partial results; no parts give the result of nothing. Must be associative. */
taskhost_bytes kernel_combine(const taskhost_bytes *parts, size_t count);
taskhost_bytes kernel_finish(taskhost_bytes total);

/* With TASKHOST_START. Called once for each fresh instance; taskhost_ok(), or an error that ends the run. */
taskhost_bytes kernel_start(void);

/* With TASKHOST_FLAT. None, one or many results, each given to taskhost_push; then taskhost_ok(), or an error. */
typedef struct {
    taskhost_bytes *results;
    size_t count, room;
} taskhost_results;

taskhost_bytes kernel_process_flat(taskhost_bytes item, taskhost_results *results);

/* With TASKHOST_IMAGE. */
enum {
    taskhost_unsigned8,
    taskhost_unsigned16,
    taskhost_signed16,
    taskhost_unsigned32,
    taskhost_signed32,
    taskhost_float32,
    taskhost_float64,
};

typedef struct {
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; other numbers for raw data. */
    uint8_t sample;    /* One of the names above. */
} taskhost_format;

#define TASKHOST_WHOLE UINT32_MAX

typedef struct {
    uint32_t halo;          /* Rows above and below that each strip needs; TASKHOST_WHOLE for the picture uncut. */
    taskhost_format output; /* With strips as high as the input. */
} taskhost_plan;

typedef struct {
    taskhost_format image; /* Of the whole picture. */
    uint32_t first_row;    /* Row of the picture at which the tile's own rows begin. */
    uint32_t rows;         /* Own rows: those to be returned. */
    uint32_t above, below; /* Context rows that are there; fewer than the halo at the picture's edges. */
    uint8_t *samples;      /* above + rows + below rows, without padding. */
    size_t length;
} taskhost_tile;

/* What becomes of pictures of a format. The plan comes filled in: strips without halo, the input's format. */
taskhost_bytes kernel_prepare(taskhost_format input, taskhost_plan *plan);

/* The own rows (or the whole picture) in the planned format. */
taskhost_bytes kernel_filter(const taskhost_tile *tile);

/* ---- What a kernel may use ---------------------------------------------------------------------------------------- */

/* Memory until the end of this call, then all of it is free again: there is no free. It is not cleared. Never NULL. */
static inline void *taskhost_allocate(size_t size);

/* Makes an allocation larger; what it held is kept. Cheap when it is the latest one. */
static inline void *taskhost_grow(void *old, size_t old_size, size_t new_size);

/* Errors; the text goes to the user as it is: say what is wrong and where. */
static inline taskhost_bytes taskhost_invalid_input(const char *text); /* The item is at fault. */
static inline taskhost_bytes taskhost_failed(const char *text);        /* The kernel could not do it. */
static inline taskhost_bytes taskhost_temporary(const char *text);     /* Not ready: try again (--retries). */
static inline int taskhost_is_error(taskhost_bytes bytes);

/* A result of a text that ends with NUL. */
static inline taskhost_bytes taskhost_text(const char *text);

/* What is no error and has no bytes. */
static inline taskhost_bytes taskhost_ok(void);

/* Adds a result. Its bytes have to stay until the end of the call. */
static inline void taskhost_push(taskhost_results *results, taskhost_bytes result);

/* Bytes of one row of pictures of a format. */
static inline size_t taskhost_row_bytes(taskhost_format format);

/* Row `row` of the picture, which the tile must have; rows beyond the picture are its outermost ones. */
static inline uint8_t *taskhost_row(const taskhost_tile *tile, int64_t row);

/* The value of a setting, with a NUL behind it; NULL when it is not set. */
static inline const char *taskhost_setting(const char *name);

enum { taskhost_debug, taskhost_info, taskhost_warn, taskhost_error_level };

/* A message for the user. */
static inline void taskhost_log(int level, const char *text);

/* Adds to a count that is summed over all items and shown at the end. */
static inline void taskhost_count(const char *name, uint64_t amount);

/* Place of the item in the run, and offset of its first byte in its input. */
static inline uint64_t taskhost_position(void);
static inline uint64_t taskhost_offset(void);

/* What the user gave with --broadcast name=path: how long it is (UINT64_MAX when there is nothing), and some of it, fewer
 * than `length` bytes only at its end. */
static inline uint64_t taskhost_broadcast_size(const char *name);
static inline taskhost_bytes taskhost_broadcast(const char *name, uint64_t offset, uint32_t length);

/* ---- How it is done: nothing below is for kernels ----------------------------------------------------------------- */

#define TASKHOST__EXPORT(name) __attribute__((export_name(name), used))
#define TASKHOST__IMPORT(from, name) __attribute__((import_module(from), import_name(name)))

/* The arena: pages of its own, so that it lives beside any malloc. Twice as large whenever it is too small. */
static uintptr_t taskhost__start, taskhost__top, taskhost__end;

static inline uintptr_t taskhost__aligned(uintptr_t at) { return (at + 15) & ~(uintptr_t)15; }

static inline void *taskhost__take(size_t size) {
    if (size == 0) return (void *)16; /* A place like any other: nothing is ever read from it. */
    if (size > taskhost__end - taskhost__top) {
        size_t wanted = taskhost__end - taskhost__start > size ? taskhost__end - taskhost__start : size;
        size_t pages = (wanted >> 16) + 1;
        size_t old = __builtin_wasm_memory_grow(0, pages);
        if (old == (size_t)-1 && (old = __builtin_wasm_memory_grow(0, pages = (size >> 16) + 1)) == (size_t)-1) return NULL;
        if (old << 16 != taskhost__end || taskhost__start == 0) taskhost__start = taskhost__top = old << 16;
        taskhost__end = (old + pages) << 16;
        /* The very last page of 4 GiB would end at 0. */
        if (taskhost__end < taskhost__start) taskhost__end = (uintptr_t)-16;
        if (size > taskhost__end - taskhost__top) return NULL;
    }
    void *place = (void *)taskhost__top;
    uintptr_t next = taskhost__aligned(taskhost__top + size);
    taskhost__top = next > taskhost__end || next < taskhost__top ? taskhost__end : next;
    return place;
}

static inline void taskhost__free_all(void) { taskhost__top = taskhost__start; }

static inline void *taskhost_allocate(size_t size) {
    void *place = taskhost__take(size);
    if (!place) __builtin_trap(); /* The host knows that memory was refused, and says so. */
    return place;
}

static inline void *taskhost_grow(void *old, size_t old_size, size_t new_size) {
    if (old && new_size <= old_size) return old;
    if (old && taskhost__aligned((uintptr_t)old + old_size) == taskhost__top && new_size <= taskhost__end - (uintptr_t)old) {
        taskhost__top = (uintptr_t)old;
        return taskhost__take(new_size);
    }
    void *place = taskhost_allocate(new_size);
    if (old && old_size) memcpy(place, old, old_size);
    return place;
}

/* An error is a place that nothing can be at, with its kind as its length; its text lies here. */
#define TASKHOST__ERROR ((uint8_t *)(uintptr_t)-1)
static const char *taskhost__reason;

static inline taskhost_bytes taskhost__error(size_t kind, const char *text) {
    taskhost_bytes error = {TASKHOST__ERROR, kind};
    taskhost__reason = text;
    return error;
}

static inline taskhost_bytes taskhost_invalid_input(const char *text) { return taskhost__error(0, text); }
static inline taskhost_bytes taskhost_failed(const char *text) { return taskhost__error(1, text); }
static inline taskhost_bytes taskhost_temporary(const char *text) { return taskhost__error(2, text); }
static inline int taskhost_is_error(taskhost_bytes bytes) { return bytes.data == TASKHOST__ERROR; }

static inline taskhost_bytes taskhost_text(const char *text) {
    taskhost_bytes bytes = {(uint8_t *)text, strlen(text)};
    return bytes;
}

static inline taskhost_bytes taskhost_ok(void) {
    taskhost_bytes nothing = {NULL, 0};
    return nothing;
}

static inline void taskhost_push(taskhost_results *results, taskhost_bytes result) {
    if (results->count == results->room) {
        size_t room = results->room ? 2 * results->room : 64, size = sizeof result;
        results->results = (taskhost_bytes *)taskhost_grow(results->results, results->room * size, room * size);
        results->room = room;
    }
    results->results[results->count++] = result;
}

static inline size_t taskhost_row_bytes(taskhost_format format) {
    static const uint8_t sizes[] = {1, 2, 2, 4, 4, 4, 8};
    return (size_t)format.width * format.channels * sizes[format.sample];
}

static inline uint8_t *taskhost_row(const taskhost_tile *tile, int64_t row) {
    int64_t first = (int64_t)tile->first_row - tile->above, last = (int64_t)tile->image.height - 1;
    row = row < 0 ? 0 : row > last ? last : row;
    return tile->samples + (size_t)(row - first) * taskhost_row_bytes(tile->image);
}

#if defined(TASKHOST_COMPONENT)
#include "taskhost_component.h"
#elif defined(TASKHOST_FLAT) || defined(TASKHOST_IMAGE)
#error "a raw module gives one result for each item: build with -DTASKHOST_COMPONENT"
#else

/* ---- Raw module: docs/abi.md -------------------------------------------------------------------------------------- */

TASKHOST__IMPORT("taskhost", "config_get")
extern uint32_t taskhost__config_get(const char *name, size_t name_length, char *into, size_t room);
TASKHOST__IMPORT("taskhost", "log") extern void taskhost__log(int level, const char *text, size_t length);
TASKHOST__IMPORT("taskhost", "counter_add")
extern void taskhost__counter_add(const char *name, size_t length, uint64_t amount);
TASKHOST__IMPORT("taskhost", "item_position") extern uint64_t taskhost__item_position(void);
TASKHOST__IMPORT("taskhost", "item_offset") extern uint64_t taskhost__item_offset(void);
TASKHOST__IMPORT("taskhost", "broadcast_size")
extern uint64_t taskhost__broadcast_size(const char *name, size_t length);
TASKHOST__IMPORT("taskhost", "broadcast_read")
extern uint32_t taskhost__broadcast_read(const char *name, size_t length, uint64_t offset, void *into, uint32_t room);

static inline const char *taskhost_setting(const char *name) {
    uint32_t length = taskhost__config_get(name, strlen(name), NULL, 0);
    if (length == UINT32_MAX) return NULL;
    char *value = (char *)taskhost_allocate(length + 1);
    taskhost__config_get(name, strlen(name), value, length);
    value[length] = 0;
    return value;
}

static inline void taskhost_log(int level, const char *text) { taskhost__log(level, text, strlen(text)); }
static inline void taskhost_count(const char *name, uint64_t amount) { taskhost__counter_add(name, strlen(name), amount); }
static inline uint64_t taskhost_position(void) { return taskhost__item_position(); }
static inline uint64_t taskhost_offset(void) { return taskhost__item_offset(); }

static inline uint64_t taskhost_broadcast_size(const char *name) { return taskhost__broadcast_size(name, strlen(name)); }

static inline taskhost_bytes taskhost_broadcast(const char *name, uint64_t offset, uint32_t length) {
    taskhost_bytes bytes = {(uint8_t *)taskhost_allocate(length), 0};
    uint32_t got = taskhost__broadcast_read(name, strlen(name), offset, bytes.data, length);
    if (got == UINT32_MAX) return taskhost_failed("there is no broadcast data of that name");
    bytes.length = got;
    return bytes;
}

static inline uint64_t taskhost__place(taskhost_bytes bytes) {
    if (taskhost_is_error(bytes)) return (uint64_t)-1 - bytes.length;
    return (uint64_t)(uintptr_t)bytes.data << 32 | bytes.length;
}

TASKHOST__EXPORT("taskhost_alloc") void *taskhost__raw_alloc(size_t length) {
    taskhost__free_all();
    return taskhost__take(length);
}

TASKHOST__EXPORT("taskhost_process") uint64_t taskhost__raw_process(uint8_t *data, size_t length) {
    taskhost_bytes item = {data, length};
    return taskhost__place(kernel_process(item));
}

TASKHOST__EXPORT("taskhost_error") uint64_t taskhost__raw_error(void) {
    return taskhost__place(taskhost_text(taskhost__reason ? taskhost__reason : ""));
}

/* Lines `key=value`. A text of the kernel ends at its first newline. */
static inline void taskhost__line(taskhost_bytes *text, const char *key, const char *value) {
    size_t key_length = strlen(key), value_length = value ? strcspn(value, "\n") : 0;
    if (!value) return;
    size_t longer = text->length + key_length + value_length + 2;
    text->data = (uint8_t *)taskhost_grow(text->data, text->length, longer);
    memcpy(text->data + text->length, key, key_length);
    text->data[text->length + key_length] = '=';
    memcpy(text->data + text->length + key_length + 1, value, value_length);
    text->data[longer - 1] = '\n';
    text->length = longer;
}

#ifndef TASKHOST_MINIMAL
TASKHOST__EXPORT("taskhost_describe") uint64_t taskhost__raw_describe(void) {
    const taskhost_description *it = &kernel_description;
    taskhost_bytes text = {NULL, 0};
    char digits[11], *length = digits + sizeof digits - 1;
    *length = 0;
    uint32_t left = it->result_length > 0 ? (uint32_t)it->result_length : 0;
    do *--length = (char)('0' + left % 10); while (left /= 10);
    taskhost__free_all();
    taskhost__line(&text, "summary", it->summary);
    taskhost__line(&text, "split", it->split);
    taskhost__line(&text, "merge", it->merge);
    if (it->result_length) taskhost__line(&text, "result-length", it->result_length == taskhost_same ? "same" : length);
    for (const taskhost_setting_description *one = it->settings; one && one->name; one++) {
        taskhost__line(&text, "setting", one->name);
        taskhost__line(&text, "default", one->fallback);
        taskhost__line(&text, "help", one->help);
    }
    return taskhost__place(text);
}
#endif

#ifdef TASKHOST_START
TASKHOST__EXPORT("taskhost_start") uint64_t taskhost__raw_start(void) {
    taskhost__free_all();
    return taskhost__place(kernel_start());
}
#endif

#ifdef TASKHOST_REDUCE
TASKHOST__EXPORT("taskhost_combine") uint64_t taskhost__raw_combine(uint8_t *data, size_t length) {
    (void)length; /* The host counts rightly. */
    uint32_t count, size;
    memcpy(&count, data, 4);
    taskhost_bytes *parts = (taskhost_bytes *)taskhost_allocate(count * sizeof *parts);
    uint8_t *part = data + 4 + 4 * (size_t)count;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&size, data + 4 + 4 * (size_t)i, 4);
        parts[i].data = part;
        parts[i].length = size;
        part += size;
    }
    return taskhost__place(kernel_combine(parts, count));
}

TASKHOST__EXPORT("taskhost_finish") uint64_t taskhost__raw_finish(uint8_t *data, size_t length) {
    taskhost_bytes total = {data, length};
    return taskhost__place(kernel_finish(total));
}
#endif
#endif

#ifdef __cplusplus
}
#endif
#endif
