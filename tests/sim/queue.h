/* SPDX-License-Identifier: Apache-2.0 */
/* queue: bytes in, bytes out, in order. Its memory is the run's: nothing is freed before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct queue {
    uint8_t *at;
    size_t start, length, capacity;
};

void queue_put(struct queue *queue, struct view bytes);
struct view queue_view(const struct queue *queue);
void queue_drop(struct queue *queue, size_t length);

/** The first whole Kafka frame, its size bytes included; false: there is none yet, or its size makes no sense. */
bool queue_frame(const struct queue *queue, struct view *frame_r);
