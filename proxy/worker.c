/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#include "auth/audit.h"
#include "auth/fast_aes.h"
#include "auth/mapping.h"
#include "auth/penalty.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/cluster/cluster.h"
#include "proxy/listener.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats_file.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"

enum { EXIT_CONFIG = 78, WORKER_PENALTY_ADDRESSES = 4096, WORKER_TICK_MS = 20 };

enum worker_order { WORKER_GO_ON, WORKER_DRAIN, WORKER_STOP };

struct worker;

/* What a cluster's callbacks are given. */
struct worker_cluster {
    struct worker *worker;
    struct cluster *cluster;
};

struct worker {
    struct world world;
    uv_loop_t loop;
    uv_async_t order_async; /* the main thread has set order */
    uv_timer_t drain_timer;
    atomic_int order;
    struct worker_cluster *clusters; /* one per configured cluster, in its order */
    struct listener **listeners;
    size_t listener_count;
    size_t clusters_open;
    uint64_t drain_deadline_ms; /* loop time */
    pthread_t thread;
    bool first;  /* of all workers */
    bool ending; /* the last handles are being closed */
    bool failed;
};

/* ---- the end of a worker ---- */

static void worker_close_all(struct worker *worker, enum close_reason reason)
{
    struct session *next = NULL;
    for (struct session *s = worker->world.sessions; s != NULL; s = next) {
        next = s->next;
        session_close(s, reason);
    }
}

static bool worker_is_idle(const struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i] != NULL && !listener_is_idle(worker->listeners[i])) {
            return false;
        }
    }
    return worker->world.session_count == 0;
}

static void worker_cluster_closed(void *context)
{
    struct worker *worker = context;
    worker->clusters_open--;
}

/* The last session has gone: what is left are the handles of the worker itself. */
static void worker_finish(struct worker *worker)
{
    const struct config *config = worker->world.shared->config;
    if (worker->ending || !worker_is_idle(worker)) {
        return;
    }
    worker->ending = true;
    for (size_t i = 0; i < config->clusters_count; i++) {
        cluster_close(&worker->clusters[i].cluster, worker_cluster_closed, worker);
    }
    uv_close((uv_handle_t *)&worker->order_async, NULL);
    uv_close((uv_handle_t *)&worker->drain_timer, NULL);
    io_stop(&worker->world.io);
}

/* Sessions and listeners end in callbacks of their own: a look every tick sees the last of them gone. */
static void worker_drain_tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    if (uv_now(&worker->loop) >= worker->drain_deadline_ms) {
        worker_close_all(worker, CLOSE_DRAIN_TIMEOUT);
    }
    worker_finish(worker);
}

static void worker_drain(struct worker *worker)
{
    struct world *world = &worker->world;
    struct session *next = NULL;
    world->draining = true;
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_stop(worker->listeners[i]);
    }
    for (struct session *s = world->sessions; s != NULL; s = next) {
        next = s->next;
        session_drain(s);
    }
    worker->drain_deadline_ms =
        uv_now(&worker->loop) + world->shared->config->limits.drain_timeout_ms;
    uv_timer_start(&worker->drain_timer, worker_drain_tick, WORKER_TICK_MS, WORKER_TICK_MS);
}

static void worker_on_order(uv_async_t *async)
{
    struct worker *worker = async->data;
    int order = atomic_load(&worker->order);
    if (worker->ending) {
        return;
    }
    if (order != WORKER_GO_ON && !worker->world.draining) {
        worker_drain(worker);
    }
    if (order == WORKER_STOP) {
        worker_close_all(worker, CLOSE_STOPPED);
    }
}

/* ---- the beginning of a worker ---- */

static void worker_on_node(void *context, int32_t node_id)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        struct listener *listener = of->worker->listeners[i];
        if (listener_cluster(listener) == of->cluster) {
            (void)listener_open_node(listener, node_id);
        }
    }
}

static void worker_on_ready(void *context)
{
    const struct worker_cluster *of = context;
    for (size_t i = 0; i < of->worker->listener_count; i++) {
        if (listener_cluster(of->worker->listeners[i]) == of->cluster) {
            listener_open(of->worker->listeners[i]);
        }
    }
}

