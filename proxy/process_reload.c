/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/audit_key.h"
#include "auth/certificates.h"
#include "auth/mapping.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/ops/notify.h"
#include "proxy/process_private.h"
#include "proxy/session/node_address.h"
#include "proxy/session/world.h"
#include "proxy/shared.h"
#include "proxy/visitors.h"

enum { READY_MS = 10000, PROBLEMS_MAX = 100 };

/* ---- what is told ---- */

static void tell(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(json_t *list, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_array_append_new(list, json_string(text));
}

static json_t *problems(const struct conf_errors *errors)
{
    json_t *list = json_array();
    for (size_t i = 0; i < errors->count && i < PROBLEMS_MAX; i++) {
        const struct conf_error *error = &errors->items[i];
        /* json_pack gives NULL for what is not UTF-8; then the place alone is told. */
        json_t *row = json_pack(
            "{s:s, s:i, s:i, s:s, s:s}", "file", error->file, "line", error->line, "column",
            error->column, "severity", error->severity == CONF_ERROR ? "error" : "warning", "text",
            error->text);
        json_array_append_new(list, row != NULL ? row : json_pack("{s:i}", "line", error->line));
    }
    return list;
}

static void compare_listeners(const struct config *before, const struct config *now,
                              json_t *changes)
{
    for (size_t i = 0; i < now->listeners_count; i++) {
        const char *name = now->listeners[i].name;
        const struct conf_listener *old = config_listener(before, name);
        if (old == NULL) {
            tell(changes, "listener %s: added", name);
        } else if (!node_address_same_bootstrap(old, &now->listeners[i])) {
            tell(changes, "listener %s: moved", name);
        }
    }
    for (size_t i = 0; i < before->listeners_count; i++) {
        if (config_listener(now, before->listeners[i].name) == NULL) {
            tell(changes, "listener %s: removed", before->listeners[i].name);
        }
    }
}

static void compare_clusters(const struct shared *before, const struct shared *now, json_t *changes)
{
    for (size_t i = 0; i < now->config->clusters_count; i++) {
        const char *name = now->config->clusters[i].name;
        const struct conf_cluster *old = config_cluster(before->config, name);
        if (old == NULL) {
            tell(changes, "cluster %s: added", name);
        } else if (strcmp(before->cluster_hashes[old - before->config->clusters],
                          now->cluster_hashes[i]) != 0) {
            tell(changes, "cluster %s: changed", name);
        }
    }
    for (size_t i = 0; i < before->config->clusters_count; i++) {
        if (config_cluster(now->config, before->config->clusters[i].name) == NULL) {
            tell(changes, "cluster %s: removed", before->config->clusters[i].name);
        }
    }
}

static void on_change(void *context, const struct tls_change *change)
{
    json_t *changes = context;
    switch (change->kind) {
    case TLS_CHANGE_IDENTITY:
        tell(changes, "certificate %s: %s", change->name,
             change->before == NULL ? "added" : "changed");
        break;
    case TLS_CHANGE_LISTENER:
        tell(changes, "listener %s: certificate changed", change->name);
        break;
    case TLS_CHANGE_CLIENT_TRUST:
        tell(changes, "listener %s: authorities or revocation lists changed", change->name);
        break;
    case TLS_CHANGE_BROKER_TRUST:
        tell(changes, "brokers by %s: authorities or revocation lists changed", change->name);
        break;
    }
}

static void compare_certificates(const struct shared *before, const struct shared *now,
                                 json_t *changes)
{
    (void)tls_material_compare(before->material, now->material, on_change, changes);
    for (size_t i = 0; i < certificates_count(before->certificates); i++) {
        const struct certificate *old = certificates_at(before->certificates, i);
        if (certificates_find(now->certificates, old->name) == NULL) {
            tell(changes, "certificate %s: removed", old->name);
        }
    }
}

static json_t *compare(const struct shared *before, const struct shared *now)
{
    json_t *changes = json_array();
    compare_listeners(before->config, now->config, changes);
    compare_clusters(before, now, changes);
    compare_certificates(before, now, changes);
    if (strcmp(mapping_hash(before->mapping), mapping_hash(now->mapping)) != 0) {
        tell(changes, "mapping: changed");
    }
    if (memcmp(&before->config->limits, &now->config->limits, sizeof now->config->limits) != 0) {
        tell(changes, "limits: changed");
    }
    return changes;
}

static bool audit_differs(const struct shared *before, const struct shared *now)
{
    const struct conf_audit *old = &before->config->audit, *new = &now->config->audit;
    const char *old_key = before->audit_key != NULL ? audit_key_id(before->audit_key) : "";
    const char *new_key = now->audit_key != NULL ? audit_key_id(now->audit_key) : "";
    return strcmp(old->file, new->file) != 0 || old->on_failure != new->on_failure ||
           strcmp(old_key, new_key) != 0 || old->checkpoint_records != new->checkpoint_records ||
           old->checkpoint_interval_ms != new->checkpoint_interval_ms ||
           old->unsynced_max_ms != new->unsynced_max_ms ||
           old->rotate_bytes != new->rotate_bytes || old->keep != new->keep;
}

/* What a process is given once. */
static json_t *compare_fixed(const struct process *process, const struct shared *next)
{
    const struct config *now = next->config;
    const struct config *before = process->shared->config;
    json_t *fixed = json_array();
    if (now->workers != process->worker_count) {
        tell(fixed, "workers");
    }
    if (strcmp(before->log.file, now->log.file) != 0 || before->log.format != now->log.format) {
        tell(fixed, "log.file, log.format");
    }
    if (audit_differs(process->shared, next)) {
        tell(fixed, "audit");
    }
    if (strcmp(before->ledger.directory, now->ledger.directory) != 0 ||
        before->ledger.rotate_bytes != now->ledger.rotate_bytes) {
        tell(fixed, "ledger");
    }
    if (strcmp(before->control.socket, now->control.socket) != 0) {
        tell(fixed, "control.socket");
    }
    if (before->security.seccomp != now->security.seccomp) {
        tell(fixed, "security.seccomp");
    }
    if (before->security.landlock != now->security.landlock) {
        tell(fixed, "security.landlock");
    }
    if (strcmp(before->security.user, now->security.user) != 0 ||
        strcmp(before->security.group, now->security.group) != 0) {
        tell(fixed, "security.user, security.group");
    }
    if (before->crypto.fast_aes != now->crypto.fast_aes) {
        tell(fixed, "crypto.fast_aes");
    }
    return fixed;
}

static void log_list(enum log_level level, const char *event, const json_t *list)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item)
    {
        log_text(level, event, json_string_value(item));
    }
}

