/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/audit.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/ops/notify.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"

enum {
    SUCCESSOR_MS = 60000, /* until it is ready */
    AUDITED_MS = 10000,   /* then, until it serves: what is decided lies in memory only */
};

/* ---- back to normal ---- */

static void resume_run(struct process_worker *of)
{
    worker_resume(of->worker);
}

static void resumed(struct process *process)
{
    process->phase = PHASE_SERVING;
    process_stats_file(process, true);
    notify_send("MAINPID=%ld\nREADY=1\nSTATUS=serving; a takeover failed", (long)getpid());
    process_watchdog_start(process);
    log_text(LOG_LEVEL_WARN, "takeover_failed", "this process serves on");
}

static void drop_audit_end(struct process *process)
{
    if (process->audit_end >= 0) {
        close(process->audit_end);
        process->audit_end = -1;
    }
}

/* The successor has gone, or is sent away. What it was given is ours as well: nothing was lost. */
static void take_back(struct process *process, const char *why)
{
    log_text(LOG_LEVEL_ERROR, "successor_lost", why);
    uv_timer_stop(&process->patience);
    control_drop(process->control, process->successor);
    process->successor = 0;
    drop_audit_end(process);
    audit_log_return(process->audit);
    if (process->control != NULL) {
        control_resume(process->control);
        process->control_is_ours = true;
    }
    if (process->round_then != NULL) {
        process->take_back = true; /* when the workers have done what they are at */
        return;
    }
    process->phase = PHASE_HANDING;
    process_round(process, resume_run, resumed);
}

/* True: the successor went while the workers were busy for it. */
static bool taken_back(struct process *process)
{
    if (process->take_back) {
        process->take_back = false;
        process->phase = PHASE_HANDING;
        process_round(process, resume_run, resumed);
        return true;
    }
    return false;
}

void process_cancel_handover(struct process *process)
{
    if (process->phase == PHASE_HANDING) {
        control_drop(process->control, process->successor);
        process->successor = 0;
        drop_audit_end(process);
        audit_log_return(process->audit);
    }
}

static void on_impatient(uv_timer_t *timer)
{
    struct process *process = timer->data;
    if (process->phase != PHASE_HANDING) {
        return;
    }
    if (process->audit_end < 0) {
        take_back(process, "not ready within 60 s");
        return;
    }
    /* While it lives nobody else can write the audit log, and so nobody could come in. */
    bool killed = control_kill(process->control, process->successor);
    take_back(process, killed ? "it has had the audit log for 10 s and does not serve: killed"
                              : "it has had the audit log for 10 s and does not serve");
}

static void send_away(struct process *process, uint64_t peer, const char *why)
{
    struct writer out;
    log_text(LOG_LEVEL_WARN, "takeover_refused", why);
    writer_init_growing(&out, HANDOVER_PAYLOAD_MAX);
    handover_text_write(&out, why);
    (void)control_send(process->control, peer, HANDOVER_REFUSED, writer_view(&out), NULL, 0);
    writer_free(&out);
}

/* ---- the sockets ---- */

static void collect_run(struct process_worker *of)
{
    size_t count = worker_sockets(of->worker, NULL, 0);
    free(of->sockets);
    of->sockets = calloc(count + 1, sizeof *of->sockets);
    of->good = of->sockets != NULL;
    of->socket_count = of->good ? worker_sockets(of->worker, of->sockets, count) : 0;
}

static void suspend_run(struct process_worker *of)
{
    worker_suspend(of->worker);
    collect_run(of);
}

/* All workers' in one list, to be freed. */
static struct handover_socket *gather(const struct process *process, size_t *count_r)
{
    size_t count = 0;
    for (size_t i = 0; i < process->worker_count; i++) {
        count += process->workers[i].socket_count;
    }
    struct handover_socket *all = calloc(count + 1, sizeof *all);
    *count_r = 0;
    for (size_t i = 0; all != NULL && i < process->worker_count; i++) {
        const struct process_worker *of = &process->workers[i];
        memcpy(all + *count_r, of->sockets, of->socket_count * sizeof *all);
        *count_r += of->socket_count;
    }
    return all;
}