static bool worker_start_clusters(struct worker *worker)
{
    struct shared *shared = worker->world.shared;
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        struct cluster_params params = {
            .io = &worker->world.io,
            .config = config,
            .conf = &config->clusters[i],
            .certificates = shared->certificates,
            .stats = &worker->world.stats,
            .audit = worker->first ? shared->audit : NULL, /* every worker looks; one tells */
            .on_node = worker_on_node,
            .on_ready = worker_on_ready,
            .context = &worker->clusters[i],
        };
        worker->clusters[i] = (struct worker_cluster){worker, cluster_new(&params)};
        if (worker->clusters[i].cluster == NULL) {
            return false;
        }
        worker->clusters_open++;
    }
    return true;
}

static struct cluster *worker_cluster(const struct worker *worker, const char *name)
{
    const struct config *config = worker->world.shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        if (strcmp(config->clusters[i].name, name) == 0) {
            return worker->clusters[i].cluster;
        }
    }
    return NULL;
}

static bool worker_start_listeners(struct worker *worker)
{
    const struct config *config = worker->world.shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *conf = &config->listeners[i];
        worker->listeners[i] =
            listener_new(&worker->world, worker_cluster(worker, conf->cluster), conf);
        if (worker->listeners[i] == NULL) {
            return false;
        }
        worker->listener_count++;
    }
    return true;
}

static bool worker_init(struct worker *worker, struct shared *shared)
{
    const struct config *config = shared->config;
    struct penalty_limits limits = {
        .addresses_max = WORKER_PENALTY_ADDRESSES,
        .delay_base_ms = (uint32_t)config->limits.login_failure_delay_ms,
        .delay_max_ms = (uint32_t)config->limits.login_failure_delay_ms * 16,
        .failures_free = 4,
    };
    uint8_t key[16];
    if (uv_loop_init(&worker->loop) != 0 || !world_random(NULL, key, sizeof key)) {
        return false;
    }
    io_init(&worker->world.io, &worker->loop);
    worker->world.shared = shared;
    worker->world.penalty = penalty_new(&limits, key);
    worker->world.tls_sessions = tls_sessions_new(&tls_sessions_limits_default);
    writer_init_growing(&worker->world.rewrite, config->limits.rewrite_max_bytes + 65536);
    worker->clusters = calloc(config->clusters_count, sizeof *worker->clusters);
    worker->listeners = calloc(config->listeners_count, sizeof(struct listener *));
    if (worker->world.penalty == NULL || worker->clusters == NULL || worker->listeners == NULL ||
        uv_async_init(&worker->loop, &worker->order_async, worker_on_order) != 0 ||
        uv_timer_init(&worker->loop, &worker->drain_timer) != 0) {
        return false;
    }
    worker->order_async.data = worker;
    worker->drain_timer.data = worker;
    return worker_start_clusters(worker) && worker_start_listeners(worker);
}

static void worker_free(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_free(&worker->listeners[i]);
    }
    free(worker->listeners);
    free(worker->clusters);
    penalty_free(&worker->world.penalty);
    writer_free(&worker->world.rewrite);
    world_free(&worker->world);
    io_free(&worker->world.io);
    int rc = uv_loop_close(&worker->loop);
    assert(rc == 0);
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void worker_order(struct worker *worker, enum worker_order order)
{
    atomic_store(&worker->order, order);
    uv_async_send(&worker->order_async);
}

/* ---- the process ---- */

struct process {
    const struct run_options *options;
    struct shared *shared;
    struct worker *workers;
    size_t worker_count;
    uv_loop_t loop;
    uv_signal_t signals[6];
    uv_async_t ended;
    size_t ended_count;
    pthread_mutex_t lock;
    struct stats_file *stats_file;
    struct stats_names stats_names;
    enum worker_order order;
};

static void process_sum(void *context, struct stats *out)
{
    struct process *process = context;
    const struct stats *all[256];
    size_t count = process->worker_count < 256 ? process->worker_count : 256;
    for (size_t i = 0; i < count; i++) {
        all[i] = &process->workers[i].world.stats;
    }
    stats_sum(out, all, count);
}

static void process_log_stats(struct process *process)
{
    struct stats sum;
    process_sum(process, &sum);
    stats_log(&sum, &process->stats_names);
}

