/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies in buckets whose width grows with the value: 512 in each power of two, so that a
 * percentile is at most 0.2 % too high.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_SUB = 512, HISTOGRAM_BUCKETS = 56 * HISTOGRAM_SUB };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
};

void histogram_add(struct histogram *h, uint64_t value);
/* The upper edge of the bucket that the share (0 to 1) of all values reaches; 0 when empty. */
uint64_t histogram_at(const struct histogram *h, double share);
/* The largest value that falls into counts[bucket]. */
uint64_t histogram_edge(unsigned bucket);
