/* taskhost_packed.h: many small items in one call, over kernel_process or kernel_process_flat; included by
 * taskhost_component.h. A kernel's author has nothing to do for it. */
#ifndef TASKHOST_PACKED_H
#define TASKHOST_PACKED_H

typedef struct {
    uint32_t position;
    taskhost__failure error;
} taskhost__failed;

typedef struct {
    uint8_t *bytes;
    size_t length;
    uint32_t *ends;
    size_t count;
    uint32_t *counts;
    size_t count_of_counts;
    taskhost__failed *failures;
    size_t failure_count;
} taskhost__packed;

/* Room for all that may still come of a call; it doubles. */
typedef struct {
    size_t bytes_room, ends_room, failures_room;
} taskhost__rooms;

/* An array that has room for `more` elements behind the first `count`. */
static void *taskhost__roomy(void *old, size_t element, size_t count, size_t more, size_t *room) {
    if (*room - count >= more) return old;
    size_t wanted = 2 * *room > count + more ? 2 * *room : count + more;
    void *place = taskhost_grow(old, *room * element, wanted * element);
    *room = wanted;
    return place;
}

static void taskhost__pack(taskhost__packed *all, taskhost__rooms *rooms, taskhost_bytes result) {
    all->bytes = (uint8_t *)taskhost__roomy(all->bytes, 1, all->length, result.length, &rooms->bytes_room);
    if (result.length) memcpy(all->bytes + all->length, result.data, result.length);
    all->length += result.length;
    all->ends = (uint32_t *)taskhost__roomy(all->ends, sizeof *all->ends, all->count, 1, &rooms->ends_room);
    all->ends[all->count++] = (uint32_t)all->length;
}

static void taskhost__pack_failure(taskhost__packed *all, taskhost__rooms *rooms, size_t position, taskhost_bytes error) {
    taskhost__failed failed = {(uint32_t)position, taskhost__failure_of(error)};
    all->failures = (taskhost__failed *)taskhost__roomy(
        all->failures, sizeof failed, all->failure_count, 1, &rooms->failures_room);
    all->failures[all->failure_count++] = failed;
}

TASKHOST__TYPES_OF_PACKED_MAPPER
TASKHOST__EXPORT(TASKHOST__KERNEL("packed-mapper") "#process")
taskhost__packed *taskhost__process_packed(uint8_t *data, size_t length, const uint32_t *ends, size_t count) {
    static taskhost__packed all;
    taskhost__rooms rooms = {length + 64, count + 1, 0};
    memset(&all, 0, sizeof all);
    all.bytes = (uint8_t *)taskhost_allocate(rooms.bytes_room);
    all.ends = (uint32_t *)taskhost_allocate(rooms.ends_room * sizeof *all.ends);
#ifdef TASKHOST_FLAT
    all.counts = (uint32_t *)taskhost_allocate(count * sizeof *all.counts);
    all.count_of_counts = count;
#endif
    for (size_t i = 0, start = 0; i < count; start = ends[i++]) {
        taskhost_bytes item = {data + start, ends[i] - start};
        const uintptr_t begin = taskhost__start, top = taskhost__top;
        const taskhost__rooms before = rooms;
#ifdef TASKHOST_FLAT
        taskhost_results results = {NULL, 0, 0};
        taskhost_bytes answer = kernel_process_flat(item, &results);
        if (taskhost_is_error(answer)) results.count = 0;
        for (size_t j = 0; j < results.count; j++) taskhost__pack(&all, &rooms, results.results[j]);
        all.counts[i] = (uint32_t)results.count;
#else
        taskhost_bytes answer = kernel_process(item);
        taskhost__pack(&all, &rooms, taskhost_is_error(answer) ? taskhost_ok() : answer);
#endif
        if (taskhost_is_error(answer)) {
            taskhost__pack_failure(&all, &rooms, i, answer);
        } else if (begin == taskhost__start && memcmp(&before, &rooms, sizeof rooms) == 0) {
            /* What the kernel allocated for this item was copied: the next item takes the same place. */
            taskhost__top = top;
        }
    }
    return &all;
}
TASKHOST__AFTER_OF("packed-mapper", process, process_packed)
#endif
