/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/fast_aes.h"
#include "auth/mapping.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/io/slow_work.h"
#include "proxy/listener.h"
#include "proxy/ops/audit_inlet.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/ledger.h"
#include "proxy/ops/log.h"
#include "proxy/ops/notify.h"
#include "proxy/ops/stats_file.h"
#include "proxy/privileges.h"
#include "proxy/process_private.h"
#include "proxy/sandbox.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "proxy/visitors.h"

enum {
    EXIT_CONFIG = 78,
    TRIM_LOOK_MS = 5000,
    TRIM_VISITORS_MIN = 256, /* fewer leave nothing worth the trouble */
    HURRY_MS = 3000,         /* a resolver that does not answer is not waited for */
};

/* ---- counters ---- */

static void process_sum(void *context, struct stats *out)
{
    struct process *process = context;
    const struct stats *all[PROCESS_WORKERS_MAX];
    for (size_t i = 0; i < process->worker_count; i++) {
        all[i] = worker_stats(process->workers[i].worker);
    }
    stats_sum(out, all, process->worker_count);
}

uint64_t process_sessions(struct process *process)
{
    struct stats sum;
    process_sum(process, &sum);
    return sum.client_active;
}

static void process_log_stats(struct process *process)
{
    struct stats sum;
    process_sum(process, &sum);
    stats_log(&sum, &process->stats_names);
}

void process_stats_file(struct process *process, bool on)
{
    if (!on) {
        stats_file_stop(&process->stats_file);
    } else if (process->options->stats_file != NULL && process->stats_file == NULL) {
        process->stats_file = stats_file_start(process->options->stats_file, 1000,
                                               &process->stats_names, process_sum, process);
    }
}

/* ---- the end ---- */

static void process_on_hurry(uv_timer_t *timer)
{
    struct process *process = timer->data;
    log_text(LOG_LEVEL_WARN, "stopped", "something that cannot be ended was left behind");
    process_audit(process, AUDIT_STOP, "at once, with work left behind");
    audit_log_close(&process->audit);
    log_shutdown();
    _exit(process->status);
}

void process_order(struct process *process, enum worker_order order)
{
    if (order <= process->order) {
        return;
    }
    bool handed = process->phase == PHASE_HANDED;
    process_cancel_handover(process);
    process->order = order;
    process->phase = PHASE_ENDING;
    if (handed && order == WORKER_DRAIN) {
        log_text(LOG_LEVEL_INFO, "handed_over", "the last session has ended");
    } else {
        log_text(LOG_LEVEL_INFO, order == WORKER_DRAIN ? "draining" : "stopping",
                 order == WORKER_DRAIN ? "no new connections; again to stop at once" : "at once");
        notify_send("STOPPING=1");
    }
    process_audit(process, AUDIT_DRAIN, NULL);
    if (process->predecessor != NULL) {
        (void)channel_send(process->predecessor, HANDOVER_GOODBYE, view_of(NULL, 0), NULL, 0);
    }
    if (order == WORKER_STOP) {
        uv_timer_start(&process->hurry, process_on_hurry, HURRY_MS, 0);
    }
    for (size_t i = 0; i < process->worker_count; i++) {
        worker_order(process->workers[i].worker, order);
    }
    if (!process->threads) {
        process_end(process);
    }
}