static bool send_sockets(struct process *process, enum handover_kind kind,
                         const struct handover_sockets *sockets)
{
    int fds[HANDOVER_DESCRIPTORS_MAX];
    struct writer out;
    bool with = kind == HANDOVER_SOCKETS;
    for (size_t i = 0; with && i < sockets->count; i++) {
        fds[i] = sockets->sockets[i].fd;
    }
    writer_init_growing(&out, HANDOVER_PAYLOAD_MAX);
    handover_sockets_write(&out, sockets);
    bool sent = writer_ok(&out) &&
                control_send(process->control, process->successor, kind, writer_view(&out),
                             with ? fds : NULL, with ? sockets->count : 0);
    writer_free(&out);
    return sent;
}

/* Which ports there are: the first worker's are everybody's. */
static void collected(struct process *process)
{
    const struct process_worker *first = &process->workers[0];
    if (taken_back(process)) {
        return;
    }
    struct handover_sockets ports = {
        .session_id = atomic_load(&process->session_ids),
        .last = true,
        .count = first->socket_count,
        .sockets = first->sockets,
    };
    if (!process_round_good(process) || !send_sockets(process, HANDOVER_WELCOME, &ports)) {
        take_back(process, "it cannot be told which ports there are");
    }
}

static bool send_all(struct process *process, const struct handover_socket *all, size_t count)
{
    bool sent = true;
    for (size_t at = 0; sent && at <= count;) {
        struct handover_socket part[HANDOVER_DESCRIPTORS_MAX];
        size_t n =
            count - at < HANDOVER_DESCRIPTORS_MAX - 1 ? count - at : HANDOVER_DESCRIPTORS_MAX - 1;
        memcpy(part, all + at, n * sizeof part[0]);
        at += n;
        struct handover_sockets message = {
            .session_id = atomic_load(&process->session_ids),
            .last = at == count,
            .count = n,
            .sockets = part,
        };
        if (message.last) {
            part[message.count++] = (struct handover_socket){
                .address = "control", .fd = control_descriptor(process->control)};
        }
        sent = send_sockets(process, HANDOVER_SOCKETS, &message);
        if (message.last) {
            break;
        }
    }
    return sent;
}

static void suspended(struct process *process)
{
    size_t count = 0;
    if (taken_back(process)) {
        return;
    }
    struct handover_socket *all = process_round_good(process) ? gather(process, &count) : NULL;
    process_stats_file(process, false);
    control_pause(process->control);
    if (all == NULL || !send_all(process, all, count)) {
        take_back(process, "it does not take the sockets");
    }
    free(all);
}

/* ---- the successor's words ---- */

static void on_hello(struct process *process, uint64_t peer, struct view payload)
{
    char version[HANDOVER_TEXT_SIZE];
    if (process->phase != PHASE_SERVING || process->round_then != NULL) {
        send_away(process, peer,
                  process->phase == PHASE_HANDING ? "another takeover is under way"
                  : process->phase == PHASE_HANDED || process->phase == PHASE_ENDING
                      ? "this process is ending"
                      : "this process is starting or reloading");
        return;
    }
    if (process->predecessor != NULL) {
        send_away(process, peer, "the predecessor of this process still drains; try again");
        return;
    }
    if (!handover_text_read(payload, version)) {
        control_drop(process->control, peer);
        return;
    }
    struct log_field fields[] = {log_str("version", version)};
    log_write(LOG_LEVEL_INFO, "takeover_begins", fields, 1);
    process_audit_asked(process, "takeover", peer);
    process->phase = PHASE_HANDING;
    process->successor = peer;
    process->successor_stops = false;
    process->take_back = false;
    uv_timer_start(&process->patience, on_impatient, SUCCESSOR_MS, 0);
    if (!process_round(process, collect_run, collected)) {
        take_back(process, "the workers are ending");
    }
}

/* The audit log changes hands first: who cannot have it must not have the ports. */
static void on_ready(struct process *process)
{
    int ends[2];
    if (!audit_log_release(process->audit)) {
        take_back(process, "the audit log cannot be let go of");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        take_back(process, "no descriptor for the audit log");
        return;
    }
    process->audit_end = ends[0];
    bool sent = control_send(process->control, process->successor, HANDOVER_RELEASED,
                             view_of(NULL, 0), &ends[1], 1);
    close(ends[1]);
    if (!sent) {
        take_back(process, "it does not take the audit log");
        return;
    }
    uv_timer_start(&process->patience, on_impatient, AUDITED_MS, 0);
}

static void hand_over_run(struct process_worker *of)
{
    worker_hand_over(of->worker);
}

static void handed_over(struct process *process)
{
    (void)taken_back(process);
}

