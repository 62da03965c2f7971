/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: what was decided, in a chain that shows its own completeness.
 *
 *   file     =  record record record ...
 *   record   =  length (varint), AuditRecord (audit.proto)
 *   hash[n]  =  SHA-256( hash[n-1] || bytes of AuditRecord n without its hash field )
 *
 * The hash is always the last field of a record, so "without its hash" is a prefix of its bytes,
 * and each record carries prev_hash, so one record can be checked alone. seq counts from 1; the
 * first record has 32 zero bytes as prev_hash. Edit, insertion, removal, exchange and a splice from
 * another log break the chain at a sequence number that audit_verify names. Removal at the end
 * needs a head kept elsewhere: pass it as `expected`.
 *
 * Pure: no file, no clock. One chain is written by one thread. See audit_event.def for the events.
 */
#pragma once

#include "protocol/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AUDIT_HASH_BYTES = 32,
    AUDIT_CODE_SIZE = 10,           /* "SETU2000I" and a NUL */
    AUDIT_TEXT_BYTES_MAX = 1024,    /* longer strings are cut at a character */
    AUDIT_RECORD_BYTES_MAX = 32768, /* no record is longer, its length prefix included */
    AUDIT_TAIL_BYTES = 3 * 32768    /* enough of a file's end for audit_chain_resume */
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
    const char *rule;           /* "file:line" of the mapping rule that decided */
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
const char *audit_outcome_name(enum audit_outcome outcome); /* "allowed", ...; "" for none */
/* Enumerate the table, for documentation: false past the end. */
bool audit_code_at(size_t index, enum audit_code *code_r);

/* The end of a chain: number and hash of its last record. All zero = nothing written yet. */
struct audit_head {
    uint64_t seq;
    uint8_t hash[AUDIT_HASH_BYTES];
};

struct audit_chain {
    struct audit_head head;
    char instance[128]; /* who writes: host name or configured name; in every record */
};

/* An empty chain. `instance` is cut at 127 bytes. */
void audit_chain_init(struct audit_chain *chain, const char *instance);

/*
 * Append one record, length prefix included, to `out` and move the chain on. `now_ns`: nanoseconds
 * since 1970 UTC, used when event->time_ns is 0. false: `out` failed; then the chain has not moved
 * and what `out` holds is void.
 */
__attribute__((warn_unused_result)) bool audit_encode(struct audit_chain *chain,
                                                      const struct audit_event *event,
                                                      int64_t now_ns, struct writer *out);

enum audit_status {
    AUDIT_OK,
    AUDIT_END,   /* audit_read: nothing left */
    AUDIT_TORN,  /* the bytes end inside a record */
    AUDIT_BROKEN /* not a record, or its hash, number or predecessor is wrong */
};

/*
 * Continue an existing log. `tail` is the whole file when it is not longer than AUDIT_TAIL_BYTES,
 * else its last AUDIT_TAIL_BYTES. Finds the last complete record, checks its own hash and sets
 * chain->head.
 *   AUDIT_OK      *good_r == tail.length; append there
 *   AUDIT_TORN    the last record was cut short; cut the file by tail.length - *good_r bytes (keep
 *                 them aside), append, and write CHAIN_TORN first
 *   AUDIT_BROKEN  no valid record near the end: start nothing, a person has to look
 * An empty tail is AUDIT_OK with an empty head.
 */
__attribute__((warn_unused_result)) enum audit_status
audit_chain_resume(struct audit_chain *chain, struct view tail, size_t *good_r);

/* One record as read. Its strings, "" when absent, live until the next audit_read or
 * audit_reader_end. */
struct audit_record {
    uint64_t seq;
    const char *instance;
    char code[AUDIT_CODE_SIZE]; /* as written: may be of a newer Setu */
    struct audit_event event;   /* event.code is 0 when the code is unknown here */
    uint8_t prev_hash[AUDIT_HASH_BYTES];
    uint8_t hash[AUDIT_HASH_BYTES];
    bool hash_ok; /* its own hash holds; says nothing about its neighbours */
};

struct audit_reader {
    struct view rest; /* not yet read; rest.at is the start of the next record */
    void *unpacked;   /* private */
};

/* `log` is borrowed until audit_reader_end, which may be called at any time, also twice. */
void audit_reader_init(struct audit_reader *reader, struct view log);
void audit_reader_end(struct audit_reader *reader);

/* AUDIT_OK and a record, or AUDIT_END, AUDIT_TORN, AUDIT_BROKEN; the last two do not advance. */
__attribute__((warn_unused_result)) enum audit_status audit_read(struct audit_reader *reader,
                                                                 struct audit_record *record_r);

struct audit_verdict {
    enum audit_status status; /* AUDIT_OK, AUDIT_TORN or AUDIT_BROKEN */
    uint64_t records;         /* good ones */
    uint64_t first_seq;       /* of the first record; 0 when there is none */
    struct audit_head head;   /* after the last good record: feed it to the next file */
    uint64_t bad_seq;         /* first bad one: the number it should have; 0 when all are good */
    size_t bad_offset;        /* where it starts */
    const char *why;          /* constant sentence; "" when all are good */
};

/*
 * Check a whole file. `after`: head of the file before it in a rotation, NULL = the first record
 * may have any number (number 1 must then follow the empty chain). `expected`: a head known from
 * elsewhere that must be found in this file or be its end; NULL = none. Returns verdict.status.
 */
enum audit_status audit_verify(struct view log, const struct audit_head *after,
                               const struct audit_head *expected, struct audit_verdict *verdict_r);
