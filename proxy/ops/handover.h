/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover: the words spoken over the control socket, as bytes. Pure: no descriptor, no clock.
 *
 *   message  =  magic "STU2", kind (u8), 0 (u8), descriptors (u16), length (u32), payload
 *
 *   successor            predecessor
 *     HELLO ───────────▶             who I am
 *           ◀─────────── WELCOME     the ports I serve (or REFUSED and why)
 *     READY ───────────▶             configuration checked, brokers seen, audit log can be opened
 *           ◀─────────── RELEASED    the audit log is yours; later events come by this descriptor
 *     TAKEN ───────────▶             it is mine
 *           ◀─────────── SOCKETS …   every listening socket; from here on I accept nothing
 *   SERVING ───────────▶             I can accept from all of them, and wait for your word
 *           ◀─────────── YOURS       do. The predecessor drains; until it has ended, both stay connected, and it
 *                                    serves again should the successor die. Who never hears this never serves: it is
 *                                    the predecessor alone that decides, and takes back what it gave when that is late
 *   GOODBYE ───────────▶             I stop because I was told to: do not serve again
 *
 *   setu status, drain, reload: STATUS, DRAIN, RELOAD with an empty payload; REPLY, one JSON object
 *
 * Both ends are Setu, run by the same user or root; still no length is believed and no text trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum {
    HANDOVER_HEAD_BYTES = 12,
    HANDOVER_PAYLOAD_MAX = 256 * 1024,
    HANDOVER_DESCRIPTORS_MAX = 64, /* of one message; the kernel takes 253 */
    HANDOVER_ADDRESS_SIZE = 64,
    HANDOVER_TEXT_SIZE = 256,
};

enum handover_kind {
    HANDOVER_HELLO = 1,
    HANDOVER_WELCOME,
    HANDOVER_REFUSED,
    HANDOVER_READY,
    HANDOVER_RELEASED,
    HANDOVER_TAKEN,
    HANDOVER_SOCKETS,
    HANDOVER_SERVING,
    HANDOVER_GOODBYE,
    HANDOVER_YOURS,
    HANDOVER_STATUS = 16,
    HANDOVER_DRAIN,
    HANDOVER_RELOAD,
    HANDOVER_REPLY,
    HANDOVER_CERTIFICATES,
};

struct handover_head {
    enum handover_kind kind;
    uint16_t descriptors;
    uint32_t length; /* of the payload */
};

enum handover_status { HANDOVER_OK, HANDOVER_MORE, HANDOVER_BAD };

/** The first HANDOVER_HEAD_BYTES of in. BAD: not ours, of another version, an unknown kind, or beyond the limits. */
enum handover_status handover_head(struct view in, struct handover_head *head_r)
    __attribute__((warn_unused_result));

/** One whole message into out, a growing or large enough writer. */
void handover_write(struct writer *out, enum handover_kind kind, uint16_t descriptors,
                    struct view payload);

/** A listening socket. In SOCKETS the descriptors come in the same order. */
struct handover_socket {
    char address[HANDOVER_ADDRESS_SIZE]; /* as bound: "127.0.0.1:19092", "[::1]:19092"; "control" */
    int32_t worker;                      /* whose it was, from 0 */
    bool listening;                      /* else only bound */
    int fd;                              /* not part of the message; -1 after reading */
};

/** WELCOME and SOCKETS. session_id: the last one given. last: no further SOCKETS follow. */
struct handover_sockets {
    uint64_t session_id;
    bool last;
    size_t count;
    struct handover_socket *sockets; /* the caller's */
};

void handover_sockets_write(struct writer *out, const struct handover_sockets *sockets);

/** Fills sockets_r->sockets, room for max. False: not such a payload, or more than max. */
bool handover_sockets_read(struct view payload, struct handover_sockets *sockets_r, size_t max)
    __attribute__((warn_unused_result));

/** HELLO, REFUSED: a text; HELLO carries the version of Setu. Longer ones are cut. */
void handover_text_write(struct writer *out, const char *text);
bool handover_text_read(struct view payload, char text_r[HANDOVER_TEXT_SIZE])
    __attribute__((warn_unused_result));
