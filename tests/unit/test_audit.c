/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit.h"
#include "auth/audit_verify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES = 1 << 20 };

struct log {
    uint8_t *at;
    struct writer out;
    struct audit_chain chain;
    size_t ends[512]; /* where record i (from 0) ends */
    size_t count;
};

static void append(struct log *log, const struct audit_event *event)
{
    cr_assert(audit_encode(&log->chain, event, (int64_t)(1000 + log->count), &log->out));
    log->ends[log->count++] = log->out.length;
}

static void append_plain(struct log *log, enum audit_code code)
{
    const struct audit_event event = audit_event_init(code);
    append(log, &event);
}

static struct log *new_log(const char *instance, size_t records)
{
    struct log *log = calloc(1, sizeof(*log));
    log->at = malloc(LOG_BYTES);
    writer_init_fixed(&log->out, log->at, LOG_BYTES);
    audit_chain_init(&log->chain, instance);
    for (size_t i = 0; i < records; i++) {
        struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
        char principal[32];
        snprintf(principal, sizeof(principal), "user-%zu", i);
        event.principal = principal;
        event.session_id = i;
        event.outcome = AUDIT_ALLOWED;
        append(log, &event);
    }
    return log;
}

static void free_log(struct log *log)
{
    free(log->at);
    free(log);
}

static struct view all(const struct log *log)
{
    return writer_view(&log->out);
}

static size_t start_of(const struct log *log, size_t record)
{
    return record == 0 ? 0 : log->ends[record - 1];
}

/* An exact copy, so that the sanitizer sees every byte too many. */
static uint8_t *exact(struct view bytes)
{
    uint8_t *copy = malloc(bytes.length == 0 ? 1 : bytes.length);
    memcpy(copy, bytes.at, bytes.length);
    return copy;
}

static void bad_at(struct view log, uint64_t seq, const char *why)
{
    struct audit_verdict verdict;
    cr_assert_eq(audit_verify(log, NULL, NULL, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, seq, "%llu: %s", (unsigned long long)verdict.bad_seq,
                 verdict.why);
    cr_assert_not_null(strstr(verdict.why, why), "%s", verdict.why);
}

Test(audit, what_is_written_is_read)
{
    struct log *log = new_log("host-1", 0);
    struct audit_event event = {
        .code = AUDIT_MAPPING_DECIDED,
        .time_ns = 1700000000123456789,
        .session_id = UINT64_MAX,
        .listener = "clients",
        .client_address = "[2001:db8::1]:50000",
        .mechanism = "SCRAM-SHA-512",
        .principal = "Jürgen",
        .rule = "setu.yaml:12",
        .certificate = "orders",
        .certificate_subject = "CN=orders,O=Example",
        .certificate_fingerprint = "00ff",
        .cluster = "main",
        .broker_node = 0,
        .broker_address = "10.0.0.1:9092",
        .generation = "ajna",
        .generation_before = "legacy",
        .outcome = AUDIT_ALLOWED,
        .reason = "mapped",
        .detail = "one rule matches",
        .mapping_hash = "abc",
        .config_hash = "def",
        .count = 7,
    };
    append(log, &event);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, all(log));
    cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
    cr_assert(record.hash_ok);
    cr_assert_eq(record.seq, 1);
    cr_assert_str_eq(record.instance, "host-1");
    cr_assert_str_eq(record.code, "SETU2100I");
    cr_assert_eq(memcmp(record.hash, log->chain.head.hash, AUDIT_HASH_BYTES), 0);
    cr_assert_eq(record.event.code, AUDIT_MAPPING_DECIDED);
    cr_assert_eq(record.event.time_ns, event.time_ns);
    cr_assert_eq(record.event.session_id, event.session_id);
    cr_assert_eq(record.event.broker_node, 0);
    cr_assert_eq(record.event.outcome, AUDIT_ALLOWED);
    cr_assert_eq(record.event.count, 7);
#define SAME(name) cr_assert_str_eq(record.event.name, event.name);
    SAME(listener)
    SAME(client_address)
    SAME(mechanism)
    SAME(principal)
    SAME(rule)
    SAME(certificate)
    SAME(certificate_subject)
    SAME(certificate_fingerprint)
    SAME(cluster)
    SAME(broker_address)
    SAME(generation)
    SAME(generation_before)
    SAME(reason)
    SAME(detail)
    SAME(mapping_hash)
    SAME(config_hash)
#undef SAME
    cr_assert_eq(audit_read(&reader, &record), AUDIT_END);
    audit_reader_end(&reader);
    audit_reader_end(&reader);
    free_log(log);
}

