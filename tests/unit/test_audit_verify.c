/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit_verify.h"

#include <criterion/criterion.h>

#include "tests/unit/audit_kit.h"

/* Ten records and a checkpoint, three times. */
static struct kit *signed_log(const struct audit_key *key)
{
    struct kit *kit = kit_new("h", 0);
    for (int i = 0; i < 3; i++) {
        kit_users(kit, 10);
        kit_sign(kit, key);
    }
    return kit;
}

static enum audit_status verify(struct view log, const struct audit_key *key,
                                struct audit_signatures *signatures, struct audit_verdict *verdict)
{
    static const struct audit_key *keys[1];
    keys[0] = key;
    *signatures = (struct audit_signatures){.keys = keys, .key_count = key != NULL ? 1 : 0};
    return audit_verify_signed(log, NULL, NULL, signatures, verdict);
}

Test(audit_verify, checkpoints_vouch_for_what_is_before_them)
{
    struct audit_key *key = kit_key(1), *other = kit_key(2);
    struct kit *kit = signed_log(key);
    struct audit_signatures s;
    struct audit_verdict verdict;
    kit_users(kit, 4);
    cr_assert_eq(verify(kit_part(kit, 0, kit->count), key, &s, &verdict), AUDIT_OK);
    cr_assert_eq(s.checkpoints, 3);
    cr_assert_eq(s.confirmed, 3);
    cr_assert_eq(s.confirmed_seq, 33);
    cr_assert_eq(verdict.head.seq, 37);
    cr_assert_eq(s.foreign_seq, 0);
    cr_assert_str_eq(s.key_id, audit_key_id(key));
    cr_assert_eq(verify(kit_part(kit, 0, kit->count), other, &s, &verdict), AUDIT_OK);
    cr_assert_eq(s.confirmed, 0);
    cr_assert_eq(s.foreign_seq, 11);
    cr_assert_str_eq(s.foreign_key_id, audit_key_id(key));
    cr_assert_eq(verify(kit_part(kit, 0, kit->count), NULL, &s, &verdict), AUDIT_OK);
    cr_assert_eq(s.checkpoints, 3);
    audit_key_unref(&key);
    audit_key_unref(&other);
    kit_free(kit);
}

Test(audit_verify, another_key_is_noticed)
{
    struct audit_key *key = kit_key(1), *other = kit_key(2);
    struct kit *kit = signed_log(key);
    const struct audit_key *keys[] = {key, other};
    struct audit_signatures s = {.keys = keys, .key_count = 2};
    struct audit_verdict verdict;
    kit_users(kit, 1);
    kit_sign(kit, other);
    cr_assert_eq(audit_verify_signed(kit_part(kit, 0, kit->count), NULL, NULL, &s, &verdict),
                 AUDIT_OK);
    cr_assert_eq(s.key_changes, 1);
    cr_assert_eq(s.confirmed, 4);
    cr_assert_str_eq(s.key_id, audit_key_id(other));
    audit_key_unref(&key);
    audit_key_unref(&other);
    kit_free(kit);
}

/* A record is changed and everything from there on hashed anew, as whoever has no key can. */
static struct kit *forge(const struct kit *from, size_t changed, const struct audit_key *key)
{
    struct kit *kit = kit_new("h", 0);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, kit_part(from, 0, from->count));
    for (size_t i = 0; audit_read(&reader, &record) == AUDIT_OK; i++) {
        struct audit_event event = record.event;
        if (record.signature.length > 0) {
            kit_sign(kit, key);
            continue;
        }
        event.principal = i == changed ? "nobody" : event.principal;
        kit_append(kit, &event);
    }
    audit_reader_end(&reader);
    return kit;
}

/* T79 */
Test(audit_verify, a_chain_made_anew_does_not_get_past_a_checkpoint)
{
    struct audit_key *key = kit_key(1), *thief = kit_key(9);
    struct kit *kit = signed_log(key), *forged = forge(kit, 14, thief);
    struct audit_signatures s;
    struct audit_verdict verdict;
    /* His own key in his own name: the chain holds, and nobody vouches for it. */
    cr_assert_eq(verify(kit_part(forged, 0, forged->count), key, &s, &verdict), AUDIT_OK);
    cr_assert_eq(s.confirmed, 0);
    cr_assert_eq(s.foreign_seq, 11);
    kit_free(forged);
    /* The old checkpoints, put back between records hashed anew. */
    uint8_t *copy = malloc(KIT_BYTES);
    struct kit *mixed = kit_new("h", 0);
    struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
    kit_users(mixed, 9);
    event.principal = "nobody";
    kit_append(mixed, &event);
    const struct view first = kit_part(kit, 10, 11);
    memcpy(copy, mixed->at, mixed->out.length);
    memcpy(copy + mixed->out.length, first.at, first.length);
    cr_assert_eq(
        audit_verify(view_of(copy, mixed->out.length + first.length), NULL, NULL, &verdict),
        AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 11);
    free(copy);
    kit_free(mixed);
    kit_free(kit);
    audit_key_unref(&key);
    audit_key_unref(&thief);
}

