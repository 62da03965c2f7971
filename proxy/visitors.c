/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/visitors.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Kept while there are connections of it: at most as many as connections. */
struct visitor {
    uint8_t address[16];
    size_t connections;
    UT_hash_handle hh;
};

struct visitors {
    pthread_mutex_t lock;
    size_t limit, address_limit, connections;
    size_t most; /* connections, since they were last told to have left */
    struct visitor *by_address;
};

static void visitor_key(const struct sockaddr *peer, uint8_t key[16])
{
    memset(key, 0, 16);
    if (peer->sa_family == AF_INET6) {
        memcpy(key, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    } else {
        memcpy(key, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    }
}

static struct visitor *visitor_find(const struct visitors *visitors, const struct sockaddr *peer)
{
    uint8_t key[16];
    struct visitor *visitor;
    visitor_key(peer, key);
    HASH_FIND(hh, visitors->by_address, key, sizeof key, visitor);
    return visitor;
}

static struct visitor *visitor_add(struct visitors *visitors, const struct sockaddr *peer)
{
    struct visitor *visitor = calloc(1, sizeof *visitor);
    if (visitor != NULL) {
        visitor_key(peer, visitor->address);
        HASH_ADD(hh, visitors->by_address, address, sizeof visitor->address, visitor);
    }
    return visitor;
}

static bool visitor_enter(struct visitors *visitors, const struct sockaddr *peer)
{
    if (visitors->address_limit == 0) {
        return true;
    }
    struct visitor *visitor = visitor_find(visitors, peer);
    if (visitor == NULL) {
        visitor = visitor_add(visitors, peer);
    }
    if (visitor == NULL || visitor->connections >= visitors->address_limit) {
        return false;
    }
    visitor->connections++;
    return true;
}

static void visitor_leave(struct visitors *visitors, const struct sockaddr *peer)
{
    struct visitor *visitor = visitor_find(visitors, peer);
    if (visitor != NULL && --visitor->connections == 0) {
        HASH_DEL(visitors->by_address, visitor);
        free(visitor);
    }
}

struct visitors *visitors_new(size_t limit, size_t address_limit)
{
    struct visitors *visitors = calloc(1, sizeof *visitors);
    if (visitors == NULL) {
        return NULL;
    }
    visitors->limit = limit;
    visitors->address_limit = address_limit;
    pthread_mutex_init(&visitors->lock, NULL);
    return visitors;
}

bool visitors_enter(struct visitors *visitors, const struct sockaddr *peer)
{
    pthread_mutex_lock(&visitors->lock);
    bool entered = visitors->connections < visitors->limit && visitor_enter(visitors, peer);
    visitors->connections += entered ? 1 : 0;
    if (visitors->connections > visitors->most) {
        visitors->most = visitors->connections;
    }
    pthread_mutex_unlock(&visitors->lock);
    return entered;
}

void visitors_leave(struct visitors *visitors, const struct sockaddr *peer)
{
    pthread_mutex_lock(&visitors->lock);
    visitors->connections--;
    visitor_leave(visitors, peer);
    pthread_mutex_unlock(&visitors->lock);
}

bool visitors_have_left(struct visitors *visitors, size_t least)
{
    pthread_mutex_lock(&visitors->lock);
    bool left = visitors->most >= least && visitors->connections < visitors->most / 2;
    if (left) {
        visitors->most = visitors->connections;
    }
    pthread_mutex_unlock(&visitors->lock);
    return left;
}

void visitors_limit(struct visitors *visitors, size_t limit, size_t address_limit)
{
    pthread_mutex_lock(&visitors->lock);
    visitors->limit = limit;
    visitors->address_limit = address_limit;
    pthread_mutex_unlock(&visitors->lock);
}

void visitors_free(struct visitors **visitors)
{
    struct visitors *gone = *visitors;
    struct visitor *visitor, *next;
    *visitors = NULL;
    if (gone == NULL) {
        return;
    }
    HASH_ITER(hh, gone->by_address, visitor, next)
    {
        HASH_DEL(gone->by_address, visitor);
        free(visitor);
    }
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}
