/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "proxy/cluster/cluster_private.h"
#include "proxy/cluster/reach.h"
#include "proxy/cluster/served.h"
#include "proxy/io/io.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats.h"

enum {
    NODES_MAX = 4096,
    VERSIONS_KEPT_MS = 10 * 60000 /* of a broker that is down: it may come back as it was */
};

uint64_t cluster_now_ms(const struct cluster *cluster)
{
    return uv_now(cluster->params.io->loop);
}

/* Marsaglia's xorshift: for spreading looks over time only. */
uint32_t cluster_random(struct cluster *cluster)
{
    uint32_t x = cluster->random_state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return cluster->random_state = x;
}

/* ---- nodes ---- */

/* Where node_id is in nodes, or would be. */
static size_t node_place(const struct cluster *cluster, int32_t node_id)
{
    size_t low = 0, high = cluster->node_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cluster->nodes[middle]->node_id < node_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct broker *cluster_find_node(const struct cluster *cluster, int32_t node_id)
{
    size_t place = node_place(cluster, node_id);
    bool found = place < cluster->node_count && cluster->nodes[place]->node_id == node_id;
    return found ? cluster->nodes[place] : NULL;
}

static bool make_room(struct cluster *cluster)
{
    if (cluster->node_count < cluster->node_capacity) {
        return true;
    }
    size_t capacity = cluster->node_capacity > 0 ? cluster->node_capacity * 2 : 16;
    struct broker **nodes = realloc(cluster->nodes, capacity * sizeof *nodes);
    if (nodes == NULL) {
        return false;
    }
    cluster->nodes = nodes;
    cluster->node_capacity = capacity;
    return true;
}

static struct broker *add_node(struct cluster *cluster, int32_t node_id)
{
    if (cluster->node_count >= NODES_MAX || !make_room(cluster)) {
        return NULL;
    }
    struct broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL) {
        return NULL;
    }
    broker->cluster = cluster;
    broker->node_id = node_id;
    size_t place = node_place(cluster, node_id);
    memmove(&cluster->nodes[place + 1], &cluster->nodes[place],
            (cluster->node_count - place) * sizeof cluster->nodes[0]);
    cluster->nodes[place] = broker;
    cluster->node_count++;
    stats_set(&cluster->params.stats->nodes_known, cluster->node_count);
    return broker;
}

static void log_learned(const struct cluster *cluster, const struct broker *broker,
                        const char *event, struct view host, int32_t port)
{
    struct log_field fields[] = {
        log_str("cluster", cluster->params.conf->name), log_int("node", broker->node_id),
        log_view("host", host), log_int("port", port),
        log_str("generation", broker->generation != NULL ? broker->generation->name : NULL)};
    log_write(LOG_LEVEL_INFO, event, fields, sizeof fields / sizeof fields[0]);
}

bool cluster_learn_from(struct cluster *cluster, int32_t node_id, struct view host, int32_t port,
                        struct view rack)
{
    if (node_id < 0 || port < 1 || port > UINT16_MAX || !broker_host_valid(host)) {
        return false;
    }
    struct broker *broker = cluster_find_node(cluster, node_id);
    bool first = broker == NULL;
    if (first) {
        broker = add_node(cluster, node_id);
    }
    if (broker == NULL) {
        return false;
    }
    uint64_t now_ms = cluster_now_ms(cluster);
    if (!broker_saw(broker, host, (uint16_t)port, rack, now_ms) && !first) {
        return true;
    }
    if (!broker->live) {
        /* A down broker under a new address: that is where to look first. */
        for (size_t i = 0; i < broker->endpoint_count; i++) {
            if (broker->endpoints[i].port == port && view_is(host, broker->endpoints[i].host)) {
                bool busy = broker->probe != NULL || broker->resolve != NULL;
                broker->confirmed = broker->confirmed && (busy || broker->endpoint == i);
                broker->endpoint = busy ? broker->endpoint : i;
            }
        }
    }
    broker_decide(broker, cluster->params.conf);
    struct broker_endpoint *endpoint = broker_endpoint(broker);
    if (endpoint->resolved.count == 0) {
        (void)cluster_resolve_literal(cluster, broker);
    }
    log_learned(cluster, broker, first ? "broker_learned" : "broker_address", host, port);
    if (first) {
        cluster->params.on_node(cluster->params.context, node_id);
    }
    broker->next_look_ms = first ? UINT64_MAX : broker->next_look_ms;
    cluster_look_at(cluster, broker, first ? now_ms : broker_soon_ms(broker, now_ms, 0));
    cluster_changed(cluster);
    return true;
}

bool cluster_learn(struct cluster *cluster, int32_t node_id, struct view host, int32_t port,
                   struct view rack)
{
    return cluster_learn_from(cluster, node_id, host, port, rack);
}

/* ---- versions ---- */

static bool is_recent(const struct cluster *cluster, const struct broker *broker)
{
    return broker->live || cluster_now_ms(cluster) - broker->last_answer_ms < VERSIONS_KEPT_MS;
}

