/* taskhost_component.h: the exports and imports of a component, by the canonical ABI; included by taskhost.h. */
#ifndef TASKHOST_COMPONENT_H
#define TASKHOST_COMPONENT_H

/* The sections that say which interfaces of taskhost:kernel these are. Generated from wit/kernel.wit. */
#include "taskhost_types.h"

#define TASKHOST__KERNEL(interface) "taskhost:kernel/" interface "@" TASKHOST_KERNEL_VERSION

typedef struct {
    uint8_t *data;
    size_t length;
} taskhost__list;

typedef struct {
    uint8_t is_some;
    taskhost__list value;
} taskhost__option;

typedef struct {
    uint64_t position;
    taskhost__list source;
    uint64_t offset;
} taskhost__origin;

TASKHOST__IMPORT(TASKHOST__KERNEL("config"), "get")
extern void taskhost__config_get(const char *name, size_t length, taskhost__option *into);
TASKHOST__IMPORT(TASKHOST__KERNEL("log"), "log")
extern void taskhost__log(int level, const char *text, size_t length);
TASKHOST__IMPORT(TASKHOST__KERNEL("counter"), "add")
extern void taskhost__counter_add(const char *name, size_t length, uint64_t amount);
TASKHOST__IMPORT(TASKHOST__KERNEL("item"), "current") extern void taskhost__item_current(taskhost__origin *into);

typedef struct {
    uint8_t is_some;
    uint64_t value;
} taskhost__size;

typedef struct {
    uint8_t is_error;
    taskhost__list value;
} taskhost__slice;

TASKHOST__IMPORT(TASKHOST__KERNEL("broadcast"), "size")
extern void taskhost__broadcast_size(const char *name, size_t length, taskhost__size *into);
TASKHOST__IMPORT(TASKHOST__KERNEL("broadcast"), "read")
extern void taskhost__broadcast_read(const char *name, size_t length, uint64_t offset, uint32_t room, taskhost__slice *into);

static inline const char *taskhost_setting(const char *name) {
    taskhost__option value;
    taskhost__config_get(name, strlen(name), &value);
    if (!value.is_some) return NULL;
    char *text = (char *)taskhost_allocate(value.value.length + 1);
    memcpy(text, value.value.data, value.value.length);
    text[value.value.length] = 0;
    return text;
}

static inline void taskhost_log(int level, const char *text) { taskhost__log(level, text, strlen(text)); }
static inline void taskhost_count(const char *name, uint64_t amount) { taskhost__counter_add(name, strlen(name), amount); }

static inline uint64_t taskhost_position(void) {
    taskhost__origin origin;
    taskhost__item_current(&origin);
    return origin.position;
}

static inline uint64_t taskhost_offset(void) {
    taskhost__origin origin;
    taskhost__item_current(&origin);
    return origin.offset;
}

static inline uint64_t taskhost_broadcast_size(const char *name) {
    taskhost__size size;
    taskhost__broadcast_size(name, strlen(name), &size);
    return size.is_some ? size.value : UINT64_MAX;
}

static inline taskhost_bytes taskhost_broadcast(const char *name, uint64_t offset, uint32_t length) {
    taskhost__slice slice;
    taskhost__broadcast_read(name, strlen(name), offset, length, &slice);
    if (slice.is_error) return taskhost_failed("there is no broadcast data of that name");
    taskhost_bytes bytes = {slice.value.data, slice.value.length};
    return bytes;
}

/* The host asks for a place for every list and text that it hands over; they end with the call. */
TASKHOST__EXPORT("cabi_realloc") void *taskhost__realloc(void *old, size_t old_size, size_t alignment, size_t size) {
    if (size == 0) return (void *)alignment;
    return taskhost_grow(old, old ? old_size : 0, size);
}

/* result<list<u8>, error>, and with the same places result<_, error> */
typedef struct {
    uint8_t kind;
    taskhost__list text;
} taskhost__failure;

typedef struct {
    uint8_t is_error;
    union {
        taskhost__list ok;
        taskhost__failure error;
    } value;
} taskhost__result;

static inline taskhost__list taskhost__string(const char *text) {
    taskhost__list list = {(uint8_t *)(text ? text : ""), text ? strlen(text) : 0};
    return list;
}

static inline taskhost__failure taskhost__failure_of(taskhost_bytes error) {
    taskhost__failure failure = {(uint8_t)error.length, taskhost__string(taskhost__reason)};
    return failure;
}

static taskhost__result *taskhost__answer(taskhost_bytes bytes) {
    static taskhost__result result;
    result.is_error = (uint8_t)taskhost_is_error(bytes);
    if (result.is_error) {
        result.value.error = taskhost__failure_of(bytes);
    } else {
        result.value.ok.data = bytes.data;
        result.value.ok.length = bytes.length;
    }
    return &result;
}

