/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/certificates.h"
#include "auth/mapping.h"
#include "auth/tls_material.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"

static struct audit_event begin(const struct process *process, enum audit_code code)
{
    struct audit_event event = audit_event_init(code);
    event.time_ns = world_now_ns();
    event.config_hash = process->shared->config_hash;
    event.mapping_hash = mapping_hash(process->shared->mapping);
    return event;
}

void process_audit(struct process *process, int code, const char *detail)
{
    struct audit_event event = begin(process, (enum audit_code)code);
    event.detail = detail;
    (void)audit_log_append(process->audit, &event);
}

void process_audit_admin(struct process *process, const char *action, const char *who)
{
    struct audit_event event = begin(process, AUDIT_ADMIN_ACTION);
    event.reason = action;
    event.detail = who;
    (void)audit_log_append(process->audit, &event);
    struct log_field fields[] = {log_str("action", action), log_str("who", who)};
    log_write(LOG_LEVEL_INFO, "control", fields, 2);
}

void process_audit_asked(struct process *process, const char *action, uint64_t peer)
{
    char who[CONTROL_WHO_SIZE];
    process_audit_admin(process, action, control_peer_who(process->control, peer, who));
}

/* ---- a reload ---- */

static void certificate_changed(struct process *process, const struct certificate *now,
                                const struct certificate *before)
{
    const struct certificate *shown = now != NULL ? now : before;
    char detail[128];
    struct audit_event event = begin(process, AUDIT_CERTIFICATE_CHANGED);
    snprintf(detail, sizeof detail, "before %s", before != NULL ? before->fingerprint : "none");
    event.certificate = shown->name;
    event.certificate_subject = now != NULL ? now->subject : NULL;
    event.certificate_fingerprint = now != NULL ? now->fingerprint : NULL;
    event.reason = before == NULL ? "added" : now == NULL ? "removed" : "replaced";
    event.detail = detail;
    (void)audit_log_append(process->audit, &event);
}

static void certificates_changed(struct process *process, const struct shared *before)
{
    const struct certificates *old = before->certificates, *new = process->shared->certificates;
    for (size_t i = 0; i < certificates_count(new); i++) {
        const struct certificate *now = certificates_at(new, i);
        const struct certificate *was = certificates_find(old, now->name);
        if (was == NULL || strcmp(was->fingerprint, now->fingerprint) != 0) {
            certificate_changed(process, now, was);
        }
    }
    for (size_t i = 0; i < certificates_count(old); i++) {
        const struct certificate *was = certificates_at(old, i);
        if (certificates_find(new, was->name) == NULL) {
            certificate_changed(process, NULL, was);
        }
    }
}

/* ---- certificates, by a reload or because their files changed ---- */

static const char *part_name(enum tls_change_kind kind)
{
    switch (kind) {
    case TLS_CHANGE_IDENTITY:
        return "identity";
    case TLS_CHANGE_LISTENER:
        return "listener";
    case TLS_CHANGE_CLIENT_TRUST:
        return "clients";
    case TLS_CHANGE_BROKER_TRUST:
        return "brokers";
    }
    return "";
}

/* Identities are in the audit log with all that is known of them; see certificates_changed. */
static void part_changed(void *context, const struct tls_change *change)
{
    struct process *process = context;
    char detail[AUDIT_TEXT_BYTES_MAX];
    if (change->kind == TLS_CHANGE_IDENTITY) {
        return;
    }
    const bool shown = change->kind == TLS_CHANGE_LISTENER;
    struct audit_event event =
        begin(process, shown ? AUDIT_CERTIFICATE_CHANGED : AUDIT_TRUST_CHANGED);
    snprintf(detail, sizeof detail, "%s %.200s%s%s", part_name(change->kind), change->name,
             shown ? ", before " : "", shown ? change->before : "");
    event.certificate_fingerprint = change->after;
    event.reason = shown ? "replaced" : NULL;
    event.detail = detail;
    (void)audit_log_append(process->audit, &event);
}

static void part_logged(void *context, const struct tls_change *change)
{
    (void)context;
    struct log_field fields[] = {
        log_str("of", part_name(change->kind)),
        log_str("name", change->name),
        log_str("before", change->before),
        log_str("now", change->after),
    };
    log_write(LOG_LEVEL_INFO, "certificate_in_use", fields, 4);
}

void process_audit_rotation(struct process *process, const struct shared *before)
{
    const struct tls_material *now = process->shared->material;
    (void)tls_material_compare(before->material, now, part_logged, NULL);
    (void)tls_material_compare(before->material, now, part_changed, process);
    certificates_changed(process, before);
}

/* "listener a: added; limits: changed", as much as fits. */
static void join(const json_t *changes, char *out, size_t size)
{
    size_t used = 0, i = 0;
    json_t *item = NULL;
    out[0] = '\0';
    json_array_foreach(changes, i, item)
    {
        int n = snprintf(out + used, size - used, "; %s", json_string_value(item));
        if (n < 0 || (size_t)n >= size - used) {
            return;
        }
        used += (size_t)n;
    }
}

void process_audit_reload(struct process *process, const struct shared *before,
                          const json_t *changes)
{
    char detail[AUDIT_TEXT_BYTES_MAX], list[AUDIT_TEXT_BYTES_MAX - 128];
    const char *mapping_before = mapping_hash(before->mapping);
    join(changes, list, sizeof list);
    snprintf(detail, sizeof detail, "config hash before %s%s", before->config_hash, list);
    process_audit(process, AUDIT_RELOAD, detail);
    if (strcmp(mapping_before, mapping_hash(process->shared->mapping)) != 0) {
        snprintf(detail, sizeof detail, "mapping hash before %s", mapping_before);
        process_audit(process, AUDIT_MAPPING_CHANGED, detail);
    }
    certificates_changed(process, before);
    (void)tls_material_compare(before->material, process->shared->material, part_changed, process);
}