static void process_audit(struct process *process, enum audit_code code)
{
    struct audit_event event = audit_event_init(code);
    event.time_ns = world_now_ns();
    event.config_hash = process->shared->config_hash;
    event.mapping_hash = mapping_hash(process->shared->mapping);
    (void)audit_log_append(process->shared->audit, &event);
}

static void process_order(struct process *process, enum worker_order order)
{
    if (order <= process->order) {
        return;
    }
    process->order = order;
    log_text(LOG_LEVEL_INFO, order == WORKER_DRAIN ? "draining" : "stopping",
             order == WORKER_DRAIN ? "no new connections; again to stop at once" : "at once");
    process_audit(process, AUDIT_DRAIN);
    for (size_t i = 0; i < process->worker_count; i++) {
        worker_order(&process->workers[i], order);
    }
}

static void process_on_signal(uv_signal_t *handle, int number)
{
    struct process *process = handle->data;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        process_order(process, process->order == WORKER_GO_ON ? WORKER_DRAIN : WORKER_STOP);
        break;
    case SIGQUIT:
        process_order(process, WORKER_STOP);
        break;
    case SIGUSR1:
        process_log_stats(process);
        if (log_reopen() != 0) {
            log_text(LOG_LEVEL_ERROR, "log_not_reopened", "the old file stays in use");
        }
        break;
    case SIGHUP:
        log_text(LOG_LEVEL_WARN, "reload_refused",
                 "this version does not reload; restart to use a new configuration");
        break;
    default:
        break;
    }
}

