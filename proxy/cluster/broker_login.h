/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_login: Setu's login to a broker on a connection that is up (plain, or after the TLS
 * handshake). Sans-IO: bytes in, bytes out; used by probes and by the dial phase of sessions alike.
 *
 *   ApiVersions v0        when the SaslAuthenticate version is not known
 *     ▶ SaslHandshake v1    when a mechanism is given
 *     ▶ SaslAuthenticate …    as often as the mechanism needs
 *     ▶ ApiVersions v3        when asked for; v0 after error 35
 *     ▶ Metadata              when asked for, of the topics given
 *     ▶ OK
 *
 * One request is in flight at a time. PENDING: the next step is dear (PBKDF2); run
 * broker_login_work on a thread pool, then broker_login_resume on the loop. Until resume nothing
 * else is called but broker_login_closed (which then only notes the end; resume reports it).
 *
 * Law: with TLS 1.3 the broker's judgement of our certificate comes after our handshake is done, so
 * only OK means logged in. When the connection ends before the first answer, broker_login_closed
 * turns that into FAILED with BROKER_LOGIN_REJECTED.
 *
 * No step allocates by a size the broker declares; frames are collected as bytes come, up to
 * frame_max. Errors 33 and 58 with their text, wrong correlation ids, surplus bytes in a response,
 * a SCRAM server that cannot prove itself: FAILED with a reason. After OK or FAILED only the
 * getters and free.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/handshake.h"

struct broker_login;
struct kerberos_login;
struct scram_keys;
struct secret;

enum broker_login_status {
    BROKER_LOGIN_MORE,    /* send what is in out, feed what comes */
    BROKER_LOGIN_PENDING, /* broker_login_work, then broker_login_resume */
    BROKER_LOGIN_OK,
    BROKER_LOGIN_FAILED
};

enum broker_login_reason {
    BROKER_LOGIN_NO_REASON,
    BROKER_LOGIN_REJECTED,     /* closed before the first answer: certificate, not Kafka, killed */
    BROKER_LOGIN_CLOSED,       /* closed after an answer, before the end */
    BROKER_LOGIN_NO_MECHANISM, /* 33: the broker does not offer it; text lists what it does */
    BROKER_LOGIN_NOT_SASL,     /* 34 to SaslHandshake: the listener does not do SASL */
    BROKER_LOGIN_DENIED,       /* 58: wrong user or password */
    BROKER_LOGIN_IMPOSTOR,     /* the broker did not prove that it knows the password either */
    BROKER_LOGIN_ERROR_CODE,   /* another error code: broker_login_error_code */
    BROKER_LOGIN_MALFORMED,    /* not decodable, wrong correlation id, surplus bytes */
    BROKER_LOGIN_TOO_LARGE,    /* a frame above frame_max; text says so when it looks like TLS */
    BROKER_LOGIN_UNSUPPORTED,  /* no common version */
    BROKER_LOGIN_INTERNAL,     /* no memory, or a step out of order */
    BROKER_LOGIN_KEYS_DIFFER,  /* keys_only: the broker's salt or iterations are others */
    BROKER_LOGIN_NO_TICKET     /* Kerberos gave Setu no ticket for the broker; text says why */
};

/* Everything is copied by broker_login_new. At least one of mechanism, want_versions,
 * want_metadata, look must be given; want_metadata implies want_versions. */
