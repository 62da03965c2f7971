/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "conf/config.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/ops/stats.h"

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

static bool has_place(const struct cluster *cluster, const struct broker *broker)
{
    return broker->dials < cluster->limits.dials_per_broker;
}

bool cluster_dial_enter(struct cluster *cluster, const struct route *route,
                        struct cluster_dial *dial)
{
    assert(dial->broker == NULL);
    dial->broker = cluster_find_route(cluster, route);
    if (dial->broker == NULL) {
        return true;
    }
    if (dial->broker->dials_first == NULL && has_place(cluster, dial->broker)) {
        take_place(cluster, dial);
        return true;
    }
    queue_up(cluster, dial);
    return false;
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

void cluster_dials_admit(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count + cluster->seed_count; i++) {
        struct broker *broker = cluster_broker_at(cluster, i);
        while (broker->dials_first != NULL && has_place(cluster, broker)) {
            struct cluster_dial *dial = broker->dials_first;
            leave_queue(dial);
            take_place(cluster, dial);
            dial->fn(dial);
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