/* The signature changed, and the record's hash made to fit. */
Test(audit_verify, a_false_signature_is_broken)
{
    struct audit_key *key = kit_key(1);
    struct kit *kit = signed_log(key);
    struct audit_signatures s;
    struct audit_verdict verdict;
    const size_t end = kit->ends[10];
    uint8_t *hash = kit->at + end - AUDIT_HASH_BYTES;
    kit->at[end - AUDIT_HASH_BYTES - 3 - 20] ^= 1; /* within the signature */
    const struct view whole = kit_part(kit, 10, 11);
    const size_t prefix = (whole.at[0] & 0x80) != 0 ? 2 : 1;
    uint8_t message[4096];
    struct kit *before = kit_new("h", 10);
    memcpy(message, before->chain.head.hash, AUDIT_HASH_BYTES);
    const size_t body = whole.length - prefix - 3 - AUDIT_HASH_BYTES;
    memcpy(message + AUDIT_HASH_BYTES, whole.at + prefix, body);
    EVP_Digest(message, AUDIT_HASH_BYTES + body, hash, NULL, EVP_sha256(), NULL);
    const struct view log = kit_part(kit, 0, 11);
    cr_assert_eq(audit_verify(log, NULL, NULL, &verdict), AUDIT_OK, "the chain alone: %s",
                 verdict.why);
    cr_assert_eq(verify(log, key, &s, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 11);
    cr_assert_not_null(strstr(verdict.why, "signature"), "%s", verdict.why);
    kit_free(before);
    kit_free(kit);
    audit_key_unref(&key);
}

Test(audit_verify, every_changed_byte_of_a_checkpoint_is_named)
{
    struct audit_key *key = kit_key(1);
    struct kit *kit = kit_new("h", 2);
    struct audit_signatures s;
    struct audit_verdict verdict;
    kit_sign(kit, key);
    kit_users(kit, 1);
    for (size_t at = kit->ends[1]; at < kit->ends[2]; at++) {
        for (int bit = 0; bit < 8; bit++) {
            kit->at[at] ^= (uint8_t)(1U << bit);
            cr_assert_neq(verify(kit_part(kit, 0, 4), key, &s, &verdict), AUDIT_OK);
            cr_assert_eq(verdict.bad_seq, 3, "byte %zu bit %d: %s", at, bit, verdict.why);
            kit->at[at] ^= (uint8_t)(1U << bit);
        }
    }
    kit_free(kit);
    audit_key_unref(&key);
}

Test(audit_verify, a_checkpoint_without_signature_is_no_record)
{
    struct kit *kit = kit_new("h", 1);
    struct audit_verdict verdict;
    const struct audit_event event = audit_event_init(AUDIT_CHECKPOINT);
    kit_append(kit, &event);
    cr_assert_eq(audit_verify(kit_part(kit, 0, 2), NULL, NULL, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 2);
    kit_free(kit);
}

Test(audit_verify, a_torn_log_does_not_hide_what_was_cut)
{
    struct kit *kit = kit_new("h", 6);
    struct audit_verdict verdict;
    const struct view torn = view_of(kit->at, kit->ends[3] + 7);
    cr_assert_eq(audit_verify(torn, NULL, NULL, &verdict), AUDIT_TORN);
    cr_assert_eq(audit_verify(torn, NULL, &kit->chain.head, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 5);
    kit_free(kit);
}

Test(audit_verify, the_last_checkpoint_is_found)
{
    struct audit_key *key = kit_key(1), *other = kit_key(2);
    struct kit *kit = signed_log(key);
    char id[AUDIT_KEY_ID_SIZE];
    uint64_t behind = 0;
    kit_sign(kit, other);
    kit_users(kit, 5);
    audit_last_checkpoint(kit_part(kit, 0, kit->count), id, &behind);
    cr_assert_str_eq(id, audit_key_id(other));
    cr_assert_eq(behind, 5);
    audit_last_checkpoint(kit_part(kit, 0, 4), id, &behind);
    cr_assert_str_eq(id, "");
    cr_assert_eq(behind, 4);
    audit_key_unref(&key);
    audit_key_unref(&other);
    kit_free(kit);
}

Test(audit_verify, what_may_follow_a_head)
{
    struct kit *kit = kit_new("h", 300), *other = kit_new("other", 300);
    for (size_t i = 0; i < 300; i += 37) {
        struct audit_head head = {0};
        struct audit_verdict verdict;
        audit_verify(kit_part(kit, 0, i), NULL, NULL, &verdict);
        head = verdict.head;
        const struct view next = kit_part(kit, i, i + 1);
        for (size_t cut = 0; cut <= next.length; cut++) {
            cr_assert(audit_may_follow(&head, view_of(next.at, cut)), "%zu of %zu", cut, i);
        }
        if (i > 0) {
            const struct view foreign = kit_part(other, i, i + 1);
            cr_assert_not(audit_may_follow(&head, view_of(foreign.at, 24)));
            cr_assert_not(audit_may_follow(&head, kit_part(kit, i - 1, i)));
        }
    }
    static const uint8_t zeros[64];
    const struct audit_head none = {0};
    cr_assert(audit_may_follow(&none, view_of(zeros, sizeof zeros)));
    cr_assert_not(audit_may_follow(&none, view_from_string("something else altogether")));
    kit_free(kit);
    kit_free(other);
}
