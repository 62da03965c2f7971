/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit.h"

#include "auth/audit.pb-c.h"
#include "conf/utf8.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every string of an event, which are also those of a record. */
#define EACH_STRING(DO)                                                                            \
    DO(listener)                                                                                   \
    DO(client_address)                                                                             \
    DO(mechanism)                                                                                  \
    DO(principal)                                                                                  \
    DO(rule)                                                                                       \
    DO(certificate)                                                                                \
    DO(certificate_subject)                                                                        \
    DO(certificate_fingerprint)                                                                    \
    DO(cluster)                                                                                    \
    DO(broker_address)                                                                             \
    DO(generation)                                                                                 \
    DO(generation_before)                                                                          \
    DO(reason)                                                                                     \
    DO(detail)                                                                                     \
    DO(mapping_hash)                                                                               \
    DO(config_hash)

enum {
    HASH_FIELD_BYTES = 3 + AUDIT_HASH_BYTES,
    PREFIX_BYTES_MAX = 3, /* length of a record as a varint */
    ZEROS_OF_A_HOLE = 16  /* no hash ends with so many; a file system's hole does */
};

/* Tag of field 1000 with a length, then the length: how every record's hash field begins. */
static const uint8_t hash_field[3] = {0xc2, 0x3e, AUDIT_HASH_BYTES};

/* The table of events ------------------------------------------------------------------------ */

static const struct event_row {
    enum audit_code code;
    const char *text, *meaning;
} rows[] = {
#define AUDIT_EVENT(name, number, severity, meaning)                                               \
    {AUDIT_##name, "SETU" #number #severity, meaning},
#include "auth/audit_event.def"
#undef AUDIT_EVENT
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct event_row *find_row(enum audit_code code)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

static enum audit_code find_code(const char *text)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].text, text) == 0) {
            return rows[i].code;
        }
    }
    return (enum audit_code)0;
}

const char *audit_code_text(enum audit_code code)
{
    const struct event_row *row = find_row(code);
    return row == NULL ? "SETU0000E" : row->text;
}

const char *audit_code_meaning(enum audit_code code)
{
    const struct event_row *row = find_row(code);
    return row == NULL ? "" : row->meaning;
}

bool audit_code_at(size_t index, enum audit_code *code_r)
{
    if (index >= ROWS) {
        return false;
    }
    *code_r = rows[index].code;
    return true;
}

const char *audit_outcome_name(enum audit_outcome outcome)
{
    switch (outcome) {
    case AUDIT_OUTCOME_NONE:
        return "";
    case AUDIT_ALLOWED:
        return "allowed";
    case AUDIT_DENIED:
        return "denied";
    case AUDIT_FAILED:
        break;
    }
    return "failed";
}

/* Events ------------------------------------------------------------------------------------- */

struct audit_event audit_event_init(enum audit_code code)
{
    return (struct audit_event){.code = code, .broker_node = -1};
}

/* Bytes of the text once clean, without its NUL; written to `out` unless that is NULL. */
static size_t clean(const char *text, size_t max, char *out)
{
    size_t used = 0;
    const size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        const size_t valid = utf8_next(text + i, length - i, &point);
        const size_t need = valid == 0 ? 4 : valid;
        if (need > max - used) {
            break;
        }
        if (out != NULL && valid != 0) {
            memcpy(out + used, text + i, valid);
        } else if (out != NULL) {
            char escaped[5];
            snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)text[i]);
            memcpy(out + used, escaped, 4);
        }
        used += need;
        i += valid == 0 ? 1 : valid;
    }
    return used;
}

static size_t clean_size(const char *text)
{
    return text == NULL || *text == '\0' ? 0 : clean(text, AUDIT_TEXT_BYTES_MAX, NULL) + 1;
}

static const char *clean_copy(const char *text, char **room)
{
    if (text == NULL || *text == '\0') {
        return NULL;
    }
    char *copy = *room;
    const size_t length = clean(text, AUDIT_TEXT_BYTES_MAX, copy);
    copy[length] = '\0';
    *room += length + 1;
    return copy;
}

struct audit_event *audit_event_clone(const struct audit_event *event)
{
    size_t size = sizeof(*event);
#define SIZE(name) size += clean_size(event->name);
    EACH_STRING(SIZE)
#undef SIZE
    struct audit_event *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    *copy = *event;
    char *room = (char *)(copy + 1);
#define COPY(name) copy->name = clean_copy(event->name, &room);
    EACH_STRING(COPY)
#undef COPY
    return copy;
}

void audit_event_free(struct audit_event **event)
{
    free(*event);
    *event = NULL;
}

/* Writing ------------------------------------------------------------------------------------ */

void audit_chain_init(struct audit_chain *chain, const char *instance)
{
    *chain = (struct audit_chain){0};
    const size_t length = clean(instance, sizeof(chain->instance) - 1, chain->instance);
    chain->instance[length] = '\0';
}

