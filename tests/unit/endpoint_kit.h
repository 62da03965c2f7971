/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint_kit: every response that carries addresses, written by hand in all its versions, to be
 * read beside the tables; tests/lint/kafka_schema.py makes thousands more out of Kafka's own
 * definitions.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum { KIT_ROOM = 8192, KIT_CASES = 7 };

/* What they are written with: addresses as a broker would, or as a client should see them. */
struct kit_names {
    const char *host[3];
    int32_t port[3];
};

extern const struct kit_names kit_brokers, kit_proxied;

/* The body of one response; node ids are 1 to 3. */
typedef void (*kit_write_fn)(struct writer *w, int16_t version, const struct kit_names *names);

struct kit_case {
    int16_t key;
    int16_t version_min;
    int16_t version_max;
    kit_write_fn write;
    size_t addresses; /* at version_max */
};

extern const struct kit_case kit_cases[KIT_CASES];

/* The whole frame of case i, size included; at has KIT_ROOM bytes. */
struct view kit_frame(size_t i, int16_t version, const struct kit_names *names, uint8_t *at);
