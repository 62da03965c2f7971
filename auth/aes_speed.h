/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a piece of AES-GCM code is at TLS 1.3 records of 16 KiB. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic nanoseconds. */
typedef uint64_t (*aes_speed_clock_fn)(void);

struct aes_speed {
    double first, second; /* bytes per second, sealing and opening mixed; the best of all rounds */
};

/*
 * Measure two codes, named by their property queries, in turns, for about `budget_ms` and at least
 * three rounds each. `second` NULL measures one only. `key_bits` 128 or 256. false when a query
 * finds nothing or an operation fails.
 */
__attribute__((warn_unused_result)) bool
aes_speed_measure(unsigned key_bits, const char *first, const char *second,
                  aes_speed_clock_fn clock, unsigned budget_ms, struct aes_speed *speed_r);
