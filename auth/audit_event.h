/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_event: what can happen that has to be provable later, as a plain struct, and the table of
 * codes (audit_event.def). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AUDIT_CODE_SIZE = 10,       /* "SETU2000I" and a NUL */
    AUDIT_TEXT_BYTES_MAX = 1024 /* longer strings are cut at a character */
};

enum audit_code {
#define AUDIT_EVENT(name, number, severity, text) AUDIT_##name = number,
#include "auth/audit_event.def"
#undef AUDIT_EVENT
};

enum audit_outcome {
    AUDIT_OUTCOME_NONE, /* nothing was decided */
    AUDIT_ALLOWED,
    AUDIT_DENIED,
    AUDIT_FAILED /* could not be decided or done: an error, and therefore not allowed */
};

/*
 * What happened. NULL or "" = absent. Strings are borrowed until the call returns; they may hold
 * anything a peer sent: invalid UTF-8 is written as \xHH. Never put a secret in here.
 */
struct audit_event {
    enum audit_code code;
    int64_t time_ns;     /* when it happened, since 1970 UTC; 0 = when it is encoded */
    uint64_t session_id; /* 0 = no session */
    const char *listener;
    const char *client_address; /* "192.0.2.1:50000", "[::1]:50000" */
    const char *mechanism;      /* SASL mechanism, or "SSL" */
    const char *principal;      /* canonical, or as claimed when the login was denied */
    const char *rule;           /* that decided: "file:line", and " name" if it has one */
    const char *certificate;    /* configured name */
    const char *certificate_subject;
    const char *certificate_fingerprint;
    const char *cluster;
    int32_t broker_node; /* -1 = none or unknown */
    const char *broker_address;
    const char *generation;
    const char *generation_before; /* GENERATION_FLIPPED */
    enum audit_outcome outcome;
    const char *reason; /* stable word: a close reason, "unknown_user", "unmapped", ... */
    const char *detail; /* one sentence for people */
    const char *mapping_hash;
    const char *config_hash;
    uint64_t count; /* RECORDS_LOST: how many; CHAIN_TORN: bytes cut */
};

/* An event with nothing in it but its code: broker_node is -1. */
struct audit_event audit_event_init(enum audit_code code);

/* A copy with its own strings in one allocation, for a queue. Strings are cut as for writing. */
struct audit_event *audit_event_clone(const struct audit_event *event);
void audit_event_free(struct audit_event **event); /* NULL is allowed; sets NULL */

/* "SETU2000I" for known codes; "SETU0000E" otherwise. Constant. */
const char *audit_code_text(enum audit_code code);
const char *audit_code_meaning(enum audit_code code);       /* one line; "" when unknown */
const char *audit_code_name(enum audit_code code);          /* "LOGIN_ACCEPTED"; "" when unknown */
const char *audit_outcome_name(enum audit_outcome outcome); /* "allowed", ...; "" for none */
/* Enumerate the table, for documentation: false past the end. */
bool audit_code_at(size_t index, enum audit_code *code_r);