/* What the host calls when it has read a result. */
#define TASKHOST__AFTER(interface, function) TASKHOST__AFTER_OF(interface, function, function)
#define TASKHOST__AFTER_OF(interface, function, name)                                   \
    TASKHOST__EXPORT("cabi_post_" TASKHOST__KERNEL(interface) "#" #function)            \
    void taskhost__after_##name(void *result) {                                         \
        (void)result;                                                                   \
        taskhost__free_all();                                                           \
    }

TASKHOST__TYPES_OF_HOST

#if defined(TASKHOST_IMAGE)
#include "taskhost_image.h"
#else

#ifdef TASKHOST_FLAT
TASKHOST__TYPES_OF_FLAT_MAPPER
TASKHOST__EXPORT(TASKHOST__KERNEL("flat-mapper") "#process")
taskhost__result *taskhost__process(uint8_t *data, size_t length) {
    taskhost_bytes item = {data, length};
    taskhost_results results = {NULL, 0, 0};
    taskhost_bytes answer = kernel_process_flat(item, &results);
    if (!taskhost_is_error(answer)) {
        answer.data = (uint8_t *)results.results;
        answer.length = results.count;
    }
    return taskhost__answer(answer);
}
TASKHOST__AFTER("flat-mapper", process)
#else
TASKHOST__TYPES_OF_MAPPER
TASKHOST__EXPORT(TASKHOST__KERNEL("mapper") "#process")
taskhost__result *taskhost__process(uint8_t *data, size_t length) {
    taskhost_bytes item = {data, length};
    return taskhost__answer(kernel_process(item));
}
TASKHOST__AFTER("mapper", process)
#endif

#ifndef TASKHOST_MINIMAL
#include "taskhost_packed.h"
#endif
#endif

#ifndef TASKHOST_MINIMAL
typedef struct {
    taskhost__list name;
    taskhost__option fallback;
    taskhost__list help;
} taskhost__setting;

typedef struct {
    taskhost__list summary, split, merge;
    uint8_t length_kind;
    uint32_t length;
    taskhost__setting *settings;
    size_t setting_count;
} taskhost__described;

TASKHOST__TYPES_OF_DESCRIBE
TASKHOST__EXPORT(TASKHOST__KERNEL("describe") "#describe") taskhost__described *taskhost__describe(void) {
    static taskhost__described it;
    const taskhost_setting_description *settings = kernel_description.settings;
    it.summary = taskhost__string(kernel_description.summary);
    it.split = taskhost__string(kernel_description.split);
    it.merge = taskhost__string(kernel_description.merge);
    it.length_kind = kernel_description.result_length == taskhost_unknown ? 0 : kernel_description.result_length > 0 ? 2 : 1;
    it.length = (uint32_t)kernel_description.result_length;
    it.setting_count = 0;
    while (settings && settings[it.setting_count].name) it.setting_count++;
    it.settings = (taskhost__setting *)taskhost_allocate(it.setting_count * sizeof *it.settings);
    for (size_t i = 0; i < it.setting_count; i++) {
        it.settings[i].name = taskhost__string(settings[i].name);
        it.settings[i].fallback.is_some = settings[i].fallback != NULL;
        it.settings[i].fallback.value = taskhost__string(settings[i].fallback);
        it.settings[i].help = taskhost__string(settings[i].help);
    }
    return &it;
}
TASKHOST__AFTER("describe", describe)
#endif

#ifdef TASKHOST_START
TASKHOST__TYPES_OF_LIFECYCLE
TASKHOST__EXPORT(TASKHOST__KERNEL("lifecycle") "#start") taskhost__result *taskhost__start_kernel(void) {
    return taskhost__answer(kernel_start());
}
TASKHOST__AFTER("lifecycle", start)
#endif

#ifdef TASKHOST_REDUCE
TASKHOST__TYPES_OF_REDUCER
TASKHOST__EXPORT(TASKHOST__KERNEL("reducer") "#combine")
taskhost__result *taskhost__combine(taskhost_bytes *parts, size_t count) {
    return taskhost__answer(kernel_combine(parts, count));
}
TASKHOST__AFTER("reducer", combine)

TASKHOST__EXPORT(TASKHOST__KERNEL("reducer") "#finish") taskhost__result *taskhost__finish(uint8_t *data, size_t length) {
    taskhost_bytes total = {data, length};
    return taskhost__answer(kernel_finish(total));
}
TASKHOST__AFTER("reducer", finish)
#endif
#endif
