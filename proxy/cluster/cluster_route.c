/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/cluster_private.h"

#include <assert.h>
#include <string.h>

#include "conf/config.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

enum {
    READY_WAIT_MS = 3000, /* for the first looks at brokers that do not answer */
    WAKE_LATER_MS = 250
};

/* ---- routes ---- */

struct broker *cluster_broker_at(const struct cluster *cluster, size_t i)
{
    return i < cluster->node_count ? cluster->nodes[i] : &cluster->seeds[i - cluster->node_count];
}

static enum route_status route_any(struct cluster *cluster, struct route *route_r)
{
    size_t count = cluster->node_count + cluster->seed_count;
    for (size_t i = 0; i < count; i++) {
        size_t at = (cluster->cursor + i) % count;
        bool is_node = at < cluster->node_count;
        const struct broker *broker = cluster_broker_at(cluster, at);
        bool usable = broker->live && (is_node || !cluster_seed_is_retired(cluster, broker));
        if (usable && broker_route(broker, route_r) == ROUTE_OK) {
            cluster->cursor = at + 1;
            return ROUTE_OK;
        }
    }
    return cluster->ready ? ROUTE_NONE_LIVE : ROUTE_PENDING;
}

/* There is no better one to wait for: an attempt tells at once whether it is back, and as what. */
static enum route_status route_only(struct cluster *cluster, struct route *route_r)
{
    enum route_status status = route_any(cluster, route_r);
    for (size_t i = 0; status == ROUTE_NONE_LIVE && i < cluster->seed_count; i++) {
        if (broker_route(&cluster->seeds[i], route_r) == ROUTE_OK) {
            return ROUTE_OK;
        }
    }
    return status;
}

enum route_status cluster_route(struct cluster *cluster, int32_t node_id, struct route *route_r)
{
    if (!cluster->params.conf->follow) {
        return route_only(cluster, route_r);
    }
    if (node_id < 0) {
        return route_any(cluster, route_r);
    }
    const struct broker *broker = cluster_find_node(cluster, node_id);
    return broker != NULL ? broker_route(broker, route_r) : ROUTE_UNKNOWN;
}

const char *route_status_name(enum route_status status)
{
    static const char *const names[] = {"ok",         "pending",       "unknown",
                                        "no_address", "no_generation", "none_live"};
    size_t at = (size_t)status;
    return at < sizeof names / sizeof names[0] ? names[at] : "unknown";
}

static struct broker *find_seed(const struct cluster *cluster, const struct route *route)
{
    for (size_t i = 0; i < cluster->seed_count; i++) {
        const struct broker_endpoint *at = &cluster->seeds[i].endpoints[0];
        if (at->port == route->port && strcmp(at->host, route->host) == 0) {
            return &cluster->seeds[i];
        }
    }
    return NULL;
}

struct broker *cluster_find_route(const struct cluster *cluster, const struct route *route)
{
    return route->node_id >= 0 ? cluster_find_node(cluster, route->node_id)
                               : find_seed(cluster, route);
}

static void report_ok(struct cluster *cluster, struct broker *broker)
{
    bool was_live = broker->live;
    broker->live = true;
    cluster_dials_welcome(cluster, broker);
    broker->last_answer_ms = cluster_now_ms(cluster);
    if (!was_live) {
        cluster_changed(cluster);
    }
}

static void report_no_connection(struct cluster *cluster, struct broker *broker)
{
    broker->live = false;
    broker->confirmed = false;
    cluster_dials_refused(cluster, broker);
    bool busy = broker->probe != NULL || broker->resolve != NULL;
    if (!busy && broker_try_other(broker)) {
        broker_decide(broker, cluster->params.conf);
    }
    cluster_changed(cluster);
}

void cluster_report(struct cluster *cluster, const struct route *route,
                    enum cluster_outcome outcome)
{
    struct broker *broker = cluster_find_route(cluster, route);
    if (broker == NULL || broker->generation != route->generation) {
        return;
    }
    uint64_t now_ms = cluster_now_ms(cluster);
    uint64_t look_ms = broker_soon_ms(broker, now_ms, cluster_random(cluster));
    switch (outcome) {
    case CLUSTER_OK:
        report_ok(cluster, broker);
        return;
    case CLUSTER_CONNECT_FAILED:
        report_no_connection(cluster, broker);
        break;
    case CLUSTER_MISMATCH:
        broker->confirmed = false;
        cluster_dials_welcome(cluster, broker);
        broker->asked = broker->by_look;
        look_ms = broker->by_look ? broker_at_once_ms(broker, now_ms) : look_ms;
        break;
    case CLUSTER_LOST:
        broker->confirmed = false;
        break;
    case CLUSTER_ENDED:
        broker->confirmed = false;
        return;
    case CLUSTER_LOGIN_FAILED:
        cluster_dials_welcome(cluster, broker);
        break;
    }
    cluster_look_at(cluster, broker, look_ms);
}

/* ---- waiting and readiness ---- */

static void unlink_waiter(struct cluster_waiter *waiter)
{
    *waiter->link = waiter->next;
    if (waiter->next != NULL) {
        waiter->next->link = waiter->link;
    }
    waiter->next = NULL;
    waiter->link = NULL;
}

static void link_waiter(struct cluster_waiter **list, struct cluster_waiter *waiter)
{
    waiter->next = *list;
    waiter->link = list;
    if (waiter->next != NULL) {
        waiter->next->link = &waiter->next;
    }
    *list = waiter;
}

void cluster_wait_cancel(struct cluster_waiter *waiter)
{
    if (waiter->link != NULL) {
        unlink_waiter(waiter);
    }
}

