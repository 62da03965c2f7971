/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker: what is known about one broker. Plain state; the clock is an argument; no I/O.
 *
 * A broker may have been seen under several addresses: two listener names, an address that changed
 * when it was re-imaged. The last few are kept; one is in use until it fails, then the most
 * recently seen other one is tried.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/handshake.h"
#include "proxy/cluster/generation.h"
#include "proxy/cluster/resolve.h"
#include "proxy/cluster/route.h"

struct cluster;
struct cluster_dial;
struct conf_cluster;
struct served;
struct conf_generation;
struct probe;

enum { BROKER_ENDPOINTS_MAX = 4, BROKER_RACK_SIZE = 256, BROKER_ERROR_SIZE = 200 };

struct broker_endpoint {
    char host[ROUTE_HOST_MAX];
    uint16_t port;
    uint64_t seen_ms;               /* when a broker named it last */
    struct resolve_result resolved; /* count 0: not yet, or it does not resolve */
    uint64_t resolved_ms;           /* 0: never tried */
    size_t address;                 /* of resolved: in use */
    bool strange;                   /* another node answered there last */
};

struct broker {
    struct cluster *cluster; /* of whoever embeds brokers; not used here */
    int32_t node_id;         /* -1: a bootstrap address */
    bool rack_known;
    bool live;    /* reached last time */
    bool looked;  /* the first look has ended */
    bool by_look; /* generation was found by looking, not by rule */
    bool versions_known;
    bool confirmed;    /* who answers there has said who it is, and no connection failed since */
    unsigned failures; /* looks that failed in a row */
    bool asked;        /* sessions wait for the next look */
    unsigned vain;     /* looks in a row that sessions asked for and that changed nothing */
    unsigned looks;    /* that have ended */
    unsigned named;    /* in which answer it was seen last (cluster's naming) */
    unsigned partial;  /* looks in a row that left out brokers of another generation */
    size_t dials;      /* connections of sessions that are being set up */
    struct cluster_dial *dials_first, **dials_last; /* those that wait for their turn */
    /* The last one that was dialled found nobody: since when, and when the next one may try. 0: not so. */
    uint64_t away_since_ms, away_until_ms, away_gap_ms;
    int64_t lifetime_ms; /* that it gives logins by SASL (KIP-368); 0 none, or not known */
    uint64_t flips;
    const struct conf_generation *generation; /* NULL: not decided */
    const struct conf_generation *last_good;  /* under which it answered last */
    struct probe *probe;                      /* under way, or NULL */
    struct resolve *resolve;
    uint64_t last_answer_ms, last_look_ms, next_look_ms;
    struct api_versions versions;    /* as the broker said */
    struct served *served;           /* a session's view of them; NULL: none has asked yet */
    size_t endpoint_count, endpoint; /* endpoint: in use */
    struct broker_endpoint endpoints[BROKER_ENDPOINTS_MAX];
    char rack[BROKER_RACK_SIZE];
    char last_error[BROKER_ERROR_SIZE];
};

/* Is text something a broker may call a host: 1..255 of letters, digits and . - _ : % ? */
bool broker_host_valid(struct view host);

/* Notes an address (valid host, not too long). True: it is new, or the rack changed; then
 * broker_decide. rack.at == NULL: not told. */
bool broker_saw(struct broker *broker, struct view host, uint16_t port, struct view rack,
                uint64_t now_ms);

struct broker_endpoint *broker_endpoint(struct broker *broker);
struct generation_subject broker_subject(const struct broker *broker);

/* Applies the rules to the endpoint in use. What a look found before is kept while it is still a
 * candidate. */
void broker_decide(struct broker *broker, const struct conf_cluster *conf);

/* The address in use failed: moves on to its next one, then to the next endpoint (then
 * broker_decide). False: there is no other. */
bool broker_try_other(struct broker *broker);

/* How to get there, or why not. A broker that was never looked at and needs it is ROUTE_PENDING. */
enum route_status broker_route(const struct broker *broker, struct route *route_r);

/* When to look again after `failures` in a row: 0 the refresh interval, else 250 ms doubling up to
 * 30 s or the refresh interval; spread by random over -20 %..+20 %. */
uint64_t broker_delay_ms(unsigned failures, uint64_t refresh_ms, uint32_t random);

/* The earliest a look may follow the last one when sessions report failures. */
uint64_t broker_soon_ms(const struct broker *broker, uint64_t now_ms, uint32_t random);

/* The same when one was answered in another way than its generation does: sessions wait for it. */
uint64_t broker_at_once_ms(const struct broker *broker, uint64_t now_ms);

enum broker_identity {
    BROKER_ITSELF,
    BROKER_UNTOLD, /* nobody is named at that address: just started, or it names itself otherwise */
    BROKER_ANOTHER
};

/*
 * Who answered at host:port as node_id, by its own Metadata response (the whole frame without
 * its size): a broker names itself under the address of the listener that was asked.
 * *other_r: BROKER_ANOTHER only.
 */
enum broker_identity broker_identify(int32_t node_id, const char *host, uint16_t port,
                                     int16_t version, struct view metadata, int32_t *other_r);
