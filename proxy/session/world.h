/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: everything a session uses that is not its own. One per worker, used by its thread only; the parts marked
 * shared belong to the process, are immutable or lock themselves, and outlive every worker.
 *
 *   gate (one per listener and worker) ─┬─▶ world    io, stats, penalty, TLS sessions    this worker's
 *                                        └─▶ edition  contexts, keys ─▶ shared: config, certificates, mapping, …
 */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "proxy/io/io.h"
#include "proxy/ops/stats.h"

struct audit_log;
struct certificates;
struct cluster;
struct conf_generation;
struct conf_listener;
struct config;
struct credentials;
struct edition;
struct kerberos_acceptor;
struct ledger;
struct ledger_lane;
struct mapping;
struct passwords;
struct penalty;
struct rules;
struct session;
struct tls_material;
struct tls_sessions;
struct tokens;
struct visitors;

/**
 * The process's part: one snapshot of the configuration and all it names. Immutable and counted, but for the last
 * four, which are the process's own, the same in every snapshot.
 */
struct shared {
    atomic_size_t references;
    struct config *config;
    struct tls_material *material;     /* what SSL_CTXs are made of */
    struct certificates *certificates; /* material's */
    struct mapping *mapping;
    struct credentials *users;       /* NULL: no listener needs them */
    struct tokens *tokens;           /* NULL: no listener offers OAUTHBEARER */
    struct generation_secrets *secrets; /* one per generation with `login: sasl` */
    size_t secret_count;
    struct kerberos_acceptor **acceptors; /* by listener of the configuration; NULL: no GSSAPI */
    char config_hash[65];            /* SHA-256 of the configuration file, hex */
    char users_hash[65];             /* of the users file's content */
    char (*peer_hashes)[65];         /* of each listener: by what client certificates are judged */
    char (*ticket_hashes)[65];       /* of each listener: by what Kerberos tickets are judged */
    /* of each cluster of the configuration: its text and the content of every file it names */
    char (*cluster_hashes)[65];
    char (*login_hashes)[65];        /* the part of it that is Setu's own login by SASL */
    struct audit_key *audit_key;     /* NULL: checkpoints are not signed */
    struct audit_log *audit;
    struct ledger *ledger;           /* NULL: off */
    struct visitors *visitors;       /* client connections open, over all workers */
    atomic_uint_fast64_t *session_ids; /* the last one given */
};

struct generation_secrets {
    const char *file; /* of the configuration: whose passwords */
    struct passwords *passwords;
};

struct world {
    struct io io;
    struct stats stats;
    struct ledger_lane *ledger;      /* of the ledger; NULL: off */
    struct penalty *penalty;         /* of addresses */
    struct penalty *guesses;         /* of names that passwords were tried for; may be NULL */
    struct tls_sessions *tls_sessions; /* with brokers; NULL: none are kept */
    struct writer rewrite;           /* for the response being rewritten; empty between two */
    struct writer filled;            /* the same, before it is: of what its gaps were filled in */
    uint64_t crc_logged_ms;          /* loop time of the last line about a bad checksum */
    struct session *sessions;        /* every session of this worker */
    size_t session_count;
    bool ports_shared;               /* other workers listen on the same ports */
};

/** A listener as its sessions see it. */
struct gate {
    struct world *world;
    struct edition *edition;
    struct cluster *cluster;
    const struct conf_listener *conf;
    SSL_CTX *tls;                    /* NULL: plaintext */
    struct rules *rules;             /* ssl principal mapping; NULL: DEFAULT */
    const struct kerberos_acceptor *acceptor; /* for GSSAPI; NULL: not offered; shared's */
    /** The port at which clients reach node_id through this listener, opened now if need be; 0: none can be had. */
    uint16_t (*node_port)(struct gate *gate, int32_t node_id);
    char alias[16]; /* of the node that was named last: what node_address_shown needs */
    /** The gate of those who come to the same listener now. NULL: this one. */
    const struct gate *(*newest)(const struct gate *gate);
    /** Told once when a session of this gate has gone. */
    void (*on_gone)(struct gate *gate, const struct sockaddr *peer);
};

/** exchange_random_fn over the operating system's generator. */
bool world_random(void *context, uint8_t *at, size_t length);

/** Wall clock, ns since 1970; for audit and certificate validity only. */
int64_t world_now_ns(void);
