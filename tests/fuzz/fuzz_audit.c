/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes once as an audit file from a foreign hand, once as what a peer says about itself. What
 * verifying, resuming and reading tell of one file must agree; what was encoded must verify. The
 * corpus has checkpoints signed with the key of 32 bytes 7.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/audit_key.h"
#include "auth/audit_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good)
{
    if (!good) {
        abort();
    }
}

static uint64_t read_all(struct view log)
{
    struct audit_reader reader;
    struct audit_record record;
    uint64_t count = 0;
    audit_reader_init(&reader, log);
    while (audit_read(&reader, &record) == AUDIT_OK) {
        must(strlen(record.code) < AUDIT_CODE_SIZE);
        must(record.instance != NULL && record.event.principal != NULL);
        struct audit_event *copy = audit_event_clone(&record.event);
        audit_event_free(&copy);
        count++;
    }
    audit_reader_end(&reader);
    return count;
}

static const struct audit_key *the_key(void)
{
    static struct audit_key *key;
    static const uint8_t seven[32] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                      7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    key = key == NULL ? audit_key_of(seven) : key;
    return key;
}

/* Signatures may only condemn what the chain alone lets through. */
static void check_signatures(struct view log, enum audit_status plain)
{
    const struct audit_key *keys[] = {the_key()};
    struct audit_signatures s = {.keys = keys, .key_count = 1};
    struct audit_verdict verdict;
    const enum audit_status status = audit_verify_signed(log, NULL, NULL, &s, &verdict);
    must(status == plain || status == AUDIT_BROKEN);
    must(s.confirmed <= s.checkpoints && s.confirmed_seq <= verdict.head.seq);
    must(strlen(s.key_id) < AUDIT_KEY_ID_SIZE && strlen(s.foreign_key_id) < AUDIT_KEY_ID_SIZE);
    char id[AUDIT_KEY_ID_SIZE];
    uint64_t behind = 0;
    audit_last_checkpoint(log, id, &behind);
    must(strlen(id) < AUDIT_KEY_ID_SIZE && behind <= log.length);
    must(audit_may_follow(&verdict.head, (struct view){log.at, 0}));
    must(!audit_may_follow(&verdict.head, log) || log.length < 4096 || status != AUDIT_OK ||
         verdict.head.seq == 0);
}

static void check_file(struct view log)
{
    struct audit_verdict verdict;
    const enum audit_status status = audit_verify(log, NULL, NULL, &verdict);
    must(status == verdict.status && (status == AUDIT_OK) == (verdict.bad_seq == 0));
    must(verdict.records <= read_all(log));
    check_signatures(log, status);
    struct audit_chain chain;
    size_t good = 0;
    audit_chain_init(&chain, "fuzz");
    const enum audit_status resumed = audit_chain_resume(&chain, log, &good);
    must(good <= log.length);
    if (log.length < AUDIT_TAIL_BYTES) {
        must(resumed == status);
        must(resumed == AUDIT_BROKEN ||
             good == (status == AUDIT_OK ? log.length : verdict.bad_offset));
        must(resumed == AUDIT_BROKEN || chain.head.seq == verdict.head.seq);
    }
}

static void check_checkpoint(struct audit_chain *chain, const char *text, struct writer *out)
{
    const struct audit_key *keys[] = {the_key()};
    struct audit_signatures s = {.keys = keys, .key_count = 1};
    struct audit_verdict verdict;
    must(audit_encode_checkpoint(chain, the_key(), text, NULL, 3, out));
    must(audit_verify_signed(writer_view(out), NULL, &chain->head, &s, &verdict) == AUDIT_OK);
    must(s.confirmed == 1 && s.confirmed_seq == 3 && s.foreign_seq == 0);
}

static void check_event(const uint8_t *data, size_t size)
{
    static uint8_t memory[3 * AUDIT_RECORD_BYTES_MAX];
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct audit_event event = audit_event_init(size == 0 ? AUDIT_START : (enum audit_code) * data);
    event.principal = text;
    event.reason = text + size / 2;
    event.session_id = size;
    struct audit_chain chain;
    struct writer out;
    struct audit_verdict verdict;
    audit_chain_init(&chain, text);
    writer_init_fixed(&out, memory, sizeof(memory));
    must(audit_encode(&chain, &event, 1, &out) && audit_encode(&chain, &event, 2, &out));
    must(audit_verify(writer_view(&out), NULL, &chain.head, &verdict) == AUDIT_OK);
    must(verdict.records == 2 && read_all(writer_view(&out)) == 2);
    if (size % 16 == 0) { /* signing costs more than all the rest */
        check_checkpoint(&chain, text, &out);
    }
    if (size != 0) {
        memory[data[0] * 97U % out.length] ^= 0x10;
        must(audit_verify(writer_view(&out), NULL, &chain.head, &verdict) != AUDIT_OK);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_file((struct view){data, size});
    check_event(data, size);
    return 0;
}
