/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: host names to addresses, off the loop (getaddrinfo on libuv's threads).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

enum { RESOLVE_MAX = 4 }; /* addresses kept of one name, in the resolver's order */

struct resolve_result {
    struct sockaddr_storage addresses[RESOLVE_MAX]; /* with the port */
    size_t count;                                   /* 0: see error */
    const char *error;                              /* static; "" none */
};

struct resolve;

/* Called once from the loop; result dies with the call. */
typedef void (*resolve_fn)(void *context, const struct resolve_result *result);

/* An address in digits needs no resolver: true, and *result_r holds it. Else *result_r stays. */
bool resolve_literal(const char *host, uint16_t port, struct resolve_result *result_r)
    __attribute__((warn_unused_result));

/* Copies host. NULL: no memory, or libuv refuses. */
struct resolve *resolve_start(uv_loop_t *loop, const char *host, uint16_t port, resolve_fn done,
                              void *context) __attribute__((warn_unused_result));

/* No call of done any more; gone (may be NULL) is called from the loop when libuv has let go, which
 * for a name server that does not answer takes as long as that takes. *resolve = NULL. */
void resolve_cancel(struct resolve **resolve, void (*gone)(void *context), void *context);
