/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_inlet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/audit.h"
#include "proxy/ops/audit_log.h"
#include "proxy/ops/log.h"

enum { INLET_BATCH_MAX = 16 * 1024 * 1024, INLET_PIECE = 16 * 1024 };

struct audit_inlet {
    uv_poll_t poll;
    struct audit_log *log;
    struct writer bytes; /* grows with what was received */
    int fd;
};

static uint32_t inlet_length(const struct audit_inlet *inlet)
{
    uint32_t length = 0;
    memcpy(&length, inlet->bytes.at, sizeof length);
    return length;
}

static void inlet_append(struct audit_inlet *inlet, struct view batch)
{
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, batch);
    enum audit_status status = AUDIT_OK;
    while ((status = audit_read(&reader, &record)) == AUDIT_OK) {
        /* A full queue loses it as it would lose our own; the log counts and tells. */
        (void)audit_log_append(inlet->log, &record.event);
    }
    audit_reader_end(&reader);
    if (status != AUDIT_END) {
        log_text(LOG_LEVEL_ERROR, "audit_inlet_malformed", "the predecessor's records end early");
    }
}

/* All of a batch is here: queued and confirmed. False: something is wrong with the peer. */
static bool inlet_take(struct audit_inlet *inlet)
{
    const size_t head = sizeof(uint32_t);
    if (inlet->bytes.length < head) {
        return true;
    }
    size_t length = inlet_length(inlet);
    if (length > INLET_BATCH_MAX || inlet->bytes.length > head + length) {
        return false;
    }
    if (inlet->bytes.length < head + length) {
        return true;
    }
    inlet_append(inlet, view_of(inlet->bytes.at + head, length));
    writer_reset(&inlet->bytes);
    return send(inlet->fd, "k", 1, MSG_NOSIGNAL) == 1;
}

static void inlet_on_poll(uv_poll_t *poll, int status, int events)
{
    struct audit_inlet *inlet = poll->data;
    uint8_t piece[INLET_PIECE];
    (void)events;
    ssize_t n = status == 0 ? recv(inlet->fd, piece, sizeof piece, MSG_DONTWAIT) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        writer_put(&inlet->bytes, view_of(piece, (size_t)n));
    }
    if (n <= 0 || !writer_ok(&inlet->bytes) || !inlet_take(inlet)) {
        uv_poll_stop(poll);
        (void)shutdown(inlet->fd, SHUT_RDWR);
    }
}

struct audit_inlet *audit_inlet_new(uv_loop_t *loop, int fd, struct audit_log *log)
{
    struct audit_inlet *inlet = calloc(1, sizeof *inlet);
    if (inlet == NULL || uv_poll_init(loop, &inlet->poll, fd) != 0) {
        free(inlet);
        close(fd);
        return NULL;
    }
    inlet->fd = fd;
    inlet->log = log;
    inlet->poll.data = inlet;
    writer_init_growing(&inlet->bytes, INLET_BATCH_MAX + sizeof(uint32_t) + INLET_PIECE);
    (void)uv_poll_start(&inlet->poll, UV_READABLE, inlet_on_poll);
    return inlet;
}

static void inlet_on_closed(uv_handle_t *handle)
{
    struct audit_inlet *inlet = handle->data;
    close(inlet->fd);
    writer_free(&inlet->bytes);
    free(inlet);
}

void audit_inlet_close(struct audit_inlet **inlet_p)
{
    struct audit_inlet *inlet = *inlet_p;
    *inlet_p = NULL;
    if (inlet != NULL) {
        uv_close((uv_handle_t *)&inlet->poll, inlet_on_closed);
    }
}
