/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: one look at one broker, in the background.
 *
 *   generation known      connect ─ TLS? ─ broker_login with the identity ─ ApiVersions ─ Metadata
 *     refused, no identity    connect again ─ ApiVersions unauthenticated (SASL listeners answer
 * it) not spoken any more     with relook: as unknown generation unknown    plain: ApiVersions,
 * SaslHandshake; no answer: the same over TLS, once for each candidate's trust; what was seen tells
 * the generation; then as above
 *
 * A look sends no token and no password, and shows a certificate only to a broker that one of the
 * candidates trusts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/handshake.h"
#include "proxy/cluster/broker_login.h"
#include "proxy/cluster/generation.h"
#include "proxy/cluster/resolve.h"
#include "proxy/cluster/route.h"

struct conf_cluster;
struct identity;
struct io;
struct probe;

struct probe_params {
    struct io *io;
    const struct conf_cluster *conf;          /* outlives the probe */
    struct identity *identity;                /* outlives the probe, which keeps keys in it */
    struct generation_subject subject;        /* strings are copied */
    struct resolve_result addresses;          /* tried in order until one connects */
    const struct conf_generation *generation; /* NULL: look */
    bool relook;                              /* look when that generation is not spoken */
    uint64_t timeout_ms;                      /* for each connection */
    struct view topics; /* Metadata is asked for these too (broker_login.h); copied */
    size_t frame_max;   /* of an answer; 0: broker_login's own */
};

enum probe_outcome {
    PROBE_OK,            /* logged in; versions and metadata are known */
    PROBE_VERSIONS_ONLY, /* versions are known; no identity to log in with, or it was refused */
    PROBE_REFUSED,       /* reached, and it refused our certificate or login: nothing is known */
    PROBE_UNREACHABLE,   /* no TCP connection */
    PROBE_FAILED,        /* connected, but it does not speak as expected; text says more */
    PROBE_UNDECIDED,     /* looked, and nothing in the configuration fits what was seen */
    PROBE_LOCAL          /* no descriptor or port left here: nothing was looked at */
};

/* Everything in it dies with the call. */
struct probe_result {
    enum probe_outcome outcome;
    const struct conf_generation *generation; /* tried last; NULL: none */
    bool looked;                              /* it was looked at, and look says what was seen */
    struct generation_look look;
    size_t address;                      /* index into addresses: the one that connected */
    const struct api_versions *versions; /* as the broker said; NULL unknown */
    int64_t lifetime_ms;                 /* of our login by SASL; 0 none */
    struct view metadata;                /* for endpoint_visit; at == NULL: none */
    int16_t metadata_version;
    bool login_failed; /* the identity was refused; reason, error_code and text say how */
    enum broker_login_reason reason;
    int16_t error_code;
    const char *text;        /* of what went wrong, untrusted; "" nothing */
    const char *tls_version; /* "TLSv1.3"; "" without TLS */
    const char *tls_cipher;
    int extended_master_secret; /* TLS 1.2: 1 the broker has it, 0 it has not; else -1 */
    uint64_t elapsed_ms;
};

/* Called once from the loop, never from inside probe_start; the probe is gone after it. */
typedef void (*probe_fn)(void *context, const struct probe_result *result);

/* NULL without memory. */
struct probe *probe_start(const struct probe_params *params, probe_fn done, void *context)
    __attribute__((warn_unused_result));

/* No call of done any more; gone (may be NULL) is called from the loop when nothing is left of the
 * probe. *probe = NULL. */
void probe_cancel(struct probe **probe, void (*gone)(void *context), void *context);

const char *probe_outcome_name(enum probe_outcome outcome); /* "ok", "versions_only", … */
