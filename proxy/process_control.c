/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/mapping.h"
#include "conf/config.h"
#include "proxy/ops/log.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"

static const char *phase_name(enum process_phase phase)
{
    switch (phase) {
    case PHASE_STARTING:
        return "starting";
    case PHASE_SERVING:
        return "serving";
    case PHASE_RELOADING:
        return "reloading";
    case PHASE_HANDING:
        return "handing_over";
    case PHASE_HANDED:
        return "handed_over";
    case PHASE_ENDING:
        return "draining";
    }
    return "";
}

char *process_status_json(struct process *process, bool ok, const char *why)
{
    const struct shared *shared = process->shared;
    json_t *root = json_object();
    json_object_set_new(root, "ok", json_boolean(ok));
    if (why != NULL) {
        json_object_set_new(root, "why", json_string(why));
    }
    json_object_set_new(root, "pid", json_integer((json_int_t)getpid()));
    json_object_set_new(root, "version", json_string(SETU_VERSION));
    json_object_set_new(root, "state", json_string(phase_name(process->phase)));
    json_object_set_new(root, "sessions", json_integer((json_int_t)process_sessions(process)));
    json_object_set_new(root, "workers", json_integer((json_int_t)process->worker_count));
    json_object_set_new(root, "config", json_string(process->options->config_file));
    json_object_set_new(root, "config_hash", json_string(shared->config_hash));
    json_object_set_new(root, "mapping_hash", json_string(mapping_hash(shared->mapping)));
    json_object_set_new(root, "reloads", json_integer((json_int_t)process->reloads));
    json_object_set_new(root, "reloads_refused",
                        json_integer((json_int_t)process->reloads_refused));
    json_object_set_new(root, "rotations", json_integer((json_int_t)process->rotations));
    json_object_set_new(root, "rotations_refused",
                        json_integer((json_int_t)process->rotations_refused));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

void process_reply(struct process *process, uint64_t peer, char *json)
{
    const char *text = json != NULL ? json : "{\"ok\":false,\"why\":\"no memory\"}";
    (void)control_send(process->control, peer, HANDOVER_REPLY, view_from_string(text), NULL, 0);
    free(json);
}

static void on_message(void *context, uint64_t peer, int kind, struct view payload, const int *fds,
                       size_t fd_count)
{
    struct process *process = context;
    for (size_t i = 0; i < fd_count; i++) {
        close(fds[i]); /* nobody has anything to give us here */
    }
    switch (kind) {
    case HANDOVER_STATUS:
        process_reply(process, peer, process_status_json(process, true, NULL));
        break;
    case HANDOVER_CERTIFICATES:
        process_reply(process, peer, process_certificates_json(process));
        break;
    case HANDOVER_DRAIN:
        process_audit_asked(process, "drain", peer);
        process_order(process, WORKER_DRAIN);
        process_reply(process, peer, process_status_json(process, true, NULL));
        break;
    case HANDOVER_RELOAD:
        process_audit_asked(process, "reload", peer);
        process_reload(process, peer);
        break;
    case 0:
        process->asker = process->asker == peer ? 0 : process->asker;
        process_on_successor(process, peer, 0, payload);
        break;
    default:
        process_on_successor(process, peer, kind, payload);
        break;
    }
}

void process_control_adopt(struct process *process, int fd)
{
    process->control = control_new(&process->loop, fd, on_message, process);
    process->control_is_ours = process->control != NULL;
}

/* One that was asked for must be had; without the other Setu serves all the same. */
bool process_control_open(struct process *process)
{
    const char *configured = process->shared->config->control.socket;
    bool wanted = configured[0] != '\0';
    int fd = process->control_path[0] != '\0' ? control_listen(process->control_path) : -1;
    if (fd >= 0) {
        process_control_adopt(process, fd);
    }
    if (process->control == NULL) {
        struct log_field fields[] = {
            log_str("path", process->control_path),
            log_str("error", errno == EADDRINUSE ? "another process listens there"
                                                 : strerror(errno)),
        };
        log_write(wanted ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "control_not_opened", fields, 2);
    }
    return process->control != NULL || !wanted;
}
