/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_verify.h"

#include "auth/audit_key.h"
#include "auth/audit_private.h"

#include <string.h>

/* Verifying ---------------------------------------------------------------------------------- */

static bool follows(const struct audit_head *head, const struct audit_record *record)
{
    return record->seq == head->seq + 1 &&
           memcmp(record->prev_hash, head->hash, AUDIT_HASH_BYTES) == 0;
}

static void move_head(struct audit_head *head, const struct audit_record *record)
{
    head->seq = record->seq;
    memcpy(head->hash, record->hash, AUDIT_HASH_BYTES);
}

static enum audit_status condemn(struct audit_verdict *verdict, enum audit_status status,
                                 uint64_t seq, const char *why)
{
    verdict->status = status;
    verdict->bad_seq = seq;
    verdict->why = why;
    return status;
}

/* Why this record cannot stand behind `head`; NULL = it can. `any`: nothing is known before it. */
static const char *objection(const struct audit_head *head, bool any,
                             const struct audit_record *record)
{
    static const struct audit_head empty;
    if (!record->hash_ok) {
        return "its content does not match its hash";
    }
    if (record->seq == 0) {
        return "its number is 0";
    }
    if (any) {
        return record->seq != 1 || follows(&empty, record)
                   ? NULL
                   : "it is the first record, yet names one before it";
    }
    if (record->seq != head->seq + 1) {
        return "its number does not follow the record before it";
    }
    return follows(head, record) ? NULL : "it names another record before it";
}

/* Compare with a head that somebody kept elsewhere. */
static const char *contradiction(const struct audit_head *expected,
                                 const struct audit_record *record)
{
    if (expected == NULL) {
        return NULL;
    }
    if (record->seq == expected->seq &&
        memcmp(record->hash, expected->hash, AUDIT_HASH_BYTES) != 0) {
        return "it is another record than the one expected";
    }
    if (record->seq == expected->seq + 1 &&
        memcmp(record->prev_hash, expected->hash, AUDIT_HASH_BYTES) != 0) {
        return "it does not follow the record expected";
    }
    return NULL;
}

/* A log made anew behind the record expected would never meet it. */
static const char *begins_too_late(const struct audit_head *expected,
                                   const struct audit_record *first)
{
    return expected != NULL && first->seq > expected->seq + 1
               ? "the log begins behind the record expected"
               : NULL;
}

static const struct audit_key *key_named(const struct audit_signatures *signatures, const char *id)
{
    for (size_t i = 0; i < signatures->key_count; i++) {
        if (strcmp(audit_key_id(signatures->keys[i]), id) == 0) {
            return signatures->keys[i];
        }
    }
    return NULL;
}

static void copy_id(char to[AUDIT_KEY_ID_SIZE], const char *from)
{
    const size_t length = strnlen(from, AUDIT_KEY_ID_SIZE - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

/* Counts a checkpoint; why it is false, or NULL. */
static const char *weigh(struct audit_signatures *signatures, const struct audit_record *record)
{
    if (signatures == NULL || record->signature.length == 0) {
        return NULL;
    }
    const struct audit_key *key = key_named(signatures, record->key_id);
    if (key != NULL && !audit_checkpoint_holds(record, key)) {
        return "its signature is not by the key it names";
    }
    if (key != NULL) {
        signatures->confirmed++;
        signatures->confirmed_seq = record->seq;
    } else if (signatures->foreign_seq == 0) {
        signatures->foreign_seq = record->seq;
        copy_id(signatures->foreign_key_id, record->key_id);
    }
    const bool first = signatures->checkpoints++ == 0;
    signatures->key_changes += !first && strcmp(signatures->key_id, record->key_id) != 0 ? 1 : 0;
    copy_id(signatures->key_id, record->key_id);
    return NULL;
}

static enum audit_status verify_records(struct audit_reader *reader, bool any,
                                        const struct audit_head *expected,
                                        struct audit_signatures *signatures,
                                        struct audit_verdict *verdict)
{
    const size_t total = reader->rest.length;
    struct audit_record record;
    for (;;) {
        const uint64_t next = verdict->head.seq + 1;
        const bool unknown = any && verdict->records == 0;
        verdict->bad_offset = total - reader->rest.length;
        const enum audit_status status = audit_read(reader, &record);
        if (status == AUDIT_END) {
            return AUDIT_OK;
        }
        if (status != AUDIT_OK) {
            return condemn(
                verdict, status, next,
                status == AUDIT_TORN ? "the file ends inside of it" : "it is not a record");
        }
        const char *why = objection(&verdict->head, unknown, &record);
        why = why == NULL && unknown ? begins_too_late(expected, &record) : why;
        why = why == NULL ? contradiction(expected, &record) : why;
        why = why == NULL ? weigh(signatures, &record) : why;
        if (why != NULL) {
            return condemn(verdict, AUDIT_BROKEN, unknown && record.seq != 0 ? record.seq : next,
                           why);
        }
        move_head(&verdict->head, &record);
        verdict->first_seq = verdict->records == 0 ? record.seq : verdict->first_seq;
        verdict->records++;
    }
}

enum audit_status audit_verify_signed(struct view log, const struct audit_head *after,
                                      const struct audit_head *expected,
                                      struct audit_signatures *signatures,
                                      struct audit_verdict *verdict_r)
{
    *verdict_r = (struct audit_verdict){.status = AUDIT_OK, .why = ""};
    if (after != NULL) {
        verdict_r->head = *after;
    }
    struct audit_reader reader;
    audit_reader_init(&reader, log);
    const enum audit_status status =
        verify_records(&reader, after == NULL, expected, signatures, verdict_r);
    audit_reader_end(&reader);
    if (status == AUDIT_BROKEN) {
        return status;
    }
    if (expected != NULL && expected->seq > verdict_r->head.seq) {
        return condemn(verdict_r, AUDIT_BROKEN, verdict_r->head.seq + 1,
                       "it is missing: records were cut off the end");
    }
    verdict_r->bad_offset = status == AUDIT_OK ? 0 : verdict_r->bad_offset;
    return status;
}

enum audit_status audit_verify(struct view log, const struct audit_head *after,
                               const struct audit_head *expected, struct audit_verdict *verdict_r)
{
    return audit_verify_signed(log, after, expected, NULL, verdict_r);
}

/* Resuming ----------------------------------------------------------------------------------- */

/* Walk from where a record starts; *good_r bytes of sound records. */
static enum audit_status walk(struct view tail, struct audit_head *head_r, size_t *good_r)
{
    struct audit_verdict verdict;
    const enum audit_status status = audit_verify(tail, NULL, NULL, &verdict);
    *head_r = verdict.head;
    *good_r = status == AUDIT_OK ? tail.length : verdict.bad_offset;
    return verdict.records == 0 && tail.length != 0 && status != AUDIT_TORN ? AUDIT_BROKEN : status;
}

enum audit_status audit_chain_resume(struct audit_chain *chain, struct view tail, size_t *good_r)
{
    *good_r = 0;
    chain->head = (struct audit_head){0};
    size_t start = 0;
    if (tail.length >= AUDIT_TAIL_BYTES) {
        while (start < AUDIT_RECORD_BYTES_MAX && !audit_starts_here(view_from(tail, start))) {
            start++;
        }
        if (start == AUDIT_RECORD_BYTES_MAX) {
            return AUDIT_BROKEN;
        }
    }
    size_t good = 0;
    struct audit_head head;
    const enum audit_status status = walk(view_from(tail, start), &head, &good);
    if (status == AUDIT_BROKEN) {
        return status;
    }
    chain->head = head;
    *good_r = start + good;
    return status;
}