static bool process_signals(struct process *process)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        process->signals[i].data = process;
        if (uv_signal_init(&process->loop, &process->signals[i]) != 0 ||
            uv_signal_start(&process->signals[i], process_on_signal, numbers[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void process_on_ended(uv_async_t *async)
{
    struct process *process = async->data;
    pthread_mutex_lock(&process->lock);
    bool all = process->ended_count == process->worker_count;
    pthread_mutex_unlock(&process->lock);
    if (!all || uv_is_closing((uv_handle_t *)async)) {
        return;
    }
    for (size_t i = 0; i < 5; i++) {
        uv_close((uv_handle_t *)&process->signals[i], NULL);
    }
    uv_close((uv_handle_t *)async, NULL);
}

struct thread_start {
    struct process *process;
    struct worker *worker;
};

static void *process_thread(void *context)
{
    struct thread_start start = *(struct thread_start *)context;
    free(context);
    worker_run(start.worker);
    pthread_mutex_lock(&start.process->lock);
    start.process->ended_count++;
    pthread_mutex_unlock(&start.process->lock);
    uv_async_send(&start.process->ended);
    return NULL;
}

static bool process_start_threads(struct process *process)
{
    for (size_t i = 0; i < process->worker_count; i++) {
        struct thread_start *start = malloc(sizeof *start);
        if (start == NULL) {
            abort();
        }
        *start = (struct thread_start){process, &process->workers[i]};
        if (pthread_create(&process->workers[i].thread, NULL, process_thread, start) != 0) {
            abort();
        }
    }
    return true;
}

/* Descriptors: two a session, as many as the configuration allows, and some for the rest. */
static void process_raise_limits(const struct config *config)
{
    struct rlimit files;
    rlim_t wanted = (rlim_t)config->limits.connections * 2 + 1024;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) {
        return;
    }
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < wanted) {
        log_text(LOG_LEVEL_WARN, "descriptors_few",
                 "the descriptor limit is below limits.connections * 2 + 1024 (raise LimitNOFILE)");
    }
}

static bool process_open_logs(struct process *process)
{
    const struct config *config = process->shared->config;
    struct log_params log = {
        .level = (enum log_level)config->log.level,
        .format = (enum log_format)config->log.format,
        .file = config->log.file,
    };
    struct audit_log_params audit = {
        .file = config->audit.file,
        .on_failure =
            config->audit.on_failure == CONF_AUDIT_DENY ? AUDIT_LOG_DENY : AUDIT_LOG_CONTINUE,
    };
    char error[512];
    if (log_init(&log) != 0) {
        log_text(LOG_LEVEL_ERROR, "log_not_opened", config->log.file);
        return false;
    }
    process->shared->audit = audit_log_open(&audit, error, sizeof error);
    if (process->shared->audit == NULL) {
        log_text(LOG_LEVEL_ERROR, "audit_log_not_opened", error);
        return false;
    }
    process->stats_names.close_reason = close_reason_name;
    process->stats_names.audit = process->shared->audit;
    return true;
}

/* Before the first SSL_CTX that serves: whose AES-GCM they will have. */
static void process_choose_aes(struct process *process)
{
    static const char *const modes[] = {"off", "auto", "on"};
    const enum conf_fast_aes mode = process->shared->config->crypto.fast_aes;
    struct fast_aes_decision decision;
    fast_aes_start(mode, uv_hrtime, &decision);
    process->stats_names.aes = decision.implementation;
    const bool refused = decision.failed || (mode == CONF_FAST_AES_ON && !decision.active);
    struct log_field fields[] = {
        log_str("implementation", decision.implementation),
        log_str("fast_aes", modes[mode]),
        log_str("why", decision.why),
        log_str("openssl", OpenSSL_version(OPENSSL_VERSION_STRING)),
    };
    log_write(decision.failed ? LOG_LEVEL_ERROR
              : refused       ? LOG_LEVEL_WARN
                              : LOG_LEVEL_INFO,
              "aes", fields, sizeof fields / sizeof fields[0]);
}

static bool process_ports_are_free(const struct config *config)
{
    bool free = true;
    for (size_t i = 0; config->workers > 1 && i < config->listeners_count; i++) {
        free = listener_port_is_free(&config->listeners[i]) && free;
    }
    return free;
}

static bool process_start_workers(struct process *process)
{
    size_t count = process->shared->config->workers;
    if (!process_ports_are_free(process->shared->config)) {
        return false;
    }
    process->workers = calloc(count, sizeof *process->workers);
    if (process->workers == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        process->workers[i].first = i == 0;
        if (!worker_init(&process->workers[i], process->shared)) {
            log_text(LOG_LEVEL_ERROR, "worker_not_started", "see the lines before");
            return false;
        }
        process->worker_count++;
    }
    return true;
}

static void process_log_started(const struct process *process)
{
    struct log_field fields[] = {
        log_str("version", SETU_VERSION),
        log_uint("workers", process->worker_count),
        log_str("config", process->options->config_file),
        log_str("config_hash", process->shared->config_hash),
        log_str("mapping_hash", mapping_hash(process->shared->mapping)),
    };
    log_write(LOG_LEVEL_INFO, "started", fields, sizeof fields / sizeof fields[0]);
}

static int process_serve(struct process *process)
{
    if (uv_loop_init(&process->loop) != 0 ||
        uv_async_init(&process->loop, &process->ended, process_on_ended) != 0 ||
        !process_signals(process) || !process_start_workers(process)) {
        return 1;
    }
    process->ended.data = process;
    process_log_started(process);
    process_audit(process, AUDIT_START);
    process_start_threads(process);
    if (process->options->stats_file != NULL) {
        process->stats_file = stats_file_start(process->options->stats_file, 1000,
                                               &process->stats_names, process_sum, process);
    }
    uv_run(&process->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < process->worker_count; i++) {
        pthread_join(process->workers[i].thread, NULL);
    }
    stats_file_stop(&process->stats_file);
    process_log_stats(process);
    process_audit(process, AUDIT_STOP);
    for (size_t i = 0; i < process->worker_count; i++) {
        worker_free(&process->workers[i]);
    }
    free(process->workers);
    return uv_loop_close(&process->loop) == 0 ? 0 : 1;
}

int worker_run_all(const struct run_options *options)
{
    struct process process = {.options = options, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct conf_errors errors;
    conf_errors_init(&errors);
    process.shared = shared_load(options->config_file, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_deinit(&errors);
    if (process.shared == NULL) {
        return EXIT_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0); /* credentials pass through this memory: no core, no ptrace (T76) */
    int status = 1;
    if (process_open_logs(&process)) {
        process_raise_limits(process.shared->config);
        process_choose_aes(&process);
        status = process_serve(&process);
        audit_log_close(&process.shared->audit);
    }
    if (status == 0) {
        log_text(LOG_LEVEL_INFO, "stopped", "all sessions have ended");
        shared_free(&process.shared);
    }
    log_shutdown();
    return status;
}
