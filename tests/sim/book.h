/* SPDX-License-Identifier: Apache-2.0 */
/*
 * book: what the two ends of each session said, written down by the ends themselves, so that what came out of Setu can
 * be held against it, byte for byte.
 *
 *   client ─ book_sent ─▶ [ requests ] ─ book_reached ─ broker           must be the same bytes, in order, once
 *   client ─ book_received ◀─ [ answers ] ◀─ book_expect ─ broker        must be these, addresses rewritten, in order
 *
 * A book is one connection of a client; its number is in the connection's client id and in every batch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct answer; /* one that the broker owes */

struct book {
    uint32_t number;
    char client_id[16];
    const struct user *user;
    bool proven;   /* the client has sent a proof that holds */
    bool refused;  /* and will be refused all the same: nothing may reach a broker */
    uint8_t *sent; /* whole requests that a broker should get */
    size_t sent_length, sent_capacity, reached;
    struct end *broker; /* the connection that carries it; NULL: none yet */
    struct answer *first, *last;
    size_t answers; /* received */
};

void book_begin(void);

struct book *book_new(const struct user *user);
/** NULL: not a client id of ours. */
struct book *book_find(struct view client_id);
struct view book_client_id(const struct book *book);

/** A request that Setu has to forward: called before its first byte is sent. */
void book_sent(struct book *book, struct view frame);
/** A whole request has reached a broker over this connection: "request" is violated unless it is the next. */
void book_reached(struct book *book, struct end *broker, struct view frame);
/** The connection ended, after these bytes of the next request. */
void book_reached_part(const struct book *book, struct view part);

/** The broker answers; `frame` is the answer as the client has to see it. */
void book_expect(struct book *book, struct view frame);
/** The client has got a whole answer that was not Setu's own. */
void book_received(struct book *book, struct view frame);
/** The connection ended, after these bytes of an answer. */
void book_received_part(const struct book *book, struct view part);

/* ---- batches ---- */

/** A batch is about to be sent for the first time. */
uint64_t batch_number(void);
void batch_made(uint64_t number, struct view bytes, int32_t partition, bool idempotent);
/** A broker has stored it. */
void batch_stored(uint64_t number, struct view bytes, int32_t partition);
/** A client was told so. */
void batch_acknowledged(uint64_t number);

/**
 * Stored batches of a partition from offset on, at most `bytes` of them, with `again` over and over until they are
 * nearly as many; the view dies with the next call.
 */
struct view batch_fetch(int32_t partition, int64_t offset, size_t bytes, bool again);

/** Every batch against what its two ends say: "acknowledged", "once", "order". */
void batch_check(void);
