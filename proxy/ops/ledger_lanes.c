/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_lanes.h"

#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

void ledger_lanes_init(struct ledger_lanes *lanes, sem_t *bell)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->bell = bell;
    pthread_mutex_init(&lanes->lock, NULL);
}

void ledger_lanes_free(struct ledger_lanes *lanes)
{
    const unsigned count = atomic_load(&lanes->count);
    for (unsigned i = 0; i < count; i++) {
        struct ledger_lane *lane = atomic_load(&lanes->at[i]);
        ledger_lane_free(&lane);
    }
    pthread_mutex_destroy(&lanes->lock);
}

struct ledger_lane *ledger_lanes_join(struct ledger_lanes *lanes)
{
    struct ledger_lane *lane = NULL;
    uint8_t key[SIPHASH_KEY_BYTES];
    unsigned at = 0;
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key) {
        return NULL;
    }
    pthread_mutex_lock(&lanes->lock);
    const unsigned count = atomic_load(&lanes->count);
    while (at < count && atomic_load(&lanes->at[at]) != NULL) {
        at++;
    }
    if (at < LEDGER_LANES_MAX) {
        lane = ledger_lane_new(key, lanes->bell);
    }
    if (lane != NULL) {
        atomic_store(&lanes->at[at], lane);
        atomic_store(&lanes->count, at < count ? count : at + 1);
    }
    pthread_mutex_unlock(&lanes->lock);
    return lane;
}

void ledger_lanes_miss(struct ledger_lanes *lanes, enum ledger_kind kind, uint64_t n)
{
    atomic_fetch_add(&lanes->lost[kind], n);
}

void ledger_lanes_lost(const struct ledger_lanes *lanes, uint64_t lost_r[LEDGER_KINDS])
{
    for (size_t kind = 0; kind < LEDGER_KINDS; kind++) {
        lost_r[kind] = atomic_load(&lanes->lost[kind]);
    }
    const unsigned count = atomic_load(&lanes->count);
    for (unsigned i = 0; i < count; i++) {
        const struct ledger_lane *lane = atomic_load(&lanes->at[i]);
        if (lane != NULL) {
            ledger_lane_lost(lane, lost_r);
        }
    }
}

void ledger_lanes_stats(struct ledger_lanes *lanes, uint64_t lost_r[LEDGER_KINDS],
                        uint64_t *waiting_r)
{
    pthread_mutex_lock(&lanes->lock); /* the thread frees none meanwhile */
    ledger_lanes_lost(lanes, lost_r);
    *waiting_r = 0;
    const unsigned count = atomic_load(&lanes->count);
    for (unsigned i = 0; i < count; i++) {
        const struct ledger_lane *lane = atomic_load(&lanes->at[i]);
        *waiting_r += lane != NULL ? ledger_lane_waiting(lane) : 0;
    }
    pthread_mutex_unlock(&lanes->lock);
}

static void forget(struct ledger_lanes *lanes, unsigned at)
{
    struct ledger_lane *lane = atomic_load(&lanes->at[at]);
    uint64_t lost[LEDGER_KINDS] = {0};
    ledger_lane_lost(lane, lost);
    pthread_mutex_lock(&lanes->lock);
    for (enum ledger_kind kind = 0; kind < LEDGER_KINDS; kind++) {
        ledger_lanes_miss(lanes, kind, lost[kind]);
    }
    atomic_store(&lanes->at[at], NULL);
    pthread_mutex_unlock(&lanes->lock);
    ledger_lane_free(&lane);
}

struct ledger_lane *ledger_lanes_turn(struct ledger_lanes *lanes, unsigned i)
{
    const unsigned count = atomic_load(&lanes->count);
    const unsigned at = (lanes->first + i) % count;
    struct ledger_lane *lane = atomic_load(&lanes->at[at]);
    if (lane != NULL && ledger_lane_is_done(lane)) {
        forget(lanes, at);
        return NULL;
    }
    return lane;
}

void ledger_lanes_next(struct ledger_lanes *lanes)
{
    const unsigned count = atomic_load(&lanes->count);
    lanes->first = count > 0 ? (lanes->first + 1) % count : 0;
}
