/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_verify: does a chain hold, who vouches for it, and where does it go on.
 *
 * A log is one file or several, each the next one's predecessor: feed the head of one verdict to the
 * next call as `after`. Pure, as audit.h.
 */
#pragma once

#include "auth/audit.h"

/* What checkpoints prove, over all files of a log. Zero it and set the keys. */
struct audit_signatures {
    const struct audit_key *const *keys; /* those that are trusted; borrowed */
    size_t key_count;
    uint64_t checkpoints;   /* met */
    uint64_t confirmed;     /* signed by one of the keys */
    uint64_t confirmed_seq; /* the last of those: it and every record before it are vouched for */
    uint64_t foreign_seq;   /* the first that names a key which is not among them; 0 = none */
    uint64_t key_changes;   /* a checkpoint names another key than the one before */
    char key_id[AUDIT_KEY_ID_SIZE];         /* of the last checkpoint; "" = none met */
    char foreign_key_id[AUDIT_KEY_ID_SIZE]; /* of foreign_seq */
};

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
 * Check a whole file. `after`: head of the file before it in a rotation, all zero = it must begin
 * with record 1, NULL = the first record may have any number (number 1 must then follow the empty
 * chain). `expected`: a head known from
 * elsewhere that must be found in this file or be its end; NULL = none. Returns verdict.status.
 */
enum audit_status audit_verify(struct view log, const struct audit_head *after,
                               const struct audit_head *expected, struct audit_verdict *verdict_r);

/*
 * The same, and adds to *signatures. A checkpoint that names one of the keys and was not signed by
 * it is AUDIT_BROKEN.
 */
enum audit_status audit_verify_signed(struct view log, const struct audit_head *after,
                                      const struct audit_head *expected,
                                      struct audit_signatures *signatures,
                                      struct audit_verdict *verdict_r);

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
