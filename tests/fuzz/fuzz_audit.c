/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes once as an audit file from a foreign hand, once as what a peer says about itself. What
 * verifying, resuming and reading tell of one file must agree; what was encoded must verify.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"

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

static void check_file(struct view log)
{
    struct audit_verdict verdict;
    const enum audit_status status = audit_verify(log, NULL, NULL, &verdict);
    must(status == verdict.status && (status == AUDIT_OK) == (verdict.bad_seq == 0));
    must(verdict.records <= read_all(log));
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

static void check_event(const uint8_t *data, size_t size)
{
    static uint8_t memory[2 * AUDIT_RECORD_BYTES_MAX];
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
