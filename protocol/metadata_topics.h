/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * Which topic has which id (KIP-516): Metadata responses since v10 tell both, Fetch and Produce
 * since v13 only the id.
 */

enum { METADATA_TOPIC_ID_BYTES = 16, METADATA_TOPIC_IDS_SINCE = 10 };

/* For each topic with a name and an id, in wire order; views live until the reader returns. */
typedef void (*metadata_topic_fn)(void *context, struct view name, const uint8_t *topic_id);

/*
 * Reads one whole response; `payload` is the frame without its size, header included. False when it
 * is not decodable as this version, or bytes are left over. Versions without ids tell nothing.
 */
bool metadata_topics_read(int16_t version, struct view payload, metadata_topic_fn topic,
                          void *context) __attribute__((warn_unused_result));