Test(audit, absent_stays_absent)
{
    struct log *log = new_log("", 0);
    append_plain(log, AUDIT_START);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, all(log));
    cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
    cr_assert_str_eq(record.event.principal, "");
    cr_assert_str_eq(record.instance, "");
    cr_assert_eq(record.event.broker_node, -1);
    cr_assert_eq(record.event.time_ns, 1000); /* the time given to audit_encode */
    cr_assert_eq(record.event.outcome, AUDIT_OUTCOME_NONE);
    audit_reader_end(&reader);
    free_log(log);
}

/* A record may hold whatever a peer claimed to be. */
Test(audit, hostile_strings_are_cut_and_escaped)
{
    struct log *log = new_log("h", 0);
    char *huge = malloc(100001);
    memset(huge, 'x', 100000);
    huge[100000] = '\0';
    struct audit_event event = audit_event_init(AUDIT_LOGIN_DENIED);
    event.principal = huge;
    event.reason = "a\xff\xc3(\xe2\x82";
    event.detail = "\n{\"fake\":1}";
    append(log, &event);
    char euros[3 * 400 + 1] = "";
    for (int i = 0; i < 400; i++) {
        strcat(euros, "€");
    }
    event.principal = euros;
    append(log, &event);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, all(log));
    cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
    cr_assert_eq(strlen(record.event.principal), AUDIT_TEXT_BYTES_MAX);
    cr_assert_str_eq(record.event.reason, "a\\xff\\xc3(\\xe2\\x82");
    cr_assert_str_eq(record.event.detail, "\n{\"fake\":1}");
    cr_assert_eq(audit_read(&reader, &record), AUDIT_OK);
    cr_assert_eq(strlen(record.event.principal), AUDIT_TEXT_BYTES_MAX / 3 * 3);
    audit_reader_end(&reader);
    free(huge);
    free_log(log);
}

Test(audit, the_longest_record_fits_its_limit)
{
    char longest[AUDIT_TEXT_BYTES_MAX + 1];
    memset(longest, 'x', AUDIT_TEXT_BYTES_MAX);
    longest[AUDIT_TEXT_BYTES_MAX] = '\0';
    struct audit_event event = {
        AUDIT_LOGIN_DENIED,
        INT64_MIN,
        UINT64_MAX,
        longest,
        longest,
        longest,
        longest,
        longest,
        longest,
        longest,
        longest,
        longest,
        INT32_MAX,
        longest,
        longest,
        longest,
        AUDIT_FAILED,
        longest,
        longest,
        longest,
        longest,
        UINT64_MAX,
    };
    char instance[200];
    memset(instance, 'i', sizeof(instance));
    instance[sizeof(instance) - 1] = '\0';
    struct log *log = new_log(instance, 0);
    append(log, &event);
    cr_assert_leq(log->out.length, AUDIT_RECORD_BYTES_MAX);
    struct audit_verdict verdict;
    cr_assert_eq(audit_verify(all(log), NULL, NULL, &verdict), AUDIT_OK);
    free_log(log);
}

Test(audit, a_clone_owns_its_strings)
{
    char principal[] = "alice";
    struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
    event.principal = principal;
    event.reason = "";
    struct audit_event *copy = audit_event_clone(&event);
    principal[0] = 'x';
    cr_assert_str_eq(copy->principal, "alice");
    cr_assert_null(copy->reason);
    cr_assert_null(copy->listener);
    audit_event_free(&copy);
    cr_assert_null(copy);
    audit_event_free(&copy);
}

Test(audit, a_writer_that_fails_leaves_the_chain_alone)
{
    struct audit_chain chain, before;
    audit_chain_init(&chain, "h");
    const struct audit_event event = audit_event_init(AUDIT_START);
    uint8_t memory[512];
    struct writer out;
    writer_init_fixed(&out, memory, sizeof(memory));
    cr_assert(audit_encode(&chain, &event, 1, &out));
    const size_t length = out.length;
    before = chain;
    for (size_t room = 0; room < length; room++) {
        writer_init_fixed(&out, memory, room);
        cr_assert_not(audit_encode(&chain, &event, 1, &out));
        cr_assert_eq(memcmp(&chain, &before, sizeof(chain)), 0);
    }
}

