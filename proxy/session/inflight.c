/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/inflight.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { INFLIGHT_KEPT = 64 }; /* entries that a connection at rest keeps room for */

static void inflight_grow(struct inflight *fl)
{
    uint32_t capacity = fl->capacity == 0 ? 8 : fl->capacity * 2;
    struct inflight_entry *ring = calloc(capacity, sizeof *ring);
    if (ring == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < fl->count; i++) {
        ring[i] = fl->ring[(fl->first + i) & (fl->capacity - 1)];
    }
    free(fl->ring);
    fl->ring = ring;
    fl->capacity = capacity;
    fl->first = 0;
}

bool inflight_push(struct inflight *fl, const struct inflight_entry *entry)
{
    if (fl->count >= INFLIGHT_MAX ||
        (entry->answer != NULL && fl->answers >= INFLIGHT_ANSWERS_MAX)) {
        return false;
    }
    if (fl->count == fl->capacity) {
        inflight_grow(fl);
    }
    fl->ring[(fl->first + fl->count) & (fl->capacity - 1)] = *entry;
    fl->count++;
    fl->answers += entry->answer != NULL ? 1 : 0;
    return true;
}

const struct inflight_entry *inflight_front(const struct inflight *fl)
{
    return fl->count == 0 ? NULL : &fl->ring[fl->first];
}

void inflight_pop(struct inflight *fl)
{
    assert(fl->count > 0);
    if (fl->ring[fl->first].answer != NULL) {
        free(fl->ring[fl->first].answer);
        fl->answers--;
    }
    fl->ring[fl->first].answer = NULL;
    fl->first = (fl->first + 1) & (fl->capacity - 1);
    fl->count--;
    if (fl->count == 0 && fl->capacity > INFLIGHT_KEPT) {
        inflight_clear(fl);
    }
}

bool inflight_full(const struct inflight *fl)
{
    return fl->count >= INFLIGHT_FULL;
}

void inflight_clear(struct inflight *fl)
{
    while (fl->count > 0) {
        inflight_pop(fl);
    }
    free(fl->ring);
    memset(fl, 0, sizeof *fl);
}
