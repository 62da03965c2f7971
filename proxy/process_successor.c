/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/audit.h"
#include "conf/config.h"
#include "proxy/io/leg.h"
#include "proxy/ops/audit_inlet.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"
#include "proxy/ops/notify.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"

enum { PREDECESSOR_MS = 60000 };

static const char control_address[] = "control";

/* Root's socket and files are not ours after security.user was set, whoever we were before. */
static const char another_user[] =
    "who serves there is another user, as root is to a process with security.user: stop it, give "
    "this process's user the audit log, the log and the ledger, and start without a takeover";

/* We have not served yet: the predecessor goes on when our connection ends. */
static void fail(struct process *process, const char *why)
{
    log_text(LOG_LEVEL_ERROR, "takeover_failed", why);
    process->status = 1;
    channel_close(&process->predecessor);
    process_order(process, WORKER_STOP);
}

static void say(struct process *process, enum handover_kind kind)
{
    (void)channel_send(process->predecessor, kind, view_of(NULL, 0), NULL, 0);
}

/* ---- dealing the sockets out ---- */

static size_t count_of(const struct handover_sockets *sockets, const char *address)
{
    size_t count = 0;
    for (size_t i = 0; i < sockets->count; i++) {
        count += strcmp(sockets->sockets[i].address, address) == 0 ? 1 : 0;
    }
    return count;
}

static bool give(struct process_worker *of, const struct handover_socket *socket, bool copy)
{
    struct handover_socket *more =
        realloc(of->sockets, (of->socket_count + 1) * sizeof *of->sockets);
    if (more == NULL) {
        return false;
    }
    of->sockets = more;
    int fd = copy ? fcntl(socket->fd, F_DUPFD_CLOEXEC, 0) : socket->fd;
    if (fd < 0) {
        return false;
    }
    more[of->socket_count] = *socket;
    more[of->socket_count++].fd = fd;
    return true;
}

/*
 * Every socket must be accepted from, for connections wait in it. More of an address than workers: some have several.
 * Fewer: some share one, as a second one could not be bound beside it.
 */
static bool deal(struct process *process)
{
    const struct handover_sockets *sockets = &process->received;
    bool good = true;
    for (size_t i = 0; i < sockets->count; i++) {
        const struct handover_socket *socket = &sockets->sockets[i];
        size_t rank = 0;
        for (size_t k = 0; k < i; k++) {
            rank += strcmp(sockets->sockets[k].address, socket->address) == 0 ? 1 : 0;
        }
        size_t all = count_of(sockets, socket->address);
        size_t owner = rank % process->worker_count;
        for (size_t w = owner + all; all < process->worker_count && w < process->worker_count;
             w += all) {
            good = give(&process->workers[w], socket, true) && good;
        }
        good = give(&process->workers[owner], socket, false) && good;
    }
    process->received.count = 0;
    return good;
}

static void adopt_run(struct process_worker *of)
{
    of->good = worker_adopt(of->worker, of->sockets, of->socket_count);
    of->socket_count = 0;
}

/* A predecessor may have changed its mind by now: nobody is served before it has confirmed. */
static void adopt_and_wait_run(struct process_worker *of)
{
    adopt_run(of);
    worker_suspend(of->worker);
}

static void serve_run(struct process_worker *of)
{
    worker_resume(of->worker);
}

/* ---- the predecessor's words ---- */

static void adopted(struct process *process)
{
    if (!process_round_good(process)) {
        fail(process, "a port cannot be had; see the log");
        return;
    }
    process->adopted = true;
    say(process, HANDOVER_SERVING);
}

static void serving(struct process *process)
{
    process_started(process, "took_over");
}

static void on_yours(struct process *process)
{
    uv_timer_stop(&process->patience);
    process->allowed = true; /* from here on this is the one that serves */
    process->control_is_ours = process->control != NULL;
    if (!process_round(process, serve_run, serving)) {
        fail(process, "the workers are ending");
    }
}

static void on_sockets(struct process *process, struct view payload, const int *fds,
                       size_t fd_count)
{
    struct handover_socket part[HANDOVER_DESCRIPTORS_MAX];
    struct handover_sockets message = {.sockets = part};
    struct handover_sockets *all = &process->received;
    if (!handover_sockets_read(payload, &message, HANDOVER_DESCRIPTORS_MAX) ||
        message.count != fd_count || all->count + fd_count > PROCESS_SOCKETS_MAX) {
        for (size_t i = 0; i < fd_count; i++) {
            close(fds[i]);
        }
        fail(process, "the predecessor's list of sockets makes no sense");
        return;
    }
    struct handover_socket *more =
        realloc(all->sockets, (all->count + fd_count + 1) * sizeof *more);
    if (more == NULL) {
        abort();
    }
    all->sockets = more;
    for (size_t i = 0; i < fd_count; i++) {
        part[i].fd = fds[i];
        if (strcmp(part[i].address, control_address) == 0) {
            process_control_adopt(process, fds[i]);
            process->control_is_ours = false; /* the predecessor's, until we serve */
        } else {
            more[all->count++] = part[i];
        }
    }
    if (message.last) {
        atomic_store(&process->session_ids, message.session_id);
        if (!deal(process) || !process_round(process, adopt_and_wait_run, adopted)) {
            fail(process, "no descriptor, or the workers are ending");
        }
    }
}

static void on_released(struct process *process, const int *fds, size_t fd_count)
{
    char error[512];
    if (fd_count != 1) {
        fail(process, "the predecessor did not say by which descriptor its events come");
        return;
    }
    process->inlet = audit_inlet_new(&process->loop, fds[0], process->audit);
    if (process->inlet == NULL) {
        fail(process, "no descriptor");
    } else if (!audit_log_take(process->audit, error, sizeof error)) {
        fail(process, error);
    } else {
        say(process, HANDOVER_TAKEN);
    }
}

