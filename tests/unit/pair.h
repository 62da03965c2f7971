/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair: two legs joined by a socket pair on one loop, for tests of what runs on legs. Events are counted; what arrives
 * at a leg is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/io/leg.h"

struct pair_end {
    struct leg leg;
    uint8_t *got;
    size_t got_length;
    int opened, drained, failed, closed, ended;
};

struct pair {
    uv_loop_t loop;
    struct io io;
    struct pair_end a, b; /* b takes the server's part with TLS */
};

/** Both legs up. client and server may be NULL: plaintext. */
void pair_start(struct pair *pair, SSL *client, SSL *server);

/** The same, but b finds out by the first byte whether a speaks TLS; server is not NULL. */
void pair_start_either(struct pair *pair, SSL *client, SSL *server);

/** Runs the loop until done(pair) or some thousand turns have passed; returns what done says last. */
bool pair_run(struct pair *pair, bool (*done)(const struct pair *pair));

/** Closes and frees everything; asserts that the loop is empty. */
void pair_stop(struct pair *pair);