Test(audit, a_whole_log_verifies)
{
    struct log *log = new_log("h", 50);
    struct audit_verdict verdict;
    cr_assert_eq(audit_verify(all(log), NULL, NULL, &verdict), AUDIT_OK);
    cr_assert_eq(verdict.records, 50);
    cr_assert_eq(verdict.first_seq, 1);
    cr_assert_eq(verdict.bad_seq, 0);
    cr_assert_str_eq(verdict.why, "");
    cr_assert_eq(memcmp(&verdict.head, &log->chain.head, sizeof(verdict.head)), 0);
    cr_assert_eq(audit_verify((struct view){NULL, 0}, NULL, NULL, &verdict), AUDIT_OK);
    cr_assert_eq(verdict.records, 0);
    free_log(log);
}

/* T79 */
Test(audit, every_changed_byte_is_named)
{
    struct log *log = new_log("h", 12);
    const size_t length = log->out.length;
    uint8_t *copy = exact(all(log));
    for (size_t at = 0; at < length; at++) {
        size_t record = 0;
        while (log->ends[record] <= at) {
            record++;
        }
        for (int bit = 0; bit < 8; bit++) {
            copy[at] ^= (uint8_t)(1U << bit);
            struct audit_verdict verdict;
            const enum audit_status status =
                audit_verify(view_of(copy, length), NULL, NULL, &verdict);
            cr_assert_neq(status, AUDIT_OK, "byte %zu bit %d", at, bit);
            /* A changed number in the first record is all that names another than its own. */
            cr_assert(verdict.bad_seq == record + 1 || record == 0, "byte %zu bit %d: %llu", at,
                      bit, (unsigned long long)verdict.bad_seq);
            cr_assert_eq(verdict.bad_offset, start_of(log, record));
            copy[at] ^= (uint8_t)(1U << bit);
        }
    }
    free(copy);
    free_log(log);
}

/* The length stands outside of the hash, so it may be written in one way only. */
Test(audit, a_length_written_longer_is_no_record)
{
    struct log *log = new_log("h", 1);
    cr_assert_lt(log->at[0], 0x80);
    uint8_t *copy = malloc(log->out.length + 1);
    copy[0] = log->at[0] | 0x80;
    copy[1] = 0;
    memcpy(copy + 2, log->at + 1, log->out.length - 1);
    bad_at(view_of(copy, log->out.length + 1), 1, "not a record");
    free(copy);
    free_log(log);
}

/* The records `order` of `log`, in that order. */
static uint8_t *arrange(const struct log *log, const size_t *order, size_t count, size_t *length_r)
{
    uint8_t *bytes = malloc(log->out.length * 2);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t start = start_of(log, order[i]), size = log->ends[order[i]] - start;
        memcpy(bytes + used, log->at + start, size);
        used += size;
    }
    *length_r = used;
    return bytes;
}

/* T79 */
Test(audit, deletion_reordering_and_repetition_are_named)
{
    struct log *log = new_log("h", 6);
    static const struct {
        size_t order[7], count;
        uint64_t bad;
    } cases[] = {
        {{0, 1, 3, 4, 5}, 5, 3},       /* deleted */
        {{0, 2, 1, 3, 4, 5}, 6, 2},    /* reordered */
        {{0, 1, 1, 2, 3, 4, 5}, 7, 3}, /* repeated */
        {{0, 1, 2, 0}, 4, 4},          /* started again */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = 0;
        uint8_t *bytes = arrange(log, cases[i].order, cases[i].count, &length);
        bad_at(view_of(bytes, length), cases[i].bad, "number does not follow");
        free(bytes);
    }
    free_log(log);
}

/* T79 */
Test(audit, a_splice_from_another_log_is_named)
{
    struct log *log = new_log("h", 6), *other = new_log("other", 6);
    memcpy(log->at + start_of(log, 3), other->at + start_of(other, 3),
           other->ends[5] - start_of(other, 3));
    bad_at(view_of(log->at, start_of(log, 3) + other->ends[5] - start_of(other, 3)), 4,
           "another record before it");
    free_log(log);
    free_log(other);
}