static void answer(struct process *process, bool ok, const char *why, json_t *changes,
                   json_t *fixed, json_t *rows)
{
    if (process->asker != 0) {
        json_t *root = json_pack("{s:b}", "ok", (int)ok);
        if (why != NULL) {
            json_object_set_new(root, "why", json_string(why));
        }
        json_object_set(root, "changes", changes);
        json_object_set(root, "needs_takeover", fixed);
        json_object_set(root, "problems", rows);
        json_object_set_new(root, "config_hash", json_string(process->shared->config_hash));
        process_reply(process, process->asker, json_dumps(root, JSON_COMPACT));
        json_decref(root);
    }
    process->asker = 0;
    json_decref(changes);
    json_decref(fixed);
    json_decref(rows);
}

static void refused(struct process *process, const char *why, json_t *rows)
{
    process->reloads_refused++;
    log_text(LOG_LEVEL_ERROR, "reload_refused", why);
    process_audit(process, AUDIT_RELOAD_REFUSED, why);
    answer(process, false, why, json_array(), json_array(), rows);
    notify_send("READY=1\nSTATUS=serving; the last reload was refused");
}

/* ---- the steps ---- */

static void abandon_run(struct process_worker *of)
{
    worker_abandon(of->worker);
}

static void abandoned(struct process *process)
{
    shared_unref(&process->next);
    process->phase = PHASE_SERVING;
    refused(process, process->why, json_array());
}

static void give_up(struct process *process, const char *why)
{
    uv_timer_stop(&process->patience);
    process->ready_then = NULL;
    process->why = why;
    process_round(process, abandon_run, abandoned);
}

static void commit_run(struct process_worker *of)
{
    worker_commit(of->worker);
}