static void on_wake(uv_timer_t *timer);

static void wake_in(struct cluster *cluster, uint64_t delay_ms)
{
    if (!cluster->closing) {
        cluster->wake_ms = cluster_now_ms(cluster) + delay_ms;
        uv_timer_start(&cluster->wake, on_wake, delay_ms, 0);
    }
}

void cluster_changes_at(struct cluster *cluster, uint64_t at_ms)
{
    uint64_t now_ms = cluster_now_ms(cluster);
    if (!uv_is_active((uv_handle_t *)&cluster->wake) || at_ms < cluster->wake_ms) {
        wake_in(cluster, at_ms > now_ms ? at_ms - now_ms : 0);
    }
}

void cluster_wait(struct cluster *cluster, struct cluster_waiter *waiter)
{
    assert(!cluster->closing);
    link_waiter(&cluster->waiters, waiter);
    /* A look soon, in case nothing was under way; and an answer even if nothing changes. */
    struct broker *broker =
        waiter->node_id >= 0 ? cluster_find_node(cluster, waiter->node_id) : NULL;
    if (broker != NULL) {
        uint64_t now_ms = cluster_now_ms(cluster);
        cluster_look_at(cluster, broker, broker_soon_ms(broker, now_ms, cluster_random(cluster)));
    }
    if (!uv_is_active((uv_handle_t *)&cluster->wake)) {
        wake_in(cluster, WAKE_LATER_MS);
    }
}

static enum route_status peek(struct cluster *cluster, int32_t node_id)
{
    struct route route;
    size_t cursor = cluster->cursor;
    enum route_status status = cluster_route(cluster, node_id, &route);
    cluster->cursor = cursor;
    return status;
}

bool cluster_wait_look(struct cluster *cluster, const struct route *route,
                       struct cluster_waiter *waiter)
{
    const struct broker *broker = cluster_find_route(cluster, route);
    assert(!cluster->closing);
    /* A bootstrap address that is a node's too is not looked at as such. */
    bool looked_at = broker != NULL && broker->by_look &&
                     !(broker->node_id < 0 && cluster_seed_is_retired(cluster, broker));
    if (!looked_at) {
        return false;
    }
    waiter->looked_at = broker;
    waiter->look = broker->looks;
    link_waiter(&cluster->waiters, waiter);
    if (broker->generation != route->generation || broker->flips != route->flips) {
        waiter->look--; /* the look it would wait for has ended already */
        cluster_changed(cluster);
    }
    return true;
}

static bool is_settled(const struct cluster *cluster, const struct cluster_waiter *waiter,
                       enum route_status status)
{
    if (waiter->looked_at != NULL) {
        return waiter->looked_at->looks != waiter->look;
    }
    return status != ROUTE_PENDING && !(status == ROUTE_NONE_LIVE && cluster->looking > 0);
}

static void tell_waiters(struct cluster *cluster)
{
    struct cluster_waiter *list = cluster->waiters;
    cluster->waiters = NULL;
    if (list != NULL) {
        list->link = &list;
    }
    while (list != NULL) {
        struct cluster_waiter *waiter = list;
        enum route_status status = peek(cluster, waiter->node_id);
        unlink_waiter(waiter);
        if (is_settled(cluster, waiter, status)) {
            waiter->fn(waiter, status);
        } else {
            link_waiter(&cluster->waiters, waiter);
        }
    }
    if (cluster->waiters != NULL && !uv_is_active((uv_handle_t *)&cluster->wake)) {
        wake_in(cluster, WAKE_LATER_MS);
    }
}

/* Every broker had its first look, or those that have not had long enough. */
static bool looked_around(const struct cluster *cluster)
{
    if (cluster_now_ms(cluster) - cluster->first_answer_ms >= READY_WAIT_MS) {
        return true;
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (!cluster->nodes[i]->looked) {
            return false;
        }
    }
    for (size_t i = 0; i < cluster->seed_count; i++) {
        if (!cluster->seeds[i].looked && !cluster_seed_is_retired(cluster, &cluster->seeds[i])) {
            return false;
        }
    }
    return true;
}

static void check_ready(struct cluster *cluster)
{
    if (cluster->ready || !cluster->advertised_known) {
        return;
    }
    if (cluster->first_answer_ms == 0) {
        cluster->first_answer_ms = cluster_now_ms(cluster);
    }
    if (!looked_around(cluster)) {
        wake_in(cluster, WAKE_LATER_MS);
        return;
    }
    cluster->ready = true;
    struct log_field fields[] = {log_str("cluster", cluster->params.conf->name),
                                 log_uint("nodes", cluster->node_count),
                                 log_uint("apis", cluster->advertised.count)};
    log_write(LOG_LEVEL_INFO, "cluster_ready", fields, 3);
    if (cluster->params.on_ready != NULL) {
        cluster->params.on_ready(cluster->params.context);
    }
}

static void count_live(struct cluster *cluster)
{
    uint64_t live = 0;
    for (size_t i = 0; i < cluster->node_count; i++) {
        live += cluster->nodes[i]->live;
    }
    stats_set(&cluster->params.stats->nodes_live, live);
}

static void on_wake(uv_timer_t *timer)
{
    struct cluster *cluster = timer->data;
    if (cluster->advertised_stale) {
        cluster_advertise(cluster);
    }
    count_live(cluster);
    check_ready(cluster);
    tell_waiters(cluster);
    cluster_dials_admit(cluster);
}

void cluster_changed(struct cluster *cluster)
{
    wake_in(cluster, 0);
}

bool cluster_ready(const struct cluster *cluster)
{
    return cluster->ready;
}
