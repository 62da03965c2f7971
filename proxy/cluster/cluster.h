/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster: what one worker knows about the brokers of one cluster: node ids, addresses,
 * generations, API versions, who answers. One loop, one thread; every function is called on it.
 *
 *   bootstrap ─ resolve ─▶ probe ─▶ ApiVersions, Metadata ─▶ nodes ─on_node─▶ listener opens port
 *                            ▲                                 │
 *    refresh, failures, new nodes ◀────────────────────────────┴─▶ cluster_route, _api_versions
 *
 * A node, once known, is never forgotten and keeps its port: it may be down, re-imaged or only
 * hidden from the broker that was asked last. What different brokers say about one node is merged:
 * each of its addresses is remembered (a few), the one that works is used.
 *
 * With `follow: false` there is one broker, under its bootstrap addresses, and nothing is learned:
 * what it names in Metadata are the bridges before brokers, itself among them.
 *
 * Generation: the first one whose rules all hold; when the rules that hold need a look (`probe:
 * true`), or none is certain, a probe looks. When the generation decided on stops working (the node
 * does not speak that way any more), the node is looked at again: it may flip while Setu runs, and
 * the sessions that found out wait for that look (cluster_wait_look).
 *
 * Id: a node is who it says it is. Whenever a connection to it failed or broke, and when it is seen
 * under a new address, the next look, or the next session if that is faster, asks (cluster_identify).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "protocol/endpoint.h"
#include "protocol/gaps.h"
#include "protocol/handshake.h"
#include "proxy/cluster/route.h"

struct audit_log;
struct cluster;
struct conf_cluster;
struct conf_limits;
struct config;
struct io;
struct served;
struct stats;
struct tls_material;

struct cluster_params {
    struct io *io;                     /* the worker's; its loop is used; outlives the cluster */
    const struct config *config;       /* a reference is taken */
    const struct conf_cluster *conf;   /* inside config */
    const struct tls_material *material; /* of config; for the call only; NULL: there is no TLS */
    struct stats *stats;               /* the worker's; outlives the cluster */
    struct audit_log *audit;           /* generations learned and flipped; NULL: not told */
    /* A node id became known. Called before any call of this module names it; the caller opens its
     * port at once. Never called from inside cluster_new; may be called from inside cluster_learn.
     */
    void (*on_node)(void *context, int32_t node_id);
    /* cluster_ready became true for the first time. NULL is fine. */
    void (*on_ready)(void *context);
    void *context;
};

/** What a session saw of a broker. */
enum cluster_outcome {
    CLUSTER_OK,             /* logged in */
    CLUSTER_CONNECT_FAILED, /* no connection */
    CLUSTER_LOGIN_FAILED,   /* it spoke as expected, and refused */
    CLUSTER_MISMATCH,       /* it does not speak as its generation does */
    CLUSTER_LOST,           /* one that had relayed broke, or ended while answers were due */
    CLUSTER_ENDED           /* it ended one that was at rest */
};

/** Starts at once: resolves the bootstrap names and probes. NULL without memory or when the trust
 * or identity of the cluster cannot be used (then logged). */
struct cluster *cluster_new(const struct cluster_params *params)
    __attribute__((warn_unused_result));

/** Stops everything. on_closed is called from the loop when no handle is left and the memory is
 * gone; it may be NULL. Waiters are called with ROUTE_UNKNOWN first. *cluster = NULL; NULL is fine
 * (no call). */
void cluster_close(struct cluster **cluster, void (*on_closed)(void *context), void *context);

const struct conf_cluster *cluster_conf(const struct cluster *cluster);

/** Limits of a reload that left the cluster as it is: they hold from now on. */
void cluster_limit(struct cluster *cluster, const struct conf_limits *limits);

/** Certificates and authorities of the same configuration, read later: looks that begin from now on use them. */
void cluster_rotate(struct cluster *cluster, const struct tls_material *material);

/** At least one broker has answered ApiVersions, and every broker it named had a first look (or
 * about three seconds for it). Never becomes false again. */
bool cluster_ready(const struct cluster *cluster);

/**
 * What to advertise to a client: the brokers' ranges within Setu's own table (api_versions_admit).
 * With `api_versions: intersection` (default) over every broker whose versions are known, whatever
 * node_id says; with `broker` those of node_id (-1, or not known yet: the intersection).
 * False while nothing is known: the caller closes or waits.
 */
bool cluster_api_versions(const struct cluster *cluster, int32_t node_id,
                          struct api_versions *out_r) __attribute__((warn_unused_result));

/**
 * With `follow: false`: what the one broker there is says of itself, nothing trimmed (but for keys
 * that Setu does not know). False while nothing is known.
 */
bool cluster_told_versions(const struct cluster *cluster, struct api_versions *out_r)
    __attribute__((warn_unused_result));

/**
 * Finds the way to a broker: node_id, or -1: the next of the brokers that answer, in turn. With
 * `follow: false` the one broker there is, whether it answered last or not.
 */
enum route_status cluster_route(struct cluster *cluster, int32_t node_id, struct route *route_r)
    __attribute__((warn_unused_result));

/** Lives in the owner (a session). fn is called once, from the loop, never from inside
 * cluster_wait. */
struct cluster_waiter {
    struct cluster_waiter *next, **link; /* link == NULL: not waiting */
    int32_t node_id;
    void (*fn)(struct cluster_waiter *waiter, enum route_status status);
    void *owner;
    const struct broker *looked_at; /* of cluster_wait_look; else NULL */
    unsigned look;
};

/** After ROUTE_PENDING or ROUTE_NONE_LIVE: fn is called when cluster_route(node_id) would say
 * something else, or when the probe that was under way has ended. The caller has its own deadline.
 */