void process_end(struct process *process)
{
    if (!process->handles) {
        return;
    }
    process->handles = false;
    process_rotation_stop(process);
    for (size_t i = 0; i < PROCESS_SIGNALS; i++) {
        uv_close((uv_handle_t *)&process->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&process->trim, NULL);
    uv_close((uv_handle_t *)&process->patience, NULL);
    uv_close((uv_handle_t *)&process->hurry, NULL);
    uv_close((uv_handle_t *)&process->watchdog, NULL);
    uv_close((uv_handle_t *)&process->wake, NULL);
    if (process->launcher_open) {
        uv_close((uv_handle_t *)&process->launcher_poll, NULL);
        process->launcher_open = false;
    }
    if (process->control != NULL && process->control_is_ours) {
        (void)unlink(process->control_path);
    }
    control_close(&process->control);
    audit_inlet_close(&process->inlet);
    channel_close(&process->predecessor);
}

/* ---- signals ---- */

static void process_on_signal(uv_signal_t *handle, int number)
{
    struct process *process = handle->data;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        process_audit_admin(process, "drain", number == SIGTERM ? "signal TERM" : "signal INT");
        process_order(process, process->order == WORKER_GO_ON ? WORKER_DRAIN : WORKER_STOP);
        break;
    case SIGQUIT:
        process_audit_admin(process, "stop", "signal QUIT");
        process_order(process, WORKER_STOP);
        break;
    case SIGUSR1:
        process_log_stats(process);
        if (log_reopen() != 0) {
            log_text(LOG_LEVEL_ERROR, "log_not_reopened", "the old file stays in use");
        }
        break;
    case SIGUSR2:
        process_audit_admin(process, "takeover", "signal USR2");
        process_spawn(process);
        break;
    case SIGHUP:
        process_audit_admin(process, "reload", "signal HUP");
        process_reload(process, 0);
        break;
    default:
        break;
    }
}

static bool process_signals(struct process *process)
{
    static const int numbers[PROCESS_SIGNALS] = {SIGTERM, SIGINT,  SIGQUIT,
                                                 SIGUSR1, SIGUSR2, SIGHUP};
    bool good = true;
    for (size_t i = 0; i < PROCESS_SIGNALS; i++) {
        process->signals[i].data = process;
        (void)uv_signal_init(&process->loop, &process->signals[i]);
        good = uv_signal_start(&process->signals[i], process_on_signal, numbers[i]) == 0 && good;
    }
    return good;
}

/*
 * The C library keeps what thousands of connections have left behind. It is given back when most of them have gone,
 * here and not in a worker, which can go on meanwhile.
 */
static void process_on_trim(uv_timer_t *timer)
{
    struct process *process = timer->data;
    process_certificates_look(process);
    if (visitors_have_left(process->visitors, TRIM_VISITORS_MIN)) {
        malloc_trim(0);
    }
}

/* ---- the beginning ---- */

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
    process->ledger = ledger_open(&params, error, sizeof error);
    if (process->ledger == NULL) {
        log_text(LOG_LEVEL_ERROR, "ledger_not_opened", error);
        return false;
    }
    process->stats_names.ledger = process->ledger;
    return true;
}

static bool process_open_log(const struct config *config)
{
    struct log_params log = {
        .level = (enum log_level)config->log.level,
        .format = (enum log_format)config->log.format,
        .file = config->log.file,
    };
    if (log_init(&log) != 0) {
        log_text(LOG_LEVEL_ERROR, "log_not_opened", config->log.file);
        return false;
    }
    return true;
}

