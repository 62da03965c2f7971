/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/queue.h"

#include <string.h>

#include "tests/sim/sim.h"

void queue_put(struct queue *queue, struct view bytes)
{
    if (queue->start > 0 && queue->start + queue->length + bytes.length > queue->capacity) {
        memmove(queue->at, queue->at + queue->start, queue->length);
        queue->start = 0;
    }
    if (queue->length + bytes.length > queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 2048 : queue->capacity;
        while (capacity < queue->length + bytes.length) {
            capacity *= 2;
        }
        uint8_t *grown = sim_alloc(capacity);
        if (queue->length > 0) {
            memcpy(grown, queue->at + queue->start, queue->length);
        }
        queue->at = grown;
        queue->start = 0;
        queue->capacity = capacity;
    }
    if (bytes.length > 0) {
        memcpy(queue->at + queue->start + queue->length, bytes.at, bytes.length);
        queue->length += bytes.length;
    }
}

struct view queue_view(const struct queue *queue)
{
    return queue->length > 0 ? view_of(queue->at + queue->start, queue->length) : view_of("", 0);
}

void queue_drop(struct queue *queue, size_t length)
{
    queue->start += length;
    queue->length -= length;
}

bool queue_frame(const struct queue *queue, struct view *frame_r)
{
    if (queue->length < 4) {
        return false;
    }
    uint32_t size = bytes_load_u32(queue->at + queue->start);
    if (size > INT32_MAX - 4 || queue->length - 4 < size) {
        return false;
    }
    *frame_r = view_of(queue->at + queue->start, (size_t)size + 4);
    return true;
}