static void intersect(struct cluster *cluster, const struct broker *broker)
{
    if (!broker->versions_known) {
        return;
    }
    if (cluster->advertised_known) {
        api_versions_intersect(&cluster->advertised, &broker->versions, &cluster->advertised);
    } else {
        cluster->advertised = broker->versions;
        cluster->advertised_known = true;
    }
}

void cluster_advertise(struct cluster *cluster)
{
    cluster->advertised_stale = false;
    cluster->advertised_known = false;
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (is_recent(cluster, cluster->nodes[i])) {
            intersect(cluster, cluster->nodes[i]);
        }
    }
    for (size_t i = 0; !cluster->advertised_known && i < cluster->node_count; i++) {
        intersect(cluster, cluster->nodes[i]);
    }
    for (size_t i = 0; i < cluster->seed_count; i++) {
        const struct broker *seed = &cluster->seeds[i];
        if (seed->live && !cluster_seed_is_retired(cluster, seed)) {
            intersect(cluster, seed);
        }
    }
    if (cluster->advertised_known) {
        api_versions_admit(&cluster->advertised, &cluster->advertised);
    }
}

bool cluster_api_versions(const struct cluster *cluster, int32_t node_id,
                          struct api_versions *out_r)
{
    const struct broker *broker = node_id >= 0 ? cluster_find_node(cluster, node_id) : NULL;
    if (cluster->params.conf->api_versions == CONF_API_VERSIONS_BROKER && broker != NULL &&
        broker->versions_known) {
        api_versions_admit(&broker->versions, out_r);
        return true;
    }
    if (cluster->advertised_known) {
        *out_r = cluster->advertised;
    }
    return cluster->advertised_known;
}

bool cluster_told_versions(const struct cluster *cluster, struct api_versions *out_r)
{
    for (size_t i = 0; i < cluster->seed_count; i++) {
        if (cluster->seeds[i].versions_known) {
            *out_r = cluster->seeds[i].versions;
            return true;
        }
    }
    return false;
}

static struct served *share_served(struct broker *broker, const struct api_versions *versions)
{
    if (broker->served == NULL || !served_is(broker->served, versions)) {
        served_unref(&broker->served);
        broker->served = served_new(versions);
    }
    return served_ref(broker->served);
}

struct served *cluster_saw_versions(struct cluster *cluster, const struct route *route,
                                    const struct api_versions *versions)
{
    struct broker *broker = cluster_find_route(cluster, route);
    if (versions->error_code != 0) {
        return NULL;
    }
    if (broker == NULL) {
        return served_new(versions);
    }
    bool same = broker->versions_known && broker->versions.count == versions->count &&
                memcmp(broker->versions.ranges, versions->ranges,
                       versions->count * sizeof versions->ranges[0]) == 0;
    if (!same) {
        broker->versions = *versions;
        broker->versions_known = true;
        cluster->advertised_stale = true;
        cluster_changed(cluster);
    }
    return share_served(broker, versions);
}

void cluster_saw_lifetime(struct cluster *cluster, const struct route *route, int64_t lifetime_ms)
{
    struct broker *broker = cluster_find_route(cluster, route);
    if (broker != NULL) {
        broker->lifetime_ms = lifetime_ms;
    }
}

static bool gives_lifetime(const struct cluster *cluster, const struct broker *broker)
{
    return broker->live && broker->lifetime_ms > 0 && broker->generation != NULL &&
           broker->generation->login == CONF_LOGIN_SCRAM_RELAY &&
           (broker->node_id >= 0 || !cluster_seed_is_retired(cluster, broker));
}

int64_t cluster_relay_lifetime_ms(const struct cluster *cluster)
{
    int64_t shortest_ms = 0;
    for (size_t i = 0; cluster != NULL && i < cluster->node_count + cluster->seed_count; i++) {
        const struct broker *broker = cluster_broker_at(cluster, i);
        if (gives_lifetime(cluster, broker) &&
            (shortest_ms == 0 || broker->lifetime_ms < shortest_ms)) {
            shortest_ms = broker->lifetime_ms;
        }
    }
    return shortest_ms;
}

/* ---- status ---- */

const struct conf_cluster *cluster_conf(const struct cluster *cluster)
{
    return cluster->params.conf;
}

void cluster_limit(struct cluster *cluster, const struct conf_limits *limits)
{
    cluster->limits = *limits;
    cluster_changed(cluster); /* there may be places for more now */
}

size_t cluster_node_count(const struct cluster *cluster)
{
    return cluster->node_count + cluster->seed_count;
}

bool cluster_node_at(const struct cluster *cluster, size_t index, struct cluster_node_info *info_r)
{
    if (index >= cluster_node_count(cluster)) {
        return false;
    }
    const struct broker *broker = index < cluster->node_count
                                      ? cluster->nodes[index]
                                      : &cluster->seeds[index - cluster->node_count];
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    *info_r = (struct cluster_node_info){
        .node_id = broker->node_id,
        .host = endpoint->host,
        .port = endpoint->port,
        .rack = broker->rack,
        .generation = broker->generation != NULL ? broker->generation->name : "",
        .last_error = broker->last_error,
        .live = broker->live,
        .versions_known = broker->versions_known,
        .flips = broker->flips,
        .last_answer_ms = broker->last_answer_ms,
    };
    return true;
}

