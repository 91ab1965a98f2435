/* taskhost_image.h: a filter over pictures, by the canonical ABI; included by taskhost_component.h. */
#ifndef TASKHOST_IMAGE_H
#define TASKHOST_IMAGE_H

/* result<plan, error> */
typedef struct {
    uint8_t is_error;
    union {
        struct {
            uint8_t is_whole;
            uint32_t halo;
            taskhost_format output;
        } plan;
        taskhost__failure error;
    } value;
} taskhost__planned;

TASKHOST__TYPES_OF_IMAGE_FILTER
TASKHOST__EXPORT(TASKHOST__KERNEL("image-filter") "#prepare")
taskhost__planned *taskhost__prepare(uint32_t width, uint32_t height, uint32_t channels, uint32_t sample) {
    static taskhost__planned planned;
    taskhost_format input = {width, height, channels, (uint8_t)sample};
    taskhost_plan plan = {0, input};
    taskhost_bytes answer = kernel_prepare(input, &plan);
    planned.is_error = (uint8_t)taskhost_is_error(answer);
    if (planned.is_error) {
        planned.value.error = taskhost__failure_of(answer);
    } else {
        planned.value.plan.is_whole = plan.halo == TASKHOST_WHOLE;
        planned.value.plan.halo = plan.halo;
        planned.value.plan.output = plan.output;
    }
    return &planned;
}
TASKHOST__AFTER("image-filter", prepare)

TASKHOST__EXPORT(TASKHOST__KERNEL("image-filter") "#filter")
taskhost__result *taskhost__filter(uint32_t width, uint32_t height, uint32_t channels, uint32_t sample, uint32_t first_row,
                                   uint32_t rows, uint32_t above, uint32_t below, uint8_t *samples, size_t length) {
    taskhost_tile tile = {{width, height, channels, (uint8_t)sample}, first_row, rows, above, below, samples, length};
    return taskhost__answer(kernel_filter(&tile));
}
TASKHOST__AFTER("image-filter", filter)
#endif