void cluster_wait(struct cluster *cluster, struct cluster_waiter *waiter);
void cluster_wait_cancel(struct cluster_waiter *waiter); /* no call any more; idempotent */

/**
 * After a report of CLUSTER_MISMATCH: fn is called when the one look that all such reports share
 * has ended, with what cluster_route(waiter->node_id) says then. False: a look cannot find another
 * way, for the operator's rules say how this broker is spoken to; fn is not called.
 */
bool cluster_wait_look(struct cluster *cluster, const struct route *route,
                       struct cluster_waiter *waiter) __attribute__((warn_unused_result));

/**
 * A connection to a broker that is being set up, from the dial to the end of its login. So many at a
 * time go to one broker (limits.dials_per_broker, for each worker); more wait, first come, first
 * served. At a broker that could not be connected to a moment ago only one tries every now and then;
 * the others wait, half a second at most, and all have their turn when one has got through. Lives in
 * the owner; all zero at first.
 */
struct cluster_dial {
    struct cluster_dial *next, **link;
    struct broker *broker; /* NULL: neither holds a place nor waits */
    bool holds;
    bool in_vain; /* fn: nobody has got through; it holds no place, and waits for none */
    uint64_t since_ms;
    void (*fn)(struct cluster_dial *dial); /* it is its turn: it holds a place now */
    void *owner;
};

/** True: it holds a place. False: fn is called later, from the loop. */
bool cluster_dial_enter(struct cluster *cluster, const struct route *route,
                        struct cluster_dial *dial) __attribute__((warn_unused_result));
void cluster_dial_reached(struct cluster_dial *dial); /* somebody answers there */
void cluster_dial_leave(struct cluster_dial *dial); /* in any state; idempotent */

/**
 * An address that a broker's response named (the real one, before it is rewritten). New node ids
 * lead to on_node before this returns. Cheap when nothing is new. False: not acceptable (id < 0,
 * empty or overlong or ill-formed host, port not 1..65535, more than node_ports_max nodes): refuse
 * the response.
 */
bool cluster_learn(struct cluster *cluster, int32_t node_id, struct view host, int32_t port,
                   struct view rack) __attribute__((warn_unused_result));

/** `metadata: merged`: answers are given to cluster_fill_gaps before anything else is done to them. NULL: no. */
bool cluster_merges(const struct cluster *cluster);

/** Who is told: nodes that it has no way to (no port of its listener) are not. `context` is the caller's. */
struct cluster_audience {
    bool (*reaches)(void *context, int32_t node_id);
    void *context;
};

/**
 * Puts into a broker's answer what it cannot know of brokers that have no listener of the name it was asked on:
 * those that are of another generation than the route's and live, and who leads what and coordinates what, where
 * that is known (leaders.h says when it is). What is not known stays as the broker said, and is asked for at once,
 * with Setu's own identity, from a broker of the other generation: a client that asks again, as it does within a
 * moment, finds it. Nothing waits for that. As gaps_fill: OK and *changed_r, and `out` has the new payload.
 * `audience` may be NULL: everybody may be told of all.
 */
enum endpoint_status cluster_fill_gaps(struct cluster *cluster, const struct route *route,
                                       int16_t key, int16_t version,
                                       const struct gaps_question *question,
                                       const struct cluster_audience *audience, struct view payload,
                                       struct writer *out, bool *changed_r)
    __attribute__((warn_unused_result));

/** Feeds liveness; a failure leads to a fresh look soon (bounded and jittered). node_id as in the
 * route that was used; generation likewise (a late report about a generation that was left is
 * ignored). */
void cluster_report(struct cluster *cluster, const struct route *route,
                    enum cluster_outcome outcome);

/**
 * For a route that is not confirmed: does the broker that was reached over it, by the Metadata it
 * answered (a whole response frame without its size), take itself for route->node_id? False: it is
 * another node. That address is then no way to route->node_id any more until a look finds it there
 * again; logged and counted. True also where the answer tells nothing: a broker that has just
 * started may not know itself yet.
 */
bool cluster_identify(struct cluster *cluster, const struct route *route, int16_t version,
                      struct view metadata) __attribute__((warn_unused_result));

/**
 * ApiVersions that a session saw at the end of a route while it logged in: keeps the cache fresh.
 * Returns them in the form that a session keeps, with a reference for the caller; NULL without
 * memory or when the versions are none.
 */
struct served *cluster_saw_versions(struct cluster *cluster, const struct route *route,
                                    const struct api_versions *versions)
    __attribute__((warn_unused_result));

/** The end that the broker gave a session's login by SASL, in ms; 0: none. */
void cluster_saw_lifetime(struct cluster *cluster, const struct route *route, int64_t lifetime_ms);

/**
 * The shortest lifetime that brokers with login: scram-relay were seen to give; 0: none, or not known yet. NULL is
 * fine.
 */
int64_t cluster_relay_lifetime_ms(const struct cluster *cluster);

/** One row of what is known, for status output and logs. Strings live until the next call into
 * cluster. */
struct cluster_node_info {
    int32_t node_id; /* -1: a bootstrap broker that did not tell its id */
    const char *host;
    uint16_t port;
    const char *rack;       /* "" unknown */
    const char *generation; /* "" undecided */
    const char *last_error; /* "" none */
    bool live, versions_known;
    uint64_t flips;
    uint64_t last_answer_ms; /* loop time; 0 never */
};
size_t cluster_node_count(const struct cluster *cluster);
bool cluster_node_at(const struct cluster *cluster, size_t index, struct cluster_node_info *info_r);
