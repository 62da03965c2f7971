/* SPDX-License-Identifier: Apache-2.0 */
/* relay_records: what is counted and checked about the record batches that pass. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;
struct session;

/** Begins the walk of the frame whose head flow holds: a Produce request or a Fetch response. */
void relay_records_begin_produce(struct session *s, struct flow *flow);
void relay_records_begin_fetch(struct session *s, struct flow *flow, bool neutralise);

/**
 * The next payload bytes, before they are sent. false: the session was closed (malformed, or a checksum that does not
 * hold and integrity.crc is enforce: then the last bytes of that batch never leave).
 */
bool relay_records_feed(struct session *s, struct flow *flow, uint8_t *at, size_t length);