static void hash_record(const uint8_t prev_hash[AUDIT_HASH_BYTES], struct view body,
                        uint8_t hash[AUDIT_HASH_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(digest, prev_hash, AUDIT_HASH_BYTES) != 1 ||
        EVP_DigestUpdate(digest, body.at, body.length) != 1 ||
        EVP_DigestFinal_ex(digest, hash, NULL) != 1) {
        abort();
    }
    EVP_MD_CTX_free(digest);
}

/* protobuf-c has no const; it only reads what it packs. */
static char *borrow(const char *text)
{
    return text == NULL ? (char *)(uintptr_t)protobuf_c_empty_string : (char *)(uintptr_t)text;
}

static void fill(Setu__AuditRecord *record, struct audit_chain *chain,
                 const struct audit_event *event, int64_t now_ns)
{
    setu__audit_record__init(record);
    record->seq = chain->head.seq + 1;
    record->prev_hash = (ProtobufCBinaryData){AUDIT_HASH_BYTES, chain->head.hash};
    record->instance = chain->instance;
    record->time_ns = event->time_ns == 0 ? now_ns : event->time_ns;
    record->code = borrow(audit_code_text(event->code));
    record->session_id = event->session_id;
    record->has_broker = event->broker_node >= 0;
    record->broker_node = record->has_broker ? event->broker_node : 0;
    record->outcome = (Setu__AuditRecord__Outcome)event->outcome;
    record->count = event->count;
#define BORROW(name) record->name = borrow(event->name);
    EACH_STRING(BORROW)
#undef BORROW
}

bool audit_encode(struct audit_chain *chain, const struct audit_event *event, int64_t now_ns,
                  struct writer *out)
{
    struct audit_event *clean_event = audit_event_clone(event);
    Setu__AuditRecord record;
    fill(&record, chain, clean_event, now_ns);
    const size_t length = setu__audit_record__get_packed_size(&record);
    writer_uvarint(out, (uint32_t)(length + HASH_FIELD_BYTES));
    uint8_t *body = writer_reserve(out, length);
    struct audit_head head = {.seq = record.seq};
    if (body != NULL) {
        setu__audit_record__pack(&record, body);
        hash_record(chain->head.hash, (struct view){body, length}, head.hash);
        writer_put(out, (struct view){hash_field, sizeof(hash_field)});
        writer_put(out, (struct view){head.hash, sizeof(head.hash)});
    }
    audit_event_free(&clean_event);
    if (!writer_ok(out)) {
        return false;
    }
    chain->head = head;
    return true;
}

/* Reading ------------------------------------------------------------------------------------ */

/* Cut one record off the front; the rest is untouched unless AUDIT_OK. */
static enum audit_status frame(struct view *rest, struct view *record_r)
{
    size_t length = 0, used = 0;
    for (;;) {
        if (used == rest->length) {
            return used == 0 ? AUDIT_END : AUDIT_TORN;
        }
        const uint8_t byte = rest->at[used];
        length |= (size_t)(byte & 0x7f) << (7 * used);
        used++;
        if ((byte & 0x80) == 0) {
            break;
        }
        if (used == PREFIX_BYTES_MAX) {
            return AUDIT_BROKEN;
        }
    }
    const bool shortest = used == 1 || length >> (7 * (used - 1)) != 0;
    if (!shortest || length <= HASH_FIELD_BYTES || length > AUDIT_RECORD_BYTES_MAX - used) {
        return AUDIT_BROKEN;
    }
    if (length > rest->length - used) {
        return AUDIT_TORN;
    }
    *record_r = (struct view){rest->at + used, length};
    rest->at += used + length;
    rest->length -= used + length;
    return AUDIT_OK;
}

/* Nothing but zeros from here on, or a last record that ends in them: what a crash leaves behind.
 */
static bool is_hole(struct view rest)
{
    struct view after = rest, record;
    if (frame(&after, &record) != AUDIT_OK) {
        after = rest;
    } else {
        after.at -= ZEROS_OF_A_HOLE;
        after.length += ZEROS_OF_A_HOLE;
    }
    for (size_t i = 0; i < after.length; i++) {
        if (after.at[i] != 0) {
            return false;
        }
    }
    return after.length != 0;
}

