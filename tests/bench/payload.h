/* SPDX-License-Identifier: Apache-2.0 */
/* The frames that carry the load, made once before it starts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    PAYLOAD_RECORD_BYTES = 100, /* value of each record; no key */
    PAYLOAD_PRODUCE_VERSION = 9,
    PAYLOAD_FETCH_VERSION = 12,
    PAYLOAD_ID_AT = 8,       /* where a request frame has its correlation id */
    PAYLOAD_ANSWER_ID_AT = 4 /* and a response frame */
};

struct payload {
    struct writer frame; /* owned: free with writer_free */
    int32_t records;     /* in it */
    size_t bytes;        /* of the batch in it */
    size_t batch_at;     /* where in the frame that begins */
};

/* A Produce request, acks 1, with one batch as close to batch_bytes as whole records allow (at
 * least one), its CRC right. */
struct payload payload_produce(const char *topic, size_t batch_bytes);
/* A Fetch request for partition 0 that takes any amount at once. */
struct payload payload_fetch(const char *topic, size_t batch_bytes);
/* The answers to those. */
struct payload payload_produce_answer(const char *topic);
struct payload payload_fetch_answer(const char *topic, size_t batch_bytes);

/* Error code of a Produce or Fetch answer about one partition of a topic whose name is
 * topic_length bytes long; `at` is its start, the size included, and long enough by
 * PAYLOAD_ANSWER_LOOK + topic_length. */
enum { PAYLOAD_ANSWER_LOOK = 32 };
int16_t payload_produce_error(const uint8_t *at, size_t topic_length);
int16_t payload_fetch_error(const uint8_t *at, size_t topic_length);
