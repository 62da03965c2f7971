/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/handover.h"

#include <string.h>

enum { HANDOVER_MAGIC = 0x53545532 /* "STU2" */ };

static bool kind_is_known(int8_t kind)
{
    return (kind >= HANDOVER_HELLO && kind <= HANDOVER_YOURS) ||
           (kind >= HANDOVER_STATUS && kind <= HANDOVER_CERTIFICATES);
}

enum handover_status handover_head(struct view in, struct handover_head *head_r)
{
    struct reader r = reader_init(in);
    uint32_t magic = 0, length = 0;
    uint16_t descriptors = 0;
    int8_t kind = 0, zero = 0;
    if (!reader_u32(&r, &magic)) {
        return HANDOVER_MORE;
    }
    if (magic != HANDOVER_MAGIC) {
        return HANDOVER_BAD;
    }
    if (!reader_i8(&r, &kind) || !reader_i8(&r, &zero) || !reader_u16(&r, &descriptors) ||
        !reader_u32(&r, &length)) {
        return HANDOVER_MORE;
    }
    if (!kind_is_known(kind) || zero != 0 || descriptors > HANDOVER_DESCRIPTORS_MAX ||
        length > HANDOVER_PAYLOAD_MAX) {
        return HANDOVER_BAD;
    }
    *head_r = (struct handover_head){(enum handover_kind)kind, descriptors, length};
    return HANDOVER_OK;
}

void handover_write(struct writer *out, enum handover_kind kind, uint16_t descriptors,
                    struct view payload)
{
    writer_u32(out, HANDOVER_MAGIC);
    writer_i8(out, (int8_t)kind);
    writer_i8(out, 0);
    writer_u16(out, descriptors);
    writer_u32(out, (uint32_t)payload.length);
    writer_put(out, payload);
}

void handover_sockets_write(struct writer *out, const struct handover_sockets *sockets)
{
    writer_i64(out, (int64_t)sockets->session_id);
    writer_bool(out, sockets->last);
    writer_u32(out, (uint32_t)sockets->count);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct handover_socket *socket = &sockets->sockets[i];
        writer_string(out, false, view_from_string(socket->address));
        writer_i32(out, socket->worker);
        writer_bool(out, socket->listening);
    }
}

/* Text of ours only: nothing that a log or a terminal could stumble over. */
static bool copy_text(struct view text, char *into, size_t size)
{
    if (text.length >= size) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < ' ' || text.at[i] > '~') {
            return false;
        }
        into[i] = (char)text.at[i];
    }
    into[text.length] = '\0';
    return true;
}

static bool read_socket(struct reader *r, struct handover_socket *socket)
{
    struct view address;
    socket->fd = -1;
    return reader_string(r, false, &address, NULL) &&
           copy_text(address, socket->address, sizeof socket->address) &&
           reader_i32(r, &socket->worker) && socket->worker >= 0 &&
           reader_bool(r, &socket->listening);
}

bool handover_sockets_read(struct view payload, struct handover_sockets *sockets_r, size_t max)
{
    struct reader r = reader_init(payload);
    int64_t session_id = 0;
    uint32_t count = 0;
    if (!reader_i64(&r, &session_id) || session_id < 0 || !reader_bool(&r, &sockets_r->last) ||
        !reader_u32(&r, &count) || count > max) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_socket(&r, &sockets_r->sockets[i])) {
            return false;
        }
    }
    sockets_r->session_id = (uint64_t)session_id;
    sockets_r->count = count;
    return r.left == 0;
}

void handover_text_write(struct writer *out, const char *text)
{
    struct view view = view_from_string(text);
    if (view.length >= HANDOVER_TEXT_SIZE) {
        view.length = HANDOVER_TEXT_SIZE - 1;
    }
    writer_string(out, false, view);
}

bool handover_text_read(struct view payload, char text_r[HANDOVER_TEXT_SIZE])
{
    struct reader r = reader_init(payload);
    struct view text;
    return reader_string(&r, false, &text, NULL) &&
           copy_text(text, text_r, HANDOVER_TEXT_SIZE) && r.left == 0;
}