static void committed(struct process *process)
{
    struct shared *before = process->shared;
    const struct config *now = process->next->config;
    json_t *changes = compare(before, process->next);
    json_t *fixed = compare_fixed(process, process->next);
    process->shared = process->next;
    process->next = NULL;
    process->phase = PHASE_SERVING;
    process->reloads++;
    stats_hash_set(&process->mapping_hash, mapping_hash(process->shared->mapping));
    audit_log_use(process->audit, mapping_hash(process->shared->mapping),
                  process->shared->config_hash);
    log_set_level((enum log_level)now->log.level);
    visitors_limit(process->visitors, now->limits.connections,
                   now->limits.connections_per_address);
    log_list(LOG_LEVEL_INFO, "reload_changed", changes);
    log_list(LOG_LEVEL_WARN, "reload_needs_takeover", fixed);
    struct log_field fields[] = {
        log_str("config_hash", process->shared->config_hash),
        log_str("mapping_hash", mapping_hash(process->shared->mapping)),
        log_uint("changes", json_array_size(changes)),
    };
    log_write(LOG_LEVEL_INFO, "reloaded", fields, 3);
    process_audit_reload(process, before, changes);
    answer(process, true, NULL, changes, fixed, json_array());
    process_certificates_publish(process);
    process_rotation_stop(process); /* other files, or none */
    process_rotation_start(process);
    shared_unref(&before);
    notify_send("READY=1\nSTATUS=serving");
}

static void on_ready(struct process *process)
{
    uv_timer_stop(&process->patience);
    if (!process_round(process, commit_run, committed)) {
        process->phase = PHASE_ENDING;
    }
}

static void on_impatient(uv_timer_t *timer)
{
    struct process *process = timer->data;
    if (process->phase == PHASE_RELOADING && process->ready_then != NULL &&
        process->round_then == NULL) {
        give_up(process, "no broker of a changed cluster has answered within 10 s");
    }
}

static void prepare_run(struct process_worker *of)
{
    of->good = worker_prepare(of->worker, of->process->next);
}

static void prepared(struct process *process)
{
    if (!process_round_good(process)) {
        give_up(process, "a listener, a cluster or an SSL_CTX cannot be had; see the log");
        return;
    }
    uv_timer_start(&process->patience, on_impatient, READY_MS, 0);
    process_await(process, on_ready);
}

/* Clients hold these ports: what they were told must stay true while they are connected. */
static void check_ports(const struct config *before, const struct config *now,
                        struct conf_errors *errors)
{
    for (size_t i = 0; i < now->listeners_count; i++) {
        const struct conf_listener *new = &now->listeners[i];
        for (size_t k = 0; k < before->listeners_count; k++) {
            const struct conf_listener *old = &before->listeners[k];
            if (node_address_same_bootstrap(old, new) && !node_address_same_nodes(old, new)) {
                bool ports = new->node_base_port > 0;
                conf_errors_add(errors,
                                ports ? config_place(now, &new->node_base_port)
                                      : config_place(now, &new->node_network),
                                "'%s' cannot change while the listener serves (take over: send "
                                "SIGUSR2, or `setu run --takeover`)",
                                ports ? "node_base_port" : "node_network");
            }
        }
    }
}

static struct shared *load(struct process *process, struct conf_errors *errors)
{
    process_check_landlock(process, errors);
    struct shared *next = shared_load(process->options->config_file, errors);
    if (next != NULL) {
        check_ports(process->shared->config, next->config, errors);
    }
    if (conf_errors_failed(errors)) {
        shared_unref(&next);
    }
    return next;
}

static void log_problems(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count && i < PROBLEMS_MAX; i++) {
        const struct conf_error *error = &errors->items[i];
        struct log_field fields[] = {
            log_str("file", error->file),
            log_int("line", error->line),
            log_int("column", error->column),
            log_str("text", error->text),
        };
        log_write(error->severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
                  "reload_problem", fields, 4);
    }
}

void process_reload(struct process *process, uint64_t asker)
{
    if (process->phase != PHASE_SERVING || process->round_then != NULL) {
        log_text(LOG_LEVEL_WARN, "reload_refused", "not now: starting, reloading or ending");
        if (asker != 0) {
            process_reply(process, asker, process_status_json(process, false, "not now"));
        }
        return;
    }
    struct conf_errors errors;
    conf_errors_init(&errors);
    notify_reloading();
    process->asker = asker;
    process_watchdog_extend(process, true);
    process->next = load(process, &errors);
    process_watchdog_extend(process, false);
    log_problems(&errors);
    if (process->next == NULL) {
        refused(process, "the configuration has errors", problems(&errors));
    } else {
        process->next->audit = process->audit;
        process->next->ledger = process->ledger;
        process->next->visitors = process->visitors;
        process->next->session_ids = &process->session_ids;
        process->phase = PHASE_RELOADING;
        process_round(process, prepare_run, prepared);
    }
    conf_errors_deinit(&errors);
}