/* ---- life ---- */

static void release(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        served_unref(&cluster->nodes[i]->served);
        free(cluster->nodes[i]);
    }
    for (size_t i = 0; i < cluster->seed_count; i++) {
        served_unref(&cluster->seeds[i].served);
    }
    cluster_gaps_free(cluster);
    free(cluster->nodes);
    free(cluster->seeds);
    identity_free(&cluster->identity);
    config_unref(&cluster->config);
    free(cluster);
}

static void log_identity(const struct cluster *cluster, const struct conf_errors *errors,
                         bool good)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct conf_error *error = &errors->items[i];
        struct log_field fields[] = {
            log_str("cluster", cluster->params.conf->name), log_str("file", error->file),
            log_int("line", error->line), log_str("text", error->text)};
        log_write(good ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "identity", fields, 4);
    }
}

static bool load_identity(struct cluster *cluster, const struct tls_material *material)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    bool good = identity_load(&cluster->identity, cluster->params.conf, material, &errors);
    log_identity(cluster, &errors, good);
    conf_errors_deinit(&errors);
    return good;
}

void cluster_rotate(struct cluster *cluster, const struct tls_material *material)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    bool good = identity_rotate(&cluster->identity, material, &errors);
    log_identity(cluster, &errors, good);
    conf_errors_deinit(&errors);
}

static bool make_seeds(struct cluster *cluster)
{
    const struct conf_cluster *conf = cluster->params.conf;
    cluster->seeds = calloc(conf->bootstrap_count, sizeof *cluster->seeds);
    if (cluster->seeds == NULL) {
        return false;
    }
    cluster->seed_count = conf->bootstrap_count;
    for (size_t i = 0; i < conf->bootstrap_count; i++) {
        struct broker *seed = &cluster->seeds[i];
        struct view host = view_from_string(conf->bootstrap[i].host);
        seed->cluster = cluster;
        seed->node_id = -1;
        if (!broker_host_valid(host)) {
            return false;
        }
        (void)broker_saw(seed, host, (uint16_t)conf->bootstrap[i].port, view_of(NULL, 0), 0);
        broker_decide(seed, conf);
        cluster->ours = cluster->ours || reach_is_here(conf->bootstrap[i].host);
    }
    return true;
}

struct cluster *cluster_new(const struct cluster_params *params)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) {
        return NULL;
    }
    cluster->params = *params;
    cluster->config = config_ref(params->config);
    cluster->limits = params->config->limits;
    cluster->params.material = NULL;
    cluster->random_state = (uint32_t)uv_hrtime() | 1U;
    if (!load_identity(cluster, params->material) || !make_seeds(cluster) ||
        !cluster_gaps_start(cluster) ||
        uv_timer_init(params->io->loop, &cluster->timer) != 0 ||
        uv_timer_init(params->io->loop, &cluster->wake) != 0 ||
        uv_timer_init(params->io->loop, &cluster->ask) != 0) {
        release(cluster);
        return NULL;
    }
    cluster->timer.data = cluster;
    cluster->wake.data = cluster;
    cluster->ask.data = cluster;
    cluster_look_start(cluster);
    return cluster;
}

void cluster_part_gone(void *context)
{
    struct cluster *cluster = context;
    cluster->open--;
    if (cluster->open > 0) {
        return;
    }
    void (*on_closed)(void *) = cluster->on_closed;
    void *on_closed_context = cluster->on_closed_context;
    release(cluster);
    if (on_closed != NULL) {
        on_closed(on_closed_context);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    cluster_part_gone(handle->data);
}

void cluster_close(struct cluster **cluster_p, void (*on_closed)(void *context), void *context)
{
    struct cluster *cluster = *cluster_p;
    *cluster_p = NULL;
    if (cluster == NULL) {
        return;
    }
    cluster->closing = true;
    cluster->on_closed = on_closed;
    cluster->on_closed_context = context;
    cluster->open = 3;
    while (cluster->waiters != NULL) {
        struct cluster_waiter *waiter = cluster->waiters;
        cluster_wait_cancel(waiter);
        waiter->fn(waiter, ROUTE_UNKNOWN);
    }
    cluster_dials_forget(cluster);
    for (size_t i = 0; i < cluster->node_count; i++) {
        cluster_look_cancel(cluster, cluster->nodes[i]);
    }
    for (size_t i = 0; i < cluster->seed_count; i++) {
        cluster_look_cancel(cluster, &cluster->seeds[i]);
    }
    cluster_ask_cancel(cluster);
    uv_close((uv_handle_t *)&cluster->ask, on_timer_closed);
    uv_close((uv_handle_t *)&cluster->timer, on_timer_closed);
    uv_close((uv_handle_t *)&cluster->wake, on_timer_closed);
}
