/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The decisions of the next run, borrowed until it has ended. */
void session_rng_feed(const uint8_t *data, size_t size);
