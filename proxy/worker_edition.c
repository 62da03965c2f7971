/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "auth/penalty.h"
#include "conf/config.h"
#include "proxy/cluster/cluster.h"
#include "proxy/door.h"
#include "proxy/listener.h"
#include "proxy/ops/log.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "proxy/worker_private.h"

/* ---- clusters ---- */

static void cluster_on_node(void *context, int32_t node_id)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        struct listener *listener = of->worker->listeners[i];
        if (listener_cluster(listener) == of->cluster) {
            (void)listener_open_node(listener, node_id);
        }
    }
}

static void cluster_on_ready(void *context)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        if (listener_cluster(of->worker->listeners[i]) == of->cluster) {
            listener_open(of->worker->listeners[i]);
        }
    }
    worker_check_ready(of->worker);
}

static struct worker_cluster *cluster_same(const struct worker *worker, const char *hash)
{
    struct worker_cluster *of = worker->clusters;
    while (of != NULL && strcmp(of->hash, hash) != 0) {
        of = of->next;
    }
    return of;
}

static struct worker_cluster *cluster_start(struct worker *worker, const struct shared *shared,
                                            size_t index)
{
    struct worker_cluster *of = calloc(1, sizeof *of);
    if (of == NULL) {
        return NULL;
    }
    struct cluster_params params = {
        .io = &worker->world.io,
        .config = shared->config,
        .conf = &shared->config->clusters[index],
        .material = shared->material,
        .stats = &worker->world.stats,
        /* every worker looks; one tells */
        .audit = worker->params.number == 0 ? shared->audit : NULL,
        .on_node = cluster_on_node,
        .on_ready = cluster_on_ready,
        .context = of,
    };
    of->worker = worker;
    of->cluster = cluster_new(&params);
    if (of->cluster == NULL) {
        free(of);
        return NULL;
    }
    memcpy(of->hash, shared->cluster_hashes[index], sizeof of->hash);
    of->next = worker->clusters;
    worker->clusters = of;
    worker->clusters_open++;
    return of;
}

static void cluster_on_closed(void *context)
{
    struct worker_cluster *of = context;
    of->worker->clusters_open--;
    free(of);
}

static void cluster_unref(struct worker_cluster *of)
{
    if (--of->references > 0) {
        return;
    }
    struct worker_cluster **link = &of->worker->clusters;
    while (*link != of) {
        link = &(*link)->next;
    }
    *link = of->next;
    if (of->cluster != NULL) {
        cluster_close(&of->cluster, cluster_on_closed, of);
    } else {
        free(of);
    }
}

/* ---- editions ---- */

static void edition_on_unused(struct edition *edition)
{
    struct worker_edition *gone = (struct worker_edition *)edition;
    edition_free(&gone->edition);
    for (size_t i = 0; i < gone->clusters_count; i++) {
        cluster_unref(gone->clusters[i]);
    }
    free(gone->clusters);
    shared_unref(&gone->edition.shared);
    free(gone);
}

struct worker_edition *worker_edition_new(struct worker *worker, struct shared *shared)
{
    const struct config *config = shared->config;
    struct worker_edition *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->worker = worker;
    made->edition = (struct edition){
        .references = 1, .on_unused = edition_on_unused, .shared = shared_ref(shared)};
    made->clusters = calloc(config->clusters_count, sizeof(struct worker_cluster *));
    for (size_t i = 0; made->clusters != NULL && i < config->clusters_count; i++) {
        struct worker_cluster *of = cluster_same(worker, shared->cluster_hashes[i]);
        of = of != NULL ? of : cluster_start(worker, shared, i);
        if (of == NULL) {
            break;
        }
        of->references++;
        made->clusters[made->clusters_count++] = of;
    }
    if (made->clusters_count < config->clusters_count) {
        struct edition *edition = &made->edition;
        edition_unref(&edition);
        return NULL;
    }
    return made;
}

struct cluster *worker_edition_cluster(const struct worker_edition *edition, const char *name)
{
    const struct config *config = edition->edition.shared->config;
    for (size_t i = 0; i < edition->clusters_count; i++) {
        if (strcmp(config->clusters[i].name, name) == 0) {
            return edition->clusters[i]->cluster;
        }
    }
    return NULL;
}

/* ---- reload ---- */

void worker_open(struct listener *listener)
{
    struct cluster *cluster = listener_cluster(listener);
    struct cluster_node_info node;
    for (size_t i = 0; cluster_node_at(cluster, i, &node); i++) {
        if (node.node_id >= 0) {
            (void)listener_open_node(listener, node.node_id);
        }
    }
    if (cluster_ready(cluster)) {
        listener_open(listener);
    }
}

static struct listener *listener_that_stays(const struct worker *worker,
                                            const struct conf_listener *conf)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (listener_keeps(worker->listeners[i], conf)) {
            return worker->listeners[i];
        }
    }
    return NULL;
}