static void copy_text(char *out, size_t size, const char *text)
{
    const size_t length = strnlen(text, size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

/* The hash field has to be where a writer puts it: last. */
static bool split(struct view record, struct view *body_r, const uint8_t **hash_r)
{
    const size_t length = record.length - HASH_FIELD_BYTES;
    if (memcmp(record.at + length, hash_field, sizeof(hash_field)) != 0) {
        return false;
    }
    *body_r = (struct view){record.at, length};
    *hash_r = record.at + length + sizeof(hash_field);
    return true;
}

static bool unpack(struct view bytes, Setu__AuditRecord **unpacked_r, struct audit_record *record)
{
    struct view body;
    const uint8_t *hash = NULL;
    if (!split(bytes, &body, &hash)) {
        return false;
    }
    Setu__AuditRecord *in = setu__audit_record__unpack(NULL, bytes.length, bytes.at);
    if (in == NULL) {
        return false;
    }
    *unpacked_r = in;
    if (in->prev_hash.len != AUDIT_HASH_BYTES) {
        return false;
    }
    *record = (struct audit_record){.seq = in->seq, .instance = in->instance};
    copy_text(record->code, sizeof(record->code), in->code);
    memcpy(record->prev_hash, in->prev_hash.data, AUDIT_HASH_BYTES);
    memcpy(record->hash, hash, AUDIT_HASH_BYTES);
    uint8_t computed[AUDIT_HASH_BYTES];
    hash_record(record->prev_hash, body, computed);
    record->hash_ok = memcmp(computed, hash, AUDIT_HASH_BYTES) == 0;
    record->event = audit_event_init(find_code(in->code));
    record->event.time_ns = in->time_ns;
    record->event.session_id = in->session_id;
    record->event.broker_node = in->has_broker ? in->broker_node : -1;
    record->event.outcome = in->outcome > SETU__AUDIT_RECORD__OUTCOME__FAILED
                                ? AUDIT_FAILED
                                : (enum audit_outcome)in->outcome;
    record->event.count = in->count;
#define POINT(name) record->event.name = in->name;
    EACH_STRING(POINT)
#undef POINT
    return true;
}

void audit_reader_init(struct audit_reader *reader, struct view log)
{
    *reader = (struct audit_reader){.rest = log};
}

void audit_reader_end(struct audit_reader *reader)
{
    if (reader->unpacked != NULL) {
        setu__audit_record__free_unpacked(reader->unpacked, NULL);
        reader->unpacked = NULL;
    }
}

enum audit_status audit_read(struct audit_reader *reader, struct audit_record *record_r)
{
    audit_reader_end(reader);
    *record_r = (struct audit_record){0};
    struct view rest = reader->rest, bytes;
    const enum audit_status status = frame(&rest, &bytes);
    if (status != AUDIT_OK) {
        return status == AUDIT_BROKEN && is_hole(reader->rest) ? AUDIT_TORN : status;
    }
    Setu__AuditRecord *unpacked = NULL;
    const bool good = unpack(bytes, &unpacked, record_r);
    reader->unpacked = unpacked;
    if (!good || !record_r->hash_ok) {
        if (is_hole(reader->rest)) {
            return AUDIT_TORN;
        }
    }
    if (!good) {
        return AUDIT_BROKEN;
    }
    reader->rest = rest;
    return AUDIT_OK;
}

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

static enum audit_status verify_records(struct audit_reader *reader, bool any,
                                        const struct audit_head *expected,
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
        why = why == NULL ? contradiction(expected, &record) : why;
        if (why != NULL) {
            return condemn(verdict, AUDIT_BROKEN, unknown && record.seq != 0 ? record.seq : next,
                           why);
        }
        move_head(&verdict->head, &record);
        verdict->first_seq = verdict->records == 0 ? record.seq : verdict->first_seq;
        verdict->records++;
    }
}

enum audit_status audit_verify(struct view log, const struct audit_head *after,
                               const struct audit_head *expected, struct audit_verdict *verdict_r)
{
    *verdict_r = (struct audit_verdict){.status = AUDIT_OK, .why = ""};
    if (after != NULL) {
        verdict_r->head = *after;
    }
    struct audit_reader reader;
    audit_reader_init(&reader, log);
    const enum audit_status status = verify_records(&reader, after == NULL, expected, verdict_r);
    audit_reader_end(&reader);
    if (status != AUDIT_OK) {
        return status;
    }
    if (expected != NULL && expected->seq > verdict_r->head.seq) {
        return condemn(verdict_r, AUDIT_BROKEN, verdict_r->head.seq + 1,
                       "it is missing: records were cut off the end");
    }
    verdict_r->bad_offset = 0;
    return AUDIT_OK;
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

/* Is there, at the front, a whole record that its own hash confirms? */
static bool starts_here(struct view tail)
{
    struct view bytes;
    if (frame(&tail, &bytes) != AUDIT_OK) {
        return false;
    }
    Setu__AuditRecord *unpacked = NULL;
    struct audit_record record;
    const bool good = unpack(bytes, &unpacked, &record) && record.hash_ok;
    if (unpacked != NULL) {
        setu__audit_record__free_unpacked(unpacked, NULL);
    }
    return good;
}

enum audit_status audit_chain_resume(struct audit_chain *chain, struct view tail, size_t *good_r)
{
    *good_r = 0;
    chain->head = (struct audit_head){0};
    size_t start = 0;
    if (tail.length >= AUDIT_TAIL_BYTES) {
        while (start < AUDIT_RECORD_BYTES_MAX && !starts_here(view_from(tail, start))) {
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
