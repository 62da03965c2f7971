/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the two parts of broker_login: the connection's bytes and the surface (broker_login.c),
 * and the steps of a login (broker_login_steps.c), which see whole answers only.
 */
#pragma once

#include "auth/exchange.h"
#include "proxy/cluster/broker_login.h"
#include "protocol/frame.h"

enum {
    BROKER_LOGIN_AUTHENTICATE_MAX = 2, /* of SaslAuthenticate */
    BROKER_LOGIN_NAME_SIZE = 256,
    BROKER_LOGIN_TEXT_SIZE = 256,
    BROKER_LOGIN_OFFER_SIZE = 32
};

enum broker_login_step {
    BROKER_LOGIN_STEP_NEW,
    BROKER_LOGIN_STEP_ASK, /* ApiVersions v0, before SASL */
    BROKER_LOGIN_STEP_HANDSHAKE,
    BROKER_LOGIN_STEP_AUTHENTICATE,
    BROKER_LOGIN_STEP_VERSIONS,
    BROKER_LOGIN_STEP_METADATA,
    BROKER_LOGIN_STEP_END
};

struct broker_login {
    enum broker_login_step step;
    enum broker_login_status status;
    bool working; /* between PENDING and resume */
    bool closed;  /* the connection ended meanwhile */
    bool answered;
    bool versions_known;
    bool versions_retried;
    bool offers_sasl;
    bool want_versions, want_metadata, look;
    bool client_id_null;
    int16_t authenticate_version;
    int16_t asked_key, asked_version; /* of the one request in flight */
    int16_t error_code;
    int32_t asked_correlation_id, next_correlation_id;
    int64_t lifetime_ms;
    enum broker_login_reason reason;
    struct exchange *exchange; /* NULL: no SASL */
    struct frame_collector frames;
    struct writer token;    /* from the exchange to a request */
    struct view client_id;  /* owned */
    struct view topics;     /* owned */
    size_t metadata_length; /* > 0: the collector holds the Metadata response */
    size_t offers_count;
    struct api_versions versions;
    char mechanism[BROKER_LOGIN_OFFER_SIZE];
    char offers[SASL_MECHANISMS_MAX][BROKER_LOGIN_OFFER_SIZE];
    char software_name[BROKER_LOGIN_NAME_SIZE], software_version[BROKER_LOGIN_NAME_SIZE];
    char text[BROKER_LOGIN_TEXT_SIZE];
};

/* Both end the login and give BROKER_LOGIN_FAILED; the text is cut to its room. */
enum broker_login_status broker_login_fail(struct broker_login *login,
                                           enum broker_login_reason reason);
enum broker_login_status broker_login_fail_text(struct broker_login *login,
                                                enum broker_login_reason reason, const char *format,
                                                ...) __attribute__((format(printf, 3, 4)));

/*
 * The body of the answer to the request in flight; the next request goes to out. The status is in
 * the login too. The Metadata response is not looked into: the collector keeps it.
 */
enum broker_login_status broker_login_answer(struct broker_login *login, struct view body,
                                             struct writer *out);