static bool process_open_audit(struct process *process)
{
    const struct config *config = process->shared->config;
    struct audit_log_params audit = {
        .file = config->audit.file,
        .on_failure =
            config->audit.on_failure == CONF_AUDIT_DENY ? AUDIT_LOG_DENY : AUDIT_LOG_CONTINUE,
        .held = process->dialled >= 0,
        .key = process->shared->audit_key,
        .checkpoint_records = config->audit.checkpoint_records,
        .checkpoint_interval_ms = config->audit.checkpoint_interval_ms,
        .unsynced_max_ms = config->audit.unsynced_max_ms,
        .rotate_bytes = config->audit.rotate_bytes,
        .keep = config->audit.keep,
        .mapping_hash = mapping_hash(process->shared->mapping),
        .config_hash = process->shared->config_hash,
    };
    char error[512];
    process->audit = audit_log_open(&audit, error, sizeof error);
    if (process->audit == NULL) {
        log_text(LOG_LEVEL_ERROR, "audit_log_not_opened", error);
        return false;
    }
    process->stats_names.close_reason = close_reason_name;
    process->stats_names.audit = process->audit;
    stats_hash_init(&process->mapping_hash);
    stats_hash_set(&process->mapping_hash, mapping_hash(process->shared->mapping));
    process->stats_names.mapping = &process->mapping_hash;
    process_certificates_begin(process);
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

static void process_log_privileges(const struct privileges *who)
{
    struct log_field fields[] = {
        log_str("user", who->user),
        log_uint("uid", who->uid),
        log_uint("gid", who->gid),
        log_str("capabilities", who->low_ports ? "CAP_NET_BIND_SERVICE" : "none"),
    };
    if (who->dropped) {
        log_write(LOG_LEVEL_INFO, "privileges_dropped", fields, 4);
    } else if (geteuid() == 0) {
        log_text(LOG_LEVEL_WARN, "runs_as_root",
                 "security.user names whom to become, or the service manager does it");
    }
}

/* After everything that is opened once, before the first byte of a stranger. */
static bool process_enter_sandbox(const struct process *process)
{
    if (!process->shared->config->security.seccomp) {
        log_text(LOG_LEVEL_WARN, "seccomp_off",
                 "by configuration: a break-in could start programs");
        return true;
    }
    if (!sandbox_enter()) {
        struct log_field fields[] = {
            log_str("error", strerror(errno)),
            log_str("text",
                    "this kernel refuses the filter; security.seccomp: false runs without it"),
        };
        log_write(LOG_LEVEL_ERROR, "seccomp_failed", fields, 2);
        return false;
    }
    log_text(LOG_LEVEL_INFO, "seccomp_on", "this process starts no programs from here on");
    return true;
}

static bool process_ports_are_free(const struct process *process)
{
    const struct config *config = process->shared->config;
    bool free = true;
    for (size_t i = 0;
         config->workers > 1 && process->promised.sockets == NULL && i < config->listeners_count;
         i++) {
        free = listener_port_is_free(&config->listeners[i]) && free;
    }
    return free;
}

static void *process_thread(void *context)
{
    const struct process_worker *of = context;
    struct process *process = of->process;
    worker_run(of->worker);
    atomic_fetch_add(&process->ended, 1);
    uv_async_send(&process->wake);
    return NULL;
}

static bool process_make_workers(struct process *process)
{
    size_t count = process->shared->config->workers;
    if (!process_ports_are_free(process)) {
        return false;
    }
    process->workers = calloc(count, sizeof *process->workers);
    if (process->workers == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct worker_params params = {
            .shared = process->shared,
            .number = i,
            .count = count,
            .promised = process->promised.sockets != NULL ? &process->promised : NULL,
            .events = process_events(process),
        };
        struct worker *worker = worker_new(&params);
        if (worker == NULL) {
            log_text(LOG_LEVEL_ERROR, "worker_not_started", "see the lines before");
            return false;
        }
        process->workers[i] = (struct process_worker){.process = process, .worker = worker};
        process->worker_count++;
    }
    return true;
}

bool process_start_workers(struct process *process)
{
    bool good = process_make_workers(process);
    for (size_t i = 0; i < process->worker_count; i++) {
        struct process_worker *of = &process->workers[i];
        if (pthread_create(&of->thread, NULL, process_thread, of) != 0) {
            abort();
        }
    }
    process->threads = process->worker_count > 0;
    return good;
}

void process_started(struct process *process, const char *event)
{
    struct log_field fields[] = {
        log_str("version", SETU_VERSION),
        log_uint("workers", process->worker_count),
        log_str("config", process->options->config_file),
        log_str("config_hash", process->shared->config_hash),
        log_str("mapping_hash", mapping_hash(process->shared->mapping)),
        log_str("control", process->control != NULL ? process->control_path : NULL),
    };
    process->phase = PHASE_SERVING;
    log_write(LOG_LEVEL_INFO, event, fields, sizeof fields / sizeof fields[0]);
    process_audit(process, AUDIT_START, event);
    process_stats_file(process, true);
    process_rotation_start(process);
    notify_send("MAINPID=%ld\nREADY=1\nSTATUS=serving", (long)getpid());
    process_watchdog_start(process);
}

static bool process_open_loop(struct process *process)
{
    if (uv_loop_init(&process->loop) != 0) {
        return false;
    }
    if (uv_async_init(&process->loop, &process->wake, process_on_wake) != 0) {
        (void)uv_loop_close(&process->loop);
        return false;
    }
    process->handles = true;
    uv_timer_t *const timers[] = {&process->trim, &process->hurry, &process->patience,
                                 &process->watchdog};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        (void)uv_timer_init(&process->loop, timers[i]); /* never fails */
        timers[i]->data = process;
    }
    process->wake.data = process;
    uv_timer_start(&process->trim, process_on_trim, TRIM_LOOK_MS, TRIM_LOOK_MS);
    if (process->launcher.fd >= 0 && !process_watch_launcher(process)) {
        return false;
    }
    return process_signals(process);
}

