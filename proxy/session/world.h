/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: everything a session uses that is not its own. One per worker, used by its thread only; the parts marked
 * shared belong to the process, are immutable or lock themselves, and outlive every worker.
 *
 *   gate (one per listener and worker) ──▶ world ──▶ io, stats, contexts, penalty       this worker's
 *                                              └───▶ config, certificates, mapping, …    shared
 */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/scram.h"
#include "auth/tls_origin.h"
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
struct ledger;
struct ledger_lane;
struct mapping;
struct password;
struct passwords;
struct penalty;
struct rules;
struct session;
struct tls_sessions;
struct visitors;

/** The process's part: made once before the workers start. */
struct shared {
    struct config *config;
    struct certificates *certificates;
    struct mapping *mapping;
    struct credentials *users;       /* NULL: no listener needs them */
    struct generation_secrets *secrets; /* one per generation with `login: sasl` */
    size_t secret_count;
    struct audit_log *audit;
    struct ledger *ledger;           /* NULL: off */
    char config_hash[65];            /* SHA-256 of the configuration file, hex */
    struct visitors *visitors;       /* client connections open, over all workers */
    atomic_uint_fast64_t session_ids;
};

struct generation_secrets {
    const struct conf_generation *generation;
    struct passwords *passwords;
};

/** A broker-leg SSL_CTX of this worker: one per (generation, certificate), never shared between identities. */
struct world_context {
    const struct conf_generation *generation;
    const char *certificate; /* NULL: none is shown */
    SSL_CTX *ctx;
    struct tls_facts facts;
    bool resumes;            /* its connections may be given sessions of world's tls_sessions */
    struct world_context *next;
};

/**
 * What PBKDF2 gave for one stored password, kept so that only the first login of a principal to a broker pays for it.
 * As many as there are stored passwords; wiped with the worker.
 */
struct world_keys {
    const struct password *password;
    struct scram_keys keys;
    struct world_keys *next;
};

struct world {
    struct io io;
    struct stats stats;
    struct ledger_lane *ledger;      /* of the ledger; NULL: off */
    struct shared *shared;
    struct penalty *penalty;
    struct world_context *contexts;
    struct tls_sessions *tls_sessions; /* with brokers; NULL: none are kept */
    struct world_keys *keys;
    struct writer rewrite;           /* for the response being rewritten; empty between two */
    uint64_t crc_logged_ms;          /* loop time of the last line about a bad checksum */
    struct session *sessions;        /* every session of this worker */
    size_t session_count;
    bool draining;
};

/** A listener as its sessions see it. */
struct gate {
    struct world *world;
    struct cluster *cluster;
    const struct conf_listener *conf;
    SSL_CTX *tls;                    /* NULL: plaintext */
    struct rules *rules;             /* ssl principal mapping; NULL: DEFAULT */
    /** The port at which clients reach node_id through this listener, opened now if need be; 0: none can be had. */
    uint16_t (*node_port)(struct gate *gate, int32_t node_id);
    /** Told once when a session of this gate has gone. */
    void (*on_gone)(struct gate *gate, const struct sockaddr *peer);
};

/**
 * The context to show `certificate` (a configured name, or NULL) to brokers of generation; made at first use and kept.
 * NULL: it cannot be made; logged. Lives as long as world.
 */
const struct world_context *world_client_context(struct world *world,
                                                 const struct conf_generation *generation,
                                                 const char *certificate);

/** Frees the contexts, wipes keys and TLS sessions. */
void world_free(struct world *world);

/** The stored passwords of a generation with `login: sasl`; NULL: none. */
const struct passwords *world_passwords(const struct world *world,
                                        const struct conf_generation *generation);

/** The kept keys of a stored password, or NULL; valid until the next world_keep_keys. */
const struct scram_keys *world_find_keys(const struct world *world,
                                         const struct password *password);

/** Keeps a copy, in place of an earlier one of the same password. */
void world_keep_keys(struct world *world, const struct password *password,
                     const struct scram_keys *keys);

/** exchange_random_fn over the operating system's generator. */
bool world_random(void *context, uint8_t *at, size_t length);

/** Wall clock, ns since 1970; for audit and certificate validity only. */
int64_t world_now_ns(void);
