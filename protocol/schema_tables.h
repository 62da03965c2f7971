/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "protocol/schema.h"

/*
 * The messages Setu must be able to walk: every response that carries a broker address, and the
 * requests and responses that carry record sets. tests/lint compares these tables with Kafka's own
 * definitions.
 */

/* The table of a body, or NULL when Setu has none (it then streams it unread). */
const struct schema_message *schema_find(int16_t key, bool request);
const struct schema_message *schema_at(size_t i);
size_t schema_count(void);
