/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct resolve {
    uv_getaddrinfo_t request;
    resolve_fn done; /* NULL: cancelled */
    void (*gone)(void *context);
    void *context;
};

static void keep(struct resolve_result *result, const struct sockaddr *address, size_t length)
{
    if (result->count < RESOLVE_MAX && length <= sizeof result->addresses[0]) {
        memcpy(&result->addresses[result->count++], address, length);
    }
}

bool resolve_literal(const char *host, uint16_t port, struct resolve_result *result_r)
{
    struct resolve_result result = {.error = ""};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (uv_ip4_addr(host, port, &v4) == 0) {
        keep(&result, (const struct sockaddr *)&v4, sizeof v4);
    } else if (uv_ip6_addr(host, port, &v6) == 0) {
        keep(&result, (const struct sockaddr *)&v6, sizeof v6);
    } else {
        return false;
    }
    *result_r = result;
    return true;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolve *resolve = request->data;
    struct resolve_result result = {.error = ""};
    for (const struct addrinfo *at = list; status == 0 && at != NULL; at = at->ai_next) {
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6) {
            keep(&result, at->ai_addr, at->ai_addrlen);
        }
    }
    if (result.count == 0) {
        result.error = status != 0 ? uv_strerror(status) : "no address";
    }
    uv_freeaddrinfo(list);
    resolve_fn done = resolve->done;
    void (*gone)(void *) = resolve->gone;
    void *context = resolve->context;
    free(resolve);
    if (done != NULL) {
        done(context, &result);
    } else if (gone != NULL) {
        gone(context);
    }
}

struct resolve *resolve_start(uv_loop_t *loop, const char *host, uint16_t port, resolve_fn done,
                              void *context)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve == NULL) {
        return NULL;
    }
    resolve->request.data = resolve;
    resolve->done = done;
    resolve->context = context;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (uv_getaddrinfo(loop, &resolve->request, on_resolved, host, service, &hints) != 0) {
        free(resolve);
        return NULL;
    }
    return resolve;
}

void resolve_cancel(struct resolve **resolve_p, void (*gone)(void *context), void *context)
{
    struct resolve *resolve = *resolve_p;
    *resolve_p = NULL;
    resolve->done = NULL;
    resolve->gone = gone;
    resolve->context = context;
    /* EBUSY when a thread is at it already: the callback comes all the same. */
    (void)uv_cancel((uv_req_t *)&resolve->request);
}