struct broker_login_params {
    const char *mechanism; /* NULL: no SASL (plaintext, or mTLS) */
    const char *username;
    const struct secret *password;
    /* GSSAPI, instead of the password: keys, and whose ticket is shown (service on host). */
    const struct kerberos_login *kerberos;
    const char *service, *host;
    const struct scram_keys *keys; /* kept from an earlier login, saves PENDING; NULL: none */
    bool keys_only; /* SCRAM: there is no password, only keys */
    /* Highest SaslAuthenticate version the broker is known to take; -1: ask first, which costs one
     * round trip and is not possible in re-authentication. */
    int16_t authenticate_version;
    bool want_versions;    /* end with ApiVersions, asked as the client itself would ask */
    bool want_metadata;    /* then Metadata of all brokers, and of topics */
    struct view topics;    /* names, an int16 length before each; needs a broker of 0.11 or later */
    bool look;             /* instead of all that: ApiVersions v0, SaslHandshake, never a token */
    struct view client_id; /* at == NULL: null */
    struct view software_name, software_version; /* empty or ill-formed: "setu" and our version */
    int32_t correlation_id;                      /* of the first request; each next is one more */
    /* Where the nonce comes from; NULL: the operating system. */
    bool (*random)(void *context, uint8_t *at, size_t length);
    void *random_context;
    size_t frame_max; /* 0: 1 MiB */
};

/* NULL: no memory, or username or password cannot be used with the mechanism, or it is unknown. */
struct broker_login *broker_login_new(const struct broker_login_params *params)
    __attribute__((warn_unused_result));

/* Writes the first request. out is a growing writer of the caller's with wipe set (it may carry a
 * password) and a cap of at least 64 KiB; after every call what is in it must be sent. */
enum broker_login_status broker_login_start(struct broker_login *login, struct writer *out)
    __attribute__((warn_unused_result));

/* Takes bytes from the broker: all of them after MORE and PENDING, since a broker that says more
 * than it was asked fails. After OK the rest (*consumed_r <= in.length) is the caller's. */
enum broker_login_status broker_login_feed(struct broker_login *login, struct view in,
                                           size_t *consumed_r, struct writer *out)
    __attribute__((warn_unused_result));

/* True: the dear step may wait for another process, not just for this one's arithmetic
 * (exchange_waits). */
bool broker_login_waits(const struct broker_login *login);

/* The dear step; any one thread, touches nothing but `login`. Nothing else may be called meanwhile
 * but broker_login_closed, which takes note. */
void broker_login_work(struct broker_login *login);
enum broker_login_status broker_login_resume(struct broker_login *login, struct writer *out)
    __attribute__((warn_unused_result));

/* The connection ended (end, reset, TLS alert, timeout). FAILED; PENDING while work runs (resume
 * then reports it); OK when all was done before. */
enum broker_login_status broker_login_closed(struct broker_login *login);

/* After OK, or as far as it went. What these return dies with login. */
bool broker_login_answered(const struct broker_login *login); /* some answer came */
/* As the broker said, not admitted; NULL: not known. */
const struct api_versions *broker_login_versions(const struct broker_login *login);
int64_t broker_login_lifetime_ms(const struct broker_login *login); /* KIP-368; 0 none */
/* That was spoken, for a renewal; -1: none was. */
int16_t broker_login_authenticate_version(const struct broker_login *login);
int32_t broker_login_next_correlation_id(const struct broker_login *login);
/* The Metadata response without its size, for endpoint_visit; at == NULL: none. */
struct view broker_login_metadata(const struct broker_login *login, int16_t *version_r);

/* After a look: does the listener do SASL, and with which mechanisms (names that are not short
 * printable ASCII are left out)? */
bool broker_login_offers_sasl(const struct broker_login *login);
size_t broker_login_offers(const struct broker_login *login,
                           const char *names_r[SASL_MECHANISMS_MAX]);

/* SCRAM, after OK: copies out the keys for the next login with the same name and password. The
 * caller wipes them. False: none. */
bool broker_login_take_keys(const struct broker_login *login, struct scram_keys *keys_r)
    __attribute__((warn_unused_result));

/* After FAILED. The text is the broker's or ours, untrusted, "" when there is none. */
enum broker_login_reason broker_login_reason(const struct broker_login *login);
int16_t broker_login_error_code(const struct broker_login *login); /* 0 none */
const char *broker_login_text(const struct broker_login *login);
const char *broker_login_reason_name(enum broker_login_reason reason); /* "denied", … for logs */

/* Wipes and frees; not while work runs. *login = NULL; NULL is fine. */
void broker_login_free(struct broker_login **login);
