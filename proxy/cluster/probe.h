/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: one look at one broker at one address, in the background.
 *
 *   generation known      connect ─ TLS? ─ broker_login with the identity ─ ApiVersions ─ Metadata
 *     refused, no identity    connect again ─ ApiVersions unauthenticated
 *   generation unknown    plain ApiVersions; no answer: TLS, ApiVersions; then SaslHandshake:
 *                         that tells the generation; then as above
 *
 * A look sends no token and no password. A known generation that the broker does not speak any more
 * (relook) turns into a look within the same probe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "protocol/handshake.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/cluster/generation.h"
#include "proxy/cluster/route.h"

struct cluster_identity;
struct conf_cluster;
struct io;
struct probe;

struct probe_params {
    struct io *io;
    const struct conf_cluster *conf;         /* outlives the probe */
    const struct cluster_identity *identity; /* how Setu itself logs in; outlives the probe */
    struct generation_subject subject;       /* strings are copied */
    struct sockaddr_storage address;
    const struct conf_generation *generation; /* NULL: look */
    bool relook;                              /* look when the generation given does not work */
    unsigned timeout_ms;                      /* for each connection */
};

enum probe_outcome {
    PROBE_OK,            /* logged in; versions and metadata known */
    PROBE_VERSIONS_ONLY, /* versions known; the login with Setu's identity failed, or there is none
                            to use */
    PROBE_UNREACHABLE,   /* no TCP connection */
    PROBE_FAILED,        /* connected, but no answer could be had */
    PROBE_NO_GENERATION, /* looked, and nothing in the configuration fits */
};

struct probe_result {
    enum probe_outcome outcome;
    const struct conf_generation *generation; /* decided; NULL: not */
    bool looked;
    struct generation_look look;         /* when looked; mechanisms die with the call */
    const struct api_versions *versions; /* raw; NULL unknown */
    struct view metadata;                /* response payload for endpoint_visit; at == NULL: none */
    int16_t metadata_version;
    enum broker_login_reason reason; /* of the login, when it failed */
    int16_t error_code;
    const char *text;  /* of the first thing that went wrong, untrusted; "" none */
    bool login_failed; /* the identity was refused */
    unsigned elapsed_ms;
    const char *tls_version, *tls_cipher; /* "" without TLS */
};

/** Called once from the loop, never from inside probe_start. Everything in result dies with the
 * call. */
typedef void (*probe_fn)(void *context, const struct probe_result *result);

/** NULL without memory. */
struct probe *probe_start(const struct probe_params *params, probe_fn done, void *context)
    __attribute__((warn_unused_result));

/** No call of done any more; the memory goes when the loop has closed the handles. *probe = NULL.
 */
void probe_cancel(struct probe **probe);

const char *probe_outcome_name(enum probe_outcome outcome);
