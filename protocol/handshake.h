/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * The messages Setu itself speaks, both directions of each: on the client leg it decodes requests
 * and encodes responses, on the broker leg the other way round.
 *
 * Encoders write one whole frame (size, header, body) and leave failure to the writer. Decoders
 * take the body: what request_header_decode or response_header_decode left. They return false for
 * anything malformed, short, or longer than the message (an unknown tagged field is fine). Views
 * point into the body.
 */

enum {
    HANDSHAKE_NONE = 0, /* Kafka error codes Setu says or must understand */
    HANDSHAKE_UNSUPPORTED_SASL_MECHANISM = 33,
    HANDSHAKE_ILLEGAL_SASL_STATE = 34,
    HANDSHAKE_UNSUPPORTED_VERSION = 35,
    HANDSHAKE_INVALID_REQUEST = 42,
    HANDSHAKE_SASL_AUTHENTICATION_FAILED = 58,
    HANDSHAKE_REBOOTSTRAP_REQUIRED = 129
};

enum { API_VERSIONS_RANGES_MAX = 128, SASL_MECHANISMS_MAX = 16 };

/* ---- ApiVersions (18), v0-4 ---- */

struct api_range {
    int16_t key;
    int16_t min;
    int16_t max; /* inclusive */
};

struct api_versions {
    int16_t error_code;
    int32_t throttle_time_ms;
    struct api_range ranges[API_VERSIONS_RANGES_MAX]; /* ascending, each key once, min <= max */
    size_t count;
    size_t unknown; /* decoded keys that are not in Setu's table; they are dropped at once */
};

/* The range of a key, or NULL. */
const struct api_range *api_versions_find(const struct api_versions *versions, int16_t key);
/* Setu's own table as ranges: everything a `clients` listener may use. */
void api_versions_own(struct api_versions *versions_r);
/* Keys both have, at versions both have. error_code 0. out_r may be a or b. */
void api_versions_intersect(const struct api_versions *a, const struct api_versions *b,
                            struct api_versions *out_r);
/*
 * What a client may be told, given what its broker (or all its brokers) offer: the intersection
 * with Setu's table, hidden and unknown keys gone, plus
 *  - Produce keeps the minimum the broker advertises, 0 even from 4.x (KAFKA-18659), which
 *    librdkafka reads as a feature;
 *  - without Metadata v10 (topic ids) Produce and Fetch end at v12, since a client would send ids
 *    it cannot know;
 *  - SaslHandshake, ApiVersions and SaslAuthenticate are Setu's own ranges always, for Setu
 *    answers them.
 * Features (tags 0-2) are not carried. out_r may be in.
 */
void api_versions_admit(const struct api_versions *in, struct api_versions *out_r);

struct api_versions_request {
    struct view software_name; /* v3+; empty before */
    struct view software_version;
};

bool api_versions_decode_request(int16_t version, struct view body,
                                 struct api_versions_request *request_r)
    __attribute__((warn_unused_result));
/*
 * Kafka's rule for ClientSoftwareName and -Version; a v3+ request that breaks it is answered with
 * error 42.
 */
bool api_versions_software_valid(struct view text);
/*
 * The answer to an ApiVersions request of `version`. A version above v4 must be answered with
 * version = 0, error 35 and one range, key 18 (KIP-511): see api_versions_unsupported.
 */
void api_versions_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                  const struct api_versions *versions);
/* That answer: v0, error 35, ApiVersions 0-4. */
void api_versions_unsupported(struct writer *w, int32_t correlation_id);

void api_versions_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                 const struct view *client_id, struct view software_name,
                                 struct view software_version);
/*
 * `version` is the one asked for. An answer with error 35 is decoded as v0 (KIP-511), its array may
 * be empty (brokers before 2.4): the caller asks again with the highest common version, or 0.
 */
bool api_versions_decode_response(int16_t version, struct view body,
                                  struct api_versions *versions_r)
    __attribute__((warn_unused_result));

/* ---- SaslHandshake (17), v0-1 ---- */

struct sasl_handshake_response {
    int16_t error_code;
    struct view mechanisms[SASL_MECHANISMS_MAX]; /* further ones are dropped */
    size_t count;
};

bool sasl_handshake_decode_request(struct view body, struct view *mechanism_r)
    __attribute__((warn_unused_result));
void sasl_handshake_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                   const struct view *client_id, struct view mechanism);
bool sasl_handshake_decode_response(struct view body, struct sasl_handshake_response *response_r)
    __attribute__((warn_unused_result));
void sasl_handshake_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                    const struct sasl_handshake_response *response);

/* ---- SaslAuthenticate (36), v0-2 ---- */

struct sasl_authenticate_response {
    int16_t error_code;
    struct view error_message;
    bool error_message_null;
    struct view auth_bytes;
    int64_t session_lifetime_ms; /* v1+; 0 before */
};

/* The token is a credential in flight: wipe what holds it. */
bool sasl_authenticate_decode_request(int16_t version, struct view body, struct view *auth_bytes_r)
    __attribute__((warn_unused_result));
void sasl_authenticate_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                      const struct view *client_id, struct view auth_bytes);
bool sasl_authenticate_decode_response(int16_t version, struct view body,
                                       struct sasl_authenticate_response *response_r)
    __attribute__((warn_unused_result));
void sasl_authenticate_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                       const struct sasl_authenticate_response *response);

/* ---- Metadata (3), request only: the response goes through endpoint_visit ---- */

/*
 * All brokers, and the topics whose names are given, each with an int16 length before it; without
 * any, no topics, or in v0, which cannot say that, all. v0-13. From v4 on no topic is created by it.
 */
void metadata_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                             const struct view *client_id, struct view topics);
