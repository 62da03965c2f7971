/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/histogram.h"

enum { SUB_BITS = 9 };

_Static_assert(HISTOGRAM_SUB == 1 << SUB_BITS, "buckets in a power of two");

static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SUB) {
        return (unsigned)value;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUB + (unsigned)(value >> shift) - HISTOGRAM_SUB;
}

uint64_t histogram_edge(unsigned bucket)
{
    unsigned power = bucket / HISTOGRAM_SUB;
    uint64_t within = bucket % HISTOGRAM_SUB;
    return power == 0 ? within : ((within + HISTOGRAM_SUB + 1) << (power - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen > 0 && (double)seen >= share * (double)h->total) {
            return histogram_edge(i);
        }
    }
    return 0;
}
