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
 * another log break the chain at a sequence number that audit_verify names. Removal at the beginning
 * shows to who says what the log must follow: pass it as `after`, all zero for a whole log. Removal
 * at the end needs a head kept elsewhere: pass it as `expected`.
 *
 * A checkpoint is a record with a signature (Ed25519) between its content and its hash:
 *
 *   signature  =  Ed25519( "setu audit checkpoint 1\n" || bytes of the record before its signature )
 *
 * Those bytes hold its number, prev_hash, the time and the key's name, so it vouches for every
 * record before it. Who has no key can hash a changed chain anew, but not sign it.
 *
 * Pure: no file, no clock. One chain is written by one thread. See audit_event.def for the events.
 */
#pragma once

#include "auth/audit_event.h"
#include "protocol/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_key;

enum {
    AUDIT_HASH_BYTES = 32,
    AUDIT_SIGNATURE_BYTES = 64,
    AUDIT_KEY_ID_SIZE = 65,         /* SHA-256 of the public key's DER in hexadecimal, and a NUL */
    AUDIT_RECORD_BYTES_MAX = 32768, /* no record is longer, its length prefix included */
    AUDIT_TAIL_BYTES = 3 * 32768    /* enough of a file's end for audit_chain_resume */
};

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

/* The same for a checkpoint: AUDIT_CHECKPOINT, signed with `key`, which has its private half. The
 * hashes of what is in use, as in an event, are cut at 71 bytes. */
__attribute__((warn_unused_result)) bool
audit_encode_checkpoint(struct audit_chain *chain, const struct audit_key *key,
                        const char *mapping_hash, const char *config_hash, int64_t now_ns,
                        struct writer *out);

enum audit_status {
    AUDIT_OK,
    AUDIT_END,   /* audit_read: nothing left */
    AUDIT_TORN,  /* the bytes end inside a record */
    AUDIT_BROKEN /* not a record, or its hash, number or predecessor is wrong */
};

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
    /* Of checkpoints only; else "" and empty. The views are into the log. */
    const char *key_id;
    struct view signature, signed_part;
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

/* Did this key sign the checkpoint? false for a record that is none. */
__attribute__((warn_unused_result)) bool audit_checkpoint_holds(const struct audit_record *record,
                                                                const struct audit_key *key);

/*
 * The key id of the last checkpoint in a file, and how many records stand behind it; "" and all
 * when there is none. Nothing is hashed or verified: for the writer, which goes on from there.
 */
void audit_last_checkpoint(struct view log, char key_id_r[AUDIT_KEY_ID_SIZE],
                           uint64_t *records_behind_r);

/* Could these bytes be the beginning of the record that follows `head`, or of a hole in its place?
 * For a file that ends inside of its first record. */
__attribute__((warn_unused_result)) bool audit_may_follow(const struct audit_head *head,
                                                          struct view bytes);