/* T79 */
Test(audit, a_cut_tail_shows_against_a_head_kept_elsewhere)
{
    struct log *log = new_log("h", 6);
    struct audit_verdict verdict;
    const struct view cut = view_of(log->at, log->ends[3]);
    cr_assert_eq(audit_verify(cut, NULL, NULL, &verdict), AUDIT_OK);
    cr_assert_eq(audit_verify(cut, NULL, &log->chain.head, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 5);
    cr_assert_eq(audit_verify(all(log), NULL, &log->chain.head, &verdict), AUDIT_OK);
    struct audit_head lie = verdict.head;
    lie.hash[0] ^= 1;
    cr_assert_eq(audit_verify(all(log), NULL, &lie, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 6);
    /* A tail that was cut and written anew differs at the head that was kept. */
    struct audit_verdict start;
    cr_assert_eq(audit_verify(view_of(log->at, log->ends[3]), NULL, NULL, &start), AUDIT_OK);
    struct log *forged = new_log("h", 4);
    append_plain(forged, AUDIT_STOP);
    append_plain(forged, AUDIT_STOP);
    cr_assert_eq(audit_verify(all(forged), NULL, &log->chain.head, &verdict), AUDIT_BROKEN);
    cr_assert_eq(verdict.bad_seq, 6);
    free_log(forged);
    free_log(log);
}

Test(audit, the_chain_goes_on_in_the_next_file)
{
    struct log *log = new_log("h", 6);
    const struct view first = view_of(log->at, log->ends[2]);
    const struct view second = view_of(log->at + log->ends[2], log->out.length - log->ends[2]);
    struct audit_verdict verdict, next;
    cr_assert_eq(audit_verify(first, NULL, NULL, &verdict), AUDIT_OK);
    cr_assert_eq(audit_verify(second, &verdict.head, NULL, &next), AUDIT_OK);
    cr_assert_eq(next.first_seq, 4);
    cr_assert_eq(next.head.seq, 6);
    /* Alone, the second file is sound, too; behind another one it is not. */
    cr_assert_eq(audit_verify(second, NULL, NULL, &next), AUDIT_OK);
    cr_assert_eq(audit_verify(second, NULL, &verdict.head, &next), AUDIT_OK);
    verdict.head.hash[5] ^= 1;
    cr_assert_eq(audit_verify(second, &verdict.head, NULL, &next), AUDIT_BROKEN);
    cr_assert_eq(next.bad_seq, 4);
    cr_assert_eq(audit_verify(second, NULL, &verdict.head, &next), AUDIT_BROKEN);
    free_log(log);
}

Test(audit, every_prefix_is_whole_or_torn)
{
    struct log *log = new_log("h", 5);
    for (size_t cut = 0; cut <= log->out.length; cut++) {
        uint8_t *copy = exact(view_of(log->at, cut));
        size_t whole = 0;
        while (whole < log->count && log->ends[whole] <= cut) {
            whole++;
        }
        const bool at_edge = cut == start_of(log, whole);
        struct audit_verdict verdict;
        cr_assert_eq(audit_verify(view_of(copy, cut), NULL, NULL, &verdict),
                     at_edge ? AUDIT_OK : AUDIT_TORN);
        cr_assert_eq(verdict.records, whole);
        cr_assert_eq(verdict.bad_seq, at_edge ? 0 : whole + 1);
        struct audit_chain chain;
        size_t good = 99;
        audit_chain_init(&chain, "h");
        cr_assert_eq(audit_chain_resume(&chain, view_of(copy, cut), &good),
                     at_edge ? AUDIT_OK : AUDIT_TORN);
        cr_assert_eq(good, start_of(log, whole));
        cr_assert_eq(chain.head.seq, whole);
        free(copy);
    }
    free_log(log);
}

Test(audit, a_resumed_chain_continues)
{
    struct log *log = new_log("h", 5);
    struct audit_chain chain;
    size_t good = 0;
    audit_chain_init(&chain, "after the restart");
    cr_assert_eq(audit_chain_resume(&chain, all(log), &good), AUDIT_OK);
    cr_assert_eq(good, log->out.length);
    log->chain = chain;
    append_plain(log, AUDIT_START);
    struct audit_verdict verdict;
    cr_assert_eq(audit_verify(all(log), NULL, NULL, &verdict), AUDIT_OK);
    cr_assert_eq(verdict.head.seq, 6);
    free_log(log);
}

/* After a power loss a file may be as long as it was meant to be, but end in zeros. */
Test(audit, zeros_at_the_end_are_a_torn_record)
{
    struct log *log = new_log("h", 5);
    for (size_t hole = start_of(log, 4); hole <= log->ends[4] - 16; hole++) {
        uint8_t *copy = malloc(log->ends[4] + 4096);
        memcpy(copy, log->at, log->ends[4]);
        memset(copy + hole, 0, log->ends[4] + 4096 - hole);
        for (size_t more = 0; more <= 4096; more += 4096) {
            struct audit_chain chain;
            size_t good = 0;
            audit_chain_init(&chain, "h");
            cr_assert_eq(audit_chain_resume(&chain, view_of(copy, log->ends[4] + more), &good),
                         AUDIT_TORN, "hole at %zu", hole);
            cr_assert_eq(good, log->ends[3]);
            cr_assert_eq(chain.head.seq, 4);
        }
        free(copy);
    }
    free_log(log);
}

Test(audit, a_damaged_end_is_not_continued)
{
    struct log *log = new_log("h", 5);
    struct audit_chain chain;
    size_t good = 99;
    for (size_t at = 0; at < log->out.length; at++) {
        log->at[at] ^= 0x55;
        audit_chain_init(&chain, "h");
        const enum audit_status status = audit_chain_resume(&chain, all(log), &good);
        /* A changed length may look like a record that was cut short; nothing else may. */
        cr_assert(status == AUDIT_BROKEN ||
                  (status == AUDIT_TORN && good == start_of(log, chain.head.seq)));
        cr_assert(status != AUDIT_BROKEN || good == 0);
        log->at[at] ^= 0x55;
    }
    free_log(log);
}

Test(audit, a_long_file_is_resumed_from_its_tail)
{
    struct log *log = new_log("h", 0);
    char detail[1024];
    memset(detail, 'd', sizeof(detail));
    detail[sizeof(detail) - 1] = '\0';
    struct audit_event event = audit_event_init(AUDIT_SESSION_CLOSED);
    event.detail = detail;
    while (log->out.length < 2 * (size_t)AUDIT_TAIL_BYTES) {
        append(log, &event);
    }
    for (size_t shift = 0; shift < 1200; shift += 7) { /* the tail starts anywhere in a record */
        const size_t length = log->out.length;
        const size_t from = length - AUDIT_TAIL_BYTES - shift;
        struct audit_chain chain;
        size_t good = 0;
        audit_chain_init(&chain, "h");
        const struct view tail = view_of(log->at + from, AUDIT_TAIL_BYTES + shift);
        cr_assert_eq(audit_chain_resume(&chain, tail, &good), AUDIT_OK);
        cr_assert_eq(good, tail.length);
        cr_assert_eq(memcmp(&chain.head, &log->chain.head, sizeof(chain.head)), 0);
        const struct view torn = view_of(tail.at, tail.length - 1);
        if (torn.length >= AUDIT_TAIL_BYTES) {
            cr_assert_eq(audit_chain_resume(&chain, torn, &good), AUDIT_TORN);
            cr_assert_eq(good,
                         tail.length - (log->ends[log->count - 1] - log->ends[log->count - 2]));
            cr_assert_eq(chain.head.seq, log->count - 1);
        }
    }
    uint8_t *noise = calloc(1, AUDIT_TAIL_BYTES);
    struct audit_chain chain;
    size_t good = 0;
    audit_chain_init(&chain, "h");
    cr_assert_eq(audit_chain_resume(&chain, view_of(noise, AUDIT_TAIL_BYTES), &good), AUDIT_BROKEN);
    free(noise);
    free_log(log);
}

Test(audit, codes_are_unique_and_explained)
{
    enum audit_code code, previous = (enum audit_code)0;
    size_t count = 0;
    while (audit_code_at(count, &code)) {
        cr_assert_gt(code, previous, "codes ascend");
        const char *text = audit_code_text(code);
        cr_assert_eq(strlen(text), AUDIT_CODE_SIZE - 1);
        cr_assert_eq(strncmp(text, "SETU", 4), 0);
        cr_assert_not_null(strchr("IWE", text[8]));
        cr_assert_eq((int)strtol(text + 4, NULL, 10), (int)code);
        cr_assert_gt(strlen(audit_code_meaning(code)), 10);
        previous = code;
        count++;
    }
    cr_assert_gt(count, 20);
    cr_assert_str_eq(audit_code_text((enum audit_code)0), "SETU0000E");
    cr_assert_str_eq(audit_code_meaning((enum audit_code)0), "");
    cr_assert_str_eq(audit_outcome_name(AUDIT_DENIED), "denied");
}