static bool plan(struct worker *worker, const struct conf_listener *conf, struct worker_plan *plan)
{
    struct cluster *cluster = worker_edition_cluster(worker->next, conf->cluster);
    plan->door = door_new(&worker->world, &worker->next->edition, cluster, conf);
    if (plan->door == NULL) {
        return false;
    }
    plan->listener = listener_that_stays(worker, conf);
    if (plan->listener == NULL) {
        plan->listener = listener_new(&worker->world, &plan->door, true, false);
    }
    return plan->listener != NULL;
}

bool worker_prepare(struct worker *worker, struct shared *shared)
{
    const struct config *config = shared->config;
    worker->next = worker_edition_new(worker, shared);
    worker->plans = calloc(config->listeners_count, sizeof *worker->plans);
    bool good = worker->next != NULL && worker->plans != NULL;
    for (size_t i = 0; good && i < config->listeners_count; i++) {
        worker->plan_count = i + 1;
        good = plan(worker, &config->listeners[i], &worker->plans[i]);
    }
    if (!good) {
        worker_abandon(worker);
    }
    return good;
}

/* Whether those who come by the ports that stay find brokers at once. */
bool worker_next_is_ready(const struct worker *worker)
{
    const struct config *config = worker->next->edition.shared->config;
    for (size_t i = 0; i < worker->plan_count; i++) {
        const struct cluster *cluster =
            worker_edition_cluster(worker->next, config->listeners[i].cluster);
        bool stays = worker->plans[i].door != NULL;
        bool before = stays && cluster_ready(listener_cluster(worker->plans[i].listener));
        if (before && !cluster_ready(cluster)) {
            return false;
        }
    }
    return true;
}

static void forget_plans(struct worker *worker)
{
    free(worker->plans);
    worker->plans = NULL;
    worker->plan_count = 0;
    worker->awaiting = false;
}

void worker_abandon(struct worker *worker)
{
    for (size_t i = 0; i < worker->plan_count; i++) {
        struct worker_plan *gone = &worker->plans[i];
        if (gone->door == NULL && gone->listener != NULL) {
            worker_leave(worker, gone->listener);
        }
        door_free(&gone->door);
    }
    forget_plans(worker);
    if (worker->next != NULL) {
        struct edition *edition = &worker->next->edition;
        worker->next = NULL;
        edition_unref(&edition);
    }
}

/* It accepts no more; freed when its last session has gone. */
void worker_leave(struct worker *worker, struct listener *listener)
{
    listener_stop(listener);
    struct listener **more =
        realloc(worker->leaving, (worker->leaving_count + 1) * sizeof(struct listener *));
    if (more == NULL) {
        abort();
    }
    worker->leaving = more;
    worker->leaving[worker->leaving_count++] = listener;
    worker_tick_start(worker);
}

static void take_limits(struct worker *worker, const struct config *before,
                        const struct config *now)
{
    const struct conf_limits *limits = &now->limits;
    if (limits->login_failure_delay_ms != before->limits.login_failure_delay_ms) {
        struct penalty *addresses = worker_penalty_new(limits), *names = worker_penalty_new(limits);
        if (addresses != NULL && names != NULL) {
            penalty_free(&worker->world.penalty);
            penalty_free(&worker->world.guesses);
            worker->world.penalty = addresses;
            worker->world.guesses = names;
        } else {
            penalty_free(&addresses);
            penalty_free(&names);
        }
    }
    if (limits->rewrite_max_bytes > before->limits.rewrite_max_bytes) {
        writer_free(&worker->world.rewrite);
        writer_init_growing(&worker->world.rewrite,
                            limits->rewrite_max_bytes + WORKER_REWRITE_ROOM);
        writer_free(&worker->world.filled);
        writer_init_growing(&worker->world.filled,
                            limits->rewrite_max_bytes + WORKER_REWRITE_ROOM);
    }
    for (struct worker_cluster *of = worker->clusters; of != NULL; of = of->next) {
        cluster_limit(of->cluster, limits);
    }
}

static bool is_planned(const struct worker *worker, const struct listener *listener)
{
    bool planned = false;
    for (size_t i = 0; i < worker->plan_count; i++) {
        planned = planned || worker->plans[i].listener == listener;
    }
    return planned;
}

void worker_commit(struct worker *worker)
{
    struct listener **listeners = calloc(worker->plan_count, sizeof(struct listener *));
    if (listeners == NULL) {
        abort();
    }
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (!is_planned(worker, worker->listeners[i])) {
            worker_leave(worker, worker->listeners[i]);
        }
    }
    free(worker->listeners);
    worker->listeners = listeners;
    worker->listener_count = worker->plan_count;
    struct edition *before = &worker->edition->edition;
    worker->edition = worker->next;
    worker->next = NULL;
    take_limits(worker, before->shared->config, worker->edition->edition.shared->config);
    for (size_t i = 0; i < worker->plan_count; i++) {
        struct worker_plan *made = &worker->plans[i];
        listeners[i] = made->listener;
        if (made->door != NULL) {
            listener_swap(made->listener, &made->door);
        } else {
            listener_unhold(made->listener); /* its port is bound */
        }
    }
    for (size_t i = 0; i < worker->listener_count; i++) {
        worker_open(listeners[i]);
    }
    forget_plans(worker);
    worker_judge(worker, worker->edition->edition.shared);
    edition_unref(&before);
}