static void on_serving(struct process *process)
{
    process_watchdog_stop(process);
    if (!control_send(process->control, process->successor, HANDOVER_YOURS, view_of(NULL, 0), NULL,
                      0)) {
        take_back(process, "it does not hear that it may serve");
        return;
    }
    uv_timer_stop(&process->patience);
    process->phase = PHASE_HANDED;
    process->control_is_ours = false;
    audit_log_forward(process->audit, process->audit_end);
    process_audit(process, AUDIT_HANDED_OVER, NULL);
    process->audit_end = -1;
    atomic_store(&process->idle, 0);
    log_text(LOG_LEVEL_INFO, "taken_over", "another process serves; sessions end here");
    process_round(process, hand_over_run, handed_over);
}

static void on_gone(struct process *process)
{
    if (process->phase == PHASE_HANDING) {
        take_back(process, "it has gone before it served");
    } else if (process->phase == PHASE_HANDED && !process->successor_stops) {
        take_back(process, "it has gone while sessions end here");
    } else {
        process->successor = 0;
    }
}

void process_on_successor(struct process *process, uint64_t peer, int kind, struct view payload)
{
    bool its = peer == process->successor && process->order == WORKER_GO_ON;
    bool handing = its && process->phase == PHASE_HANDING && process->round_then == NULL;
    if (kind == HANDOVER_HELLO && process->order != WORKER_GO_ON) {
        send_away(process, peer, "this process is ending");
    } else if (kind == HANDOVER_HELLO) {
        on_hello(process, peer, payload);
    } else if (kind == 0) {
        if (its) {
            on_gone(process);
        }
    } else if (kind == HANDOVER_READY && handing && process->audit_end < 0) {
        on_ready(process);
    } else if (kind == HANDOVER_TAKEN && handing && process->audit_end >= 0) {
        if (!process_round(process, suspend_run, suspended)) {
            take_back(process, "the workers are ending");
        }
    } else if (kind == HANDOVER_SERVING && handing && process->audit_end >= 0) {
        on_serving(process);
    } else if (kind == HANDOVER_GOODBYE && its) {
        process->successor_stops = true;
    } else {
        control_drop(process->control, peer);
        if (its) {
            on_gone(process);
        }
    }
}

/* ---- USR2 ---- */

static void on_news(struct process *process, const struct launcher_news *news)
{
    bool failed = news->kind == LAUNCHER_FAILED;
    struct log_field command[] = {
        log_str("command", process->launcher.command),
        log_str("error", failed ? strerror(news->value) : NULL),
    };
    struct log_field ended[] = {log_int("status", news->value), log_int("signal", news->signal)};
    process->child_runs = news->kind == LAUNCHER_STARTED;
    if (news->kind == LAUNCHER_ENDED) {
        log_write(LOG_LEVEL_WARN, "successor_ended", ended, 2);
    } else {
        log_write(failed ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
                  failed ? "successor_not_started" : "successor_started", command, 2);
    }
}

static void launcher_on_poll(uv_poll_t *poll, int status, int events)
{
    struct process *process = poll->data;
    struct launcher_news news;
    (void)status;
    (void)events;
    while (launcher_hear(&process->launcher, &news)) {
        on_news(process, &news);
    }
    if (process->launcher.gone) {
        uv_poll_stop(poll);
        process->child_runs = false;
        log_text(LOG_LEVEL_ERROR, "launcher_gone", "USR2 can do nothing until Setu is restarted");
    }
}

bool process_watch_launcher(struct process *process)
{
    int error = uv_poll_init(&process->loop, &process->launcher_poll, process->launcher.fd);
    process->launcher_poll.data = process;
    process->launcher_open = error == 0;
    return error == 0 && uv_poll_start(&process->launcher_poll, UV_READABLE, launcher_on_poll) == 0;
}

static const char *cannot_spawn(const struct process *process)
{
    if (process->control == NULL) {
        return "there is no control socket";
    }
    if (process->launcher.fd < 0 || process->launcher.gone) {
        return process->launcher.command == NULL ? "our own program cannot be found"
                                                 : "the process that starts programs is not there";
    }
    if (process->phase != PHASE_SERVING || process->child_runs) {
        return "not now: starting, reloading or ending";
    }
    return NULL;
}

void process_spawn(struct process *process)
{
    const char *why = cannot_spawn(process);
    if (why == NULL && !launcher_start(&process->launcher)) {
        why = "the process that starts programs does not listen";
    }
    process->child_runs = process->child_runs || why == NULL;
    if (why != NULL) {
        log_text(LOG_LEVEL_ERROR, "takeover_refused", why);
    }
}
