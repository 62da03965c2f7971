/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * What a broker says became of the batches of a Produce request (v0-13): where each partition's
 * records begin in its log, or why they were not taken.
 */

struct produce_answer {
    struct view topic;       /* name; empty from v13 on */
    const uint8_t *topic_id; /* 16 bytes from v13 on, else NULL */
    int32_t partition;
    int16_t error_code;         /* 0: the records are in the log */
    int64_t base_offset;        /* of the first record; -1 = not told */
    int64_t log_append_time_ms; /* >= 0: the broker has set the timestamps; -1 = it has not */
    int64_t log_start_offset;   /* v5+; else -1 */
};

/* Once for each partition, in wire order. Views live until produce_response_read returns. */
typedef void (*produce_answer_fn)(void *context, const struct produce_answer *answer);

/*
 * Reads one whole response; `payload` is the frame without its size, header included. False when it
 * is not decodable as this version, or bytes are left over: what was told before that then counts
 * for nothing.
 */
bool produce_response_read(int16_t version, struct view payload, produce_answer_fn answer,
                           void *context) __attribute__((warn_unused_result));
