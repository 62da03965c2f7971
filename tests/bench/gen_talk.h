/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that asks one question at a time, without blocking.
 *
 *   talk_dial ──▶ talk_secure ──▶ talk_ask ──▶ talk_listen ──┐
 *                                    ▲─────── the next ──────┘
 *
 * Everything dies on an error.
 */
#pragma once

#include "protocol/frame.h"
#include "tests/bench/gen.h"

struct talk {
    struct gen_link link;
    size_t index;
    uint32_t events;   /* EPOLLIN, EPOLLOUT: what it waits for */
    struct writer out; /* the question under way */
    size_t out_at;
    struct frame_collector in;
    int16_t key, version; /* of that question */
    int32_t id;           /* of the next one: what an encoder is given */
};

/* Begins to connect. */
void talk_dial(struct talk *talk, const struct gen_options *options);
/* True when the connection is up; call again whenever it can be written to or read. */
bool talk_secure(struct talk *talk, SSL_CTX *tls);
/* Sends what has been encoded into out, or the start of it. */
void talk_ask(struct talk *talk, int16_t key, int16_t version);
/* Sends the rest of it, and takes what has come of the answer. True: it is there, *body_r is what
 * follows its header and lives until the next talk_ask. */
bool talk_listen(struct talk *talk, struct view *body_r);
/* All but the link. */
void talk_free(struct talk *talk);
