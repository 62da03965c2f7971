/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "conf/config.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/ops/stats.h"

enum {
    AWAY_GAP_MIN_MS = 20, /* between two that try; doubled up to */
    AWAY_GAP_MAX_MS = 160,
    AWAY_WAIT_MS = 500, /* the others' patience: who is told sooner comes again sooner */
};

static void take_place(struct cluster *cluster, struct cluster_dial *dial)
{
    dial->holds = true;
    dial->broker->dials++;
    stats_add(&cluster->params.stats->dials_now, 1);
}

static void queue_up(struct cluster *cluster, struct cluster_dial *dial)
{
    struct broker *broker = dial->broker;
    if (broker->dials_first == NULL) {
        broker->dials_last = &broker->dials_first;
    }
    dial->next = NULL;
    dial->link = broker->dials_last;
    *dial->link = dial;
    broker->dials_last = &dial->next;
    stats_add(&cluster->params.stats->dials_delayed, 1);
    stats_add(&cluster->params.stats->dials_waiting, 1);
}

static void leave_queue(struct cluster_dial *dial)
{
    *dial->link = dial->next;
    if (dial->next != NULL) {
        dial->next->link = dial->link;
    } else {
        dial->broker->dials_last = dial->link;
    }
    dial->next = NULL;
    dial->link = NULL;
    stats_sub(&dial->broker->cluster->params.stats->dials_waiting, 1);
}

/* ---- nobody there ---- */

static bool is_away(const struct broker *broker)
{
    return broker->away_until_ms != 0;
}

void cluster_dials_refused(struct cluster *cluster, struct broker *broker)
{
    uint64_t now_ms = cluster_now_ms(cluster);
    if (!is_away(broker)) {
        broker->away_since_ms = now_ms;
        broker->away_gap_ms = AWAY_GAP_MIN_MS;
        broker->away_until_ms = now_ms + AWAY_GAP_MIN_MS;
    }
}

void cluster_dials_welcome(struct cluster *cluster, struct broker *broker)
{
    bool waiting = is_away(broker) && broker->dials_first != NULL;
    broker->away_until_ms = 0;
    if (waiting) {
        cluster_changed(cluster);
    }
}

/* One tries; who comes next has to wait. */
static void try_one(struct broker *broker, uint64_t now_ms)
{
    uint64_t gap_ms = broker->away_gap_ms * 2;
    broker->away_gap_ms = gap_ms < AWAY_GAP_MAX_MS ? gap_ms : AWAY_GAP_MAX_MS;
    broker->away_until_ms = now_ms + broker->away_gap_ms;
}

static uint64_t patience_ends_ms(const struct broker *broker, const struct cluster_dial *dial)
{
    uint64_t since_ms =
        dial->since_ms > broker->away_since_ms ? dial->since_ms : broker->away_since_ms;
    return since_ms + AWAY_WAIT_MS;
}

/* When something has to be done for those who wait at a broker that is away. That a place gets free is told. */
static uint64_t next_ms(const struct broker *broker, uint64_t now_ms)
{
    uint64_t ends_ms = patience_ends_ms(broker, broker->dials_first);
    bool early = broker->away_until_ms > now_ms && broker->away_until_ms < ends_ms;
    return early ? broker->away_until_ms : ends_ms;
}

/* ---- turns ---- */

/* Not: who may try at a broker that is away, unless it is time. */
static bool has_place(const struct cluster *cluster, const struct broker *broker, uint64_t now_ms)
{
    return broker->dials < cluster->limits.dials_per_broker &&
           broker->away_until_ms <= now_ms;
}

bool cluster_dial_enter(struct cluster *cluster, const struct route *route,
                        struct cluster_dial *dial)
{
    assert(dial->broker == NULL);
    dial->broker = cluster_find_route(cluster, route);
    if (dial->broker == NULL) {
        return true;
    }
    struct broker *broker = dial->broker;
    dial->since_ms = cluster_now_ms(cluster);
    dial->in_vain = false;
    if (broker->dials_first == NULL && has_place(cluster, broker, dial->since_ms)) {
        if (is_away(broker)) {
            try_one(broker, dial->since_ms);
        }
        take_place(cluster, dial);
        return true;
    }
    queue_up(cluster, dial);
    if (is_away(broker)) {
        cluster_changes_at(cluster, next_ms(broker, dial->since_ms));
    }
    return false;
}

void cluster_dial_reached(struct cluster_dial *dial)
{
    if (dial->broker != NULL) {
        cluster_dials_welcome(dial->broker->cluster, dial->broker);
    }
}

void cluster_dial_leave(struct cluster_dial *dial)
{
    struct broker *broker = dial->broker;
    if (broker == NULL) {
        return;
    }
    if (dial->holds) {
        broker->dials--;
        stats_sub(&broker->cluster->params.stats->dials_now, 1);
        if (broker->dials_first != NULL) {
            cluster_changed(broker->cluster);
        }
    } else {
        leave_queue(dial);
    }
    dial->holds = false;
    dial->broker = NULL;
}

static void admit_first(struct cluster *cluster, struct broker *broker)
{
    struct cluster_dial *dial = broker->dials_first;
    leave_queue(dial);
    take_place(cluster, dial);
    dial->fn(dial);
}

static void send_away(struct broker *broker, uint64_t now_ms)
{
    while (broker->dials_first != NULL && is_away(broker) &&
           patience_ends_ms(broker, broker->dials_first) <= now_ms) {
        struct cluster_dial *dial = broker->dials_first;
        leave_queue(dial);
        dial->broker = NULL;
        dial->in_vain = true;
        dial->fn(dial);
    }
}

void cluster_dials_admit(struct cluster *cluster)
{
    uint64_t now_ms = cluster_now_ms(cluster);
    for (size_t i = 0; i < cluster->node_count + cluster->seed_count; i++) {
        struct broker *broker = cluster_broker_at(cluster, i);
        while (broker->dials_first != NULL && has_place(cluster, broker, now_ms)) {
            if (is_away(broker)) {
                try_one(broker, now_ms);
            }
            admit_first(cluster, broker);
        }
        send_away(broker, now_ms);
        if (broker->dials_first != NULL && is_away(broker)) {
            cluster_changes_at(cluster, next_ms(broker, now_ms));
        }
    }
}

void cluster_dials_forget(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count + cluster->seed_count; i++) {
        struct broker *broker = cluster_broker_at(cluster, i);
        while (broker->dials_first != NULL) {
            struct cluster_dial *dial = broker->dials_first;
            leave_queue(dial);
            dial->broker = NULL;
        }
    }
}