static bool process_begin(struct process *process)
{
    if (process->dialled >= 0) {
        return process_take_over(process);
    }
    if (!process_control_open(process) || !process_take_passed(process)) {
        return false;
    }
    process_started(process, "started");
    return true;
}

static int process_serve(struct process *process)
{
    if (!process_open_loop(process)) {
        return 1;
    }
    if (!process_begin(process)) {
        process->status = 1;
        process_order(process, WORKER_STOP);
    }
    uv_run(&process->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < process->worker_count; i++) {
        pthread_join(process->workers[i].thread, NULL);
    }
    stats_file_stop(&process->stats_file);
    process_log_stats(process);
    process_audit(process, AUDIT_STOP, NULL);
    for (size_t i = 0; i < process->worker_count; i++) {
        worker_free(&process->workers[i].worker);
        free(process->workers[i].sockets);
    }
    free(process->workers);
    return uv_loop_close(&process->loop) == 0 ? process->status : 1;
}

/* Everything but the configuration, which is loaded, and the log, which is open. */
static int process_live(struct process *process)
{
    const struct conf_limits *limits = &process->shared->config->limits;
    process->visitors = visitors_new(limits->connections, limits->connections_per_address);
    if (process->visitors == NULL || !process_dial(process) || !process_open_audit(process)) {
        audit_log_close(&process->audit);
        return 1;
    }
    process->shared->audit = process->audit;
    process->shared->ledger = process->ledger;
    process->shared->visitors = process->visitors;
    process->shared->session_ids = &process->session_ids;
    process_raise_limits(process->shared->config);
    process_choose_aes(process);
    int status = process_enter_sandbox(process) ? process_serve(process) : 1;
    ledger_close(&process->ledger);
    audit_log_close(&process->audit);
    if (status == 0) {
        log_text(LOG_LEVEL_INFO, "stopped", "all sessions have ended");
    }
    return status;
}

static bool process_leave_root(const struct run_options *options, struct privileges *who_r)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    bool good = privileges_leave(options->config_file, who_r, &errors);
    options->problems(&errors);
    conf_errors_deinit(&errors);
    return good;
}

int process_run(const struct run_options *options)
{
    struct privileges who = {.user = ""};
    struct process process = {
        .options = options, .dialled = -1, .audit_end = -1, .launcher.fd = -1};
    process.watchdog_ms = notify_watchdog_ms();
    if (!process_leave_root(options, &who)) {
        return EXIT_CONFIG;
    }
    if (!launcher_begin(&process.launcher)) {
        fprintf(stderr, "setu: no process to start a successor with (%s): USR2 will be refused\n",
                strerror(errno));
    }
    struct conf_errors errors;
    conf_errors_init(&errors);
    process.shared = shared_load(options->config_file, &errors);
    options->problems(&errors);
    conf_errors_deinit(&errors);
    if (process.shared == NULL) {
        launcher_end(&process.launcher);
        free(process.launcher.command);
        return EXIT_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN);
    slow_work_size_pool(process.shared->config->workers);
    int status =
        process_enter_landlock(&process) && process_open_log(process.shared->config) ? 0 : 1;
    if (status == 0) {
        process_log_privileges(&who);
        process_log_landlock(&process);
        status = process_live(&process);
    }
    landlock_free(&process.landlock);
    free(process.promised.sockets);
    free(process.received.sockets);
    launcher_end(&process.launcher);
    free(process.launcher.command);
    process_certificates_end(&process);
    shared_unref(&process.next);
    shared_unref(&process.shared);
    visitors_free(&process.visitors);
    if (process.dialled >= 0) {
        close(process.dialled);
    }
    log_shutdown();
    return status;
}
