/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

#include "auth/audit.h"
#include "auth/fast_aes.h"
#include "auth/mapping.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/listener.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/log.h"
#include "proxy/ops/stats_file.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "proxy/visitors.h"
#include "proxy/worker.h"

enum {
    EXIT_CONFIG = 78,
    SIGNALS = 5,
    TRIM_LOOK_MS = 5000,
    TRIM_VISITORS_MIN = 256, /* fewer leave nothing worth the trouble */
};

struct process_worker {
    struct process *process;
    struct worker *worker;
    pthread_t thread;
};

struct process {
    const struct run_options *options;
    struct shared *shared;
    struct process_worker *workers;
    size_t worker_count;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_async_t ended;
    uv_timer_t trim;
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
        all[i] = worker_stats(process->workers[i].worker);
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
        worker_order(process->workers[i].worker, order);
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
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP};
    for (size_t i = 0; i < SIGNALS; i++) {
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
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&process->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&process->trim, NULL);
    uv_close((uv_handle_t *)async, NULL);
}

static void *process_thread(void *context)
{
    const struct process_worker *of = context;
    struct process *process = of->process;
    worker_run(of->worker);
    pthread_mutex_lock(&process->lock);
    process->ended_count++;
    pthread_mutex_unlock(&process->lock);
    uv_async_send(&process->ended);
    return NULL;
}

static void process_start_threads(struct process *process)
{
    for (size_t i = 0; i < process->worker_count; i++) {
        struct process_worker *of = &process->workers[i];
        if (pthread_create(&of->thread, NULL, process_thread, of) != 0) {
            abort();
        }
    }
}

/*
 * The C library keeps what thousands of connections have left behind. It is given back when most of them have gone,
 * here and not in a worker, which can go on meanwhile.
 */
static void process_on_trim(uv_timer_t *timer)
{
    struct process *process = timer->data;
    if (visitors_have_left(process->shared->visitors, TRIM_VISITORS_MIN)) {
        malloc_trim(0);
    }
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

static bool process_open_ledger(struct process *process)
{
    const struct conf_ledger *conf = &process->shared->config->ledger;
    const struct ledger_params params = {.directory = conf->directory,
                                         .rotate_bytes = conf->rotate_bytes};
    char error[512];
    if (conf->directory[0] == '\0') {
        return true;
    }
    process->shared->ledger = ledger_open(&params, error, sizeof error);
    if (process->shared->ledger == NULL) {
        log_text(LOG_LEVEL_ERROR, "ledger_not_opened", error);
        return false;
    }
    process->stats_names.ledger = process->shared->ledger;
    return true;
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
    return process_open_ledger(process);
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
        struct worker *worker = worker_new(process->shared, i == 0);
        if (worker == NULL) {
            log_text(LOG_LEVEL_ERROR, "worker_not_started", "see the lines before");
            return false;
        }
        process->workers[i] = (struct process_worker){.process = process, .worker = worker};
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

static bool process_start(struct process *process)
{
    if (uv_loop_init(&process->loop) != 0 ||
        uv_async_init(&process->loop, &process->ended, process_on_ended) != 0 ||
        uv_timer_init(&process->loop, &process->trim) != 0 || !process_signals(process) ||
        !process_start_workers(process)) {
        return false;
    }
    process->ended.data = process;
    process->trim.data = process;
    uv_timer_start(&process->trim, process_on_trim, TRIM_LOOK_MS, TRIM_LOOK_MS);
    process_log_started(process);
    process_audit(process, AUDIT_START);
    process_start_threads(process);
    if (process->options->stats_file != NULL) {
        process->stats_file = stats_file_start(process->options->stats_file, 1000,
                                               &process->stats_names, process_sum, process);
    }
    return true;
}

static int process_serve(struct process *process)
{
    if (!process_start(process)) {
        return 1;
    }
    uv_run(&process->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < process->worker_count; i++) {
        pthread_join(process->workers[i].thread, NULL);
    }
    stats_file_stop(&process->stats_file);
    process_log_stats(process);
    process_audit(process, AUDIT_STOP);
    for (size_t i = 0; i < process->worker_count; i++) {
        worker_free(&process->workers[i].worker);
    }
    free(process->workers);
    return uv_loop_close(&process->loop) == 0 ? 0 : 1;
}

int process_run(const struct run_options *options)
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
    if (!process_open_logs(&process)) {
        audit_log_close(&process.shared->audit);
        shared_free(&process.shared);
        log_shutdown();
        return 1;
    }
    process_raise_limits(process.shared->config);
    process_choose_aes(&process);
    int status = process_serve(&process);
    ledger_close(&process.shared->ledger);
    audit_log_close(&process.shared->audit);
    if (status == 0) {
        log_text(LOG_LEVEL_INFO, "stopped", "all sessions have ended");
        shared_free(&process.shared);
    }
    log_shutdown();
    return status;
}