static void seen_brokers(struct process *process)
{
    say(process, HANDOVER_READY);
}

static void on_welcome(struct process *process, struct view payload)
{
    struct handover_sockets *promised = &process->promised;
    promised->sockets = calloc(PROCESS_SOCKETS_MAX, sizeof *promised->sockets);
    if (promised->sockets == NULL ||
        !handover_sockets_read(payload, promised, PROCESS_SOCKETS_MAX)) {
        fail(process, "the predecessor's list of ports makes no sense");
        return;
    }
    if (!process_start_workers(process)) {
        fail(process, "a worker could not start; see the log");
        return;
    }
    process_await(process, seen_brokers);
}

static void on_end(struct process *process)
{
    channel_close(&process->predecessor); /* the inlet stays: its last events may still come */
    if (process->phase == PHASE_STARTING && !process->allowed) {
        fail(process, "the predecessor has ended the takeover; its log says why");
    } else {
        log_text(LOG_LEVEL_INFO, "predecessor_gone", "its part is over");
    }
}

static void on_refused(struct process *process, struct view payload)
{
    char why[HANDOVER_TEXT_SIZE];
    fail(process, handover_text_read(payload, why) ? why : "refused");
}

static void on_message(struct channel *channel, int kind, struct view payload, const int *fds,
                       size_t fd_count)
{
    struct process *process = channel_owner(channel);
    bool starting = process->phase == PHASE_STARTING;
    bool none = process->worker_count == 0;
    if (kind == HANDOVER_SOCKETS && starting && !none && process->inlet != NULL) {
        on_sockets(process, payload, fds, fd_count);
        return;
    }
    if (kind == HANDOVER_RELEASED && starting && !none && process->inlet == NULL) {
        on_released(process, fds, fd_count);
        return;
    }
    for (size_t i = 0; i < fd_count; i++) {
        close(fds[i]);
    }
    if (kind == 0) {
        on_end(process);
    } else if (kind == HANDOVER_WELCOME && starting && none) {
        on_welcome(process, payload);
    } else if (kind == HANDOVER_REFUSED && starting) {
        on_refused(process, payload);
    } else if (kind == HANDOVER_YOURS && starting && process->adopted && !process->allowed) {
        on_yours(process);
    } else if (starting) {
        fail(process, "the predecessor said something out of turn");
    }
}

/* ---- the beginning ---- */

bool process_dial(struct process *process)
{
    const char *configured = process->shared->config->control.socket;
    if (!control_path(configured, process->options->config_file, process->control_path)) {
        process->control_path[0] = '\0';
    }
    if (!process->options->takeover || process->control_path[0] == '\0') {
        return true;
    }
    process->dialled = channel_dial(process->control_path);
    if (process->dialled >= 0 && !channel_peer_is(process->dialled, geteuid())) {
        close(process->dialled);
        process->dialled = -1;
        errno = EPERM; /* root may speak with anybody's, but takes nothing from them */
    } else if (process->dialled >= 0) {
        return true;
    }
    bool nobody = errno == ENOENT || errno == ECONNREFUSED;
    bool another = errno == EACCES || errno == EPERM;
    struct log_field fields[] = {log_str("path", process->control_path),
                                 log_str("error", strerror(errno)), log_str("text", another_user)};
    log_write(nobody ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              nobody ? "nobody_to_take_over_from" : "takeover_failed", fields, another ? 3 : 2);
    return nobody;
}

static void on_impatient(uv_timer_t *timer)
{
    struct process *process = timer->data;
    if (process->phase == PHASE_STARTING) {
        fail(process, "no brokers, or no answer from the predecessor, within 60 s");
    }
}

bool process_take_over(struct process *process)
{
    struct writer out;
    process->predecessor = channel_new(&process->loop, process->dialled, on_message, process);
    process->dialled = -1;
    if (process->predecessor == NULL) {
        return false;
    }
    uv_timer_start(&process->patience, on_impatient, PREDECESSOR_MS, 0);
    writer_init_growing(&out, HANDOVER_PAYLOAD_MAX);
    handover_text_write(&out, SETU_VERSION);
    (void)channel_send(process->predecessor, HANDOVER_HELLO, writer_view(&out), NULL, 0);
    writer_free(&out);
    return true;
}

static void passed_taken(struct process *process)
{
    if (!process_round_good(process)) {
        log_text(LOG_LEVEL_ERROR, "worker_not_started", "a port cannot be had");
        process->status = 1;
        process_order(process, WORKER_STOP);
    }
}

/* Sockets that the service manager has opened: ports that are promised and here already. */
bool process_take_passed(struct process *process)
{
    int first = 0;
    size_t count = notify_sockets(&first);
    struct handover_sockets *passed = &process->promised;
    if (count > 0) {
        passed->sockets = calloc(count, sizeof *passed->sockets);
        process->received.sockets = calloc(count, sizeof *passed->sockets);
    }
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        struct handover_socket socket = {.fd = first + (int)i};
        if (passed->sockets == NULL || process->received.sockets == NULL ||
            getsockname(socket.fd, (struct sockaddr *)&address, &length) != 0) {
            log_text(LOG_LEVEL_ERROR, "passed_socket", "what was passed is no socket");
            return false;
        }
        leg_address_text((const struct sockaddr *)&address, socket.address, sizeof socket.address);
        passed->sockets[passed->count++] = socket;
        process->received.sockets[process->received.count++] = socket;
    }
    if (!process_start_workers(process)) {
        return false;
    }
    return count == 0 ||
           (deal(process) && process_round(process, adopt_run, passed_taken));
}
