/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit.h"

#include "auth/audit.pb-c.h"
#include "auth/audit_key.h"
#include "auth/audit_private.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREFIX_BYTES_MAX = 3, /* length of a record as a varint */
    ZEROS_OF_A_HOLE = 16, /* no hash ends with so many; a file system's hole does */
    MESSAGE_BYTES_MAX = 1024,
    CHECKPOINT_HASH_SIZE = 72
};

const uint8_t audit_hash_field[3] = {0xc2, 0x3e, AUDIT_HASH_BYTES};
const uint8_t audit_signature_field[3] = {0xaa, 0x38, AUDIT_SIGNATURE_BYTES};

/* Writing ------------------------------------------------------------------------------------ */

void audit_chain_init(struct audit_chain *chain, const char *instance)
{
    *chain = (struct audit_chain){0};
    const size_t length = audit_clean(instance, sizeof(chain->instance) - 1, chain->instance);
    chain->instance[length] = '\0';
}

void audit_hash(const uint8_t prev_hash[AUDIT_HASH_BYTES], struct view body,
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

/* The message of a signature: a line that no other use of the key begins with, then the record. */
static size_t message(struct view signed_part, uint8_t out[MESSAGE_BYTES_MAX])
{
    static const char purpose[] = "setu audit checkpoint 1\n";
    const size_t lead = sizeof(purpose) - 1;
    if (signed_part.length > MESSAGE_BYTES_MAX - lead) {
        return 0;
    }
    memcpy(out, purpose, lead);
    memcpy(out + lead, signed_part.at, signed_part.length);
    return lead + signed_part.length;
}

/* Signs what `body` begins with; the field goes behind it, where there is room. */
static void sign(const struct audit_key *key, uint8_t *body, size_t length)
{
    uint8_t bytes[MESSAGE_BYTES_MAX];
    const size_t size = message((struct view){body, length}, bytes);
    memcpy(body + length, audit_signature_field, sizeof(audit_signature_field));
    if (size == 0 || !audit_key_sign(key, (struct view){bytes, size},
                                     body + length + sizeof(audit_signature_field))) {
        abort(); /* our own record is short, and Ed25519 does not fail */
    }
}

/* The record of `event`, signed when there is a key. */
static bool append(struct audit_chain *chain, const struct audit_event *event,
                   const struct audit_key *key, int64_t now_ns, struct writer *out)
{
    Setu__AuditRecord record;
    fill(&record, chain, event, now_ns);
    record.key_id = borrow(key == NULL ? NULL : audit_key_id(key));
    const size_t content = setu__audit_record__get_packed_size(&record);
    const size_t length = content + (key == NULL ? 0 : AUDIT_SIGNATURE_FIELD_BYTES);
    writer_uvarint(out, (uint32_t)(length + AUDIT_HASH_FIELD_BYTES));
    uint8_t *body = writer_reserve(out, length);
    struct audit_head head = {.seq = record.seq};
    if (body != NULL) {
        setu__audit_record__pack(&record, body);
        if (key != NULL) {
            sign(key, body, content);
        }
        audit_hash(chain->head.hash, (struct view){body, length}, head.hash);
        writer_put(out, (struct view){audit_hash_field, sizeof(audit_hash_field)});
        writer_put(out, (struct view){head.hash, sizeof(head.hash)});
    }
    if (!writer_ok(out)) {
        return false;
    }
    chain->head = head;
    return true;
}

bool audit_encode(struct audit_chain *chain, const struct audit_event *event, int64_t now_ns,
                  struct writer *out)
{
    struct audit_event *clean_event = audit_event_clone(event);
    const bool good = append(chain, clean_event, NULL, now_ns, out);
    audit_event_free(&clean_event);
    return good;
}

bool audit_encode_checkpoint(struct audit_chain *chain, const struct audit_key *key,
                             const char *mapping_hash, const char *config_hash, int64_t now_ns,
                             struct writer *out)
{
    char mapping[CHECKPOINT_HASH_SIZE] = "", config[CHECKPOINT_HASH_SIZE] = "";
    audit_clean(borrow(mapping_hash), sizeof mapping - 1, mapping);
    audit_clean(borrow(config_hash), sizeof config - 1, config);
    struct audit_event event = audit_event_init(AUDIT_CHECKPOINT);
    event.mapping_hash = mapping;
    event.config_hash = config;
    return append(chain, &event, key, now_ns, out);
}

/* Reading ------------------------------------------------------------------------------------ */

enum audit_status audit_frame(struct view *rest, struct view *record_r)
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
    if (!shortest || length <= AUDIT_HASH_FIELD_BYTES || length > AUDIT_RECORD_BYTES_MAX - used) {
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
    if (audit_frame(&after, &record) != AUDIT_OK) {
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
    const size_t length = record.length - AUDIT_HASH_FIELD_BYTES;
    if (memcmp(record.at + length, audit_hash_field, sizeof(audit_hash_field)) != 0) {
        return false;
    }
    *body_r = (struct view){record.at, length};
    *hash_r = record.at + length + sizeof(audit_hash_field);
    return true;
}

/* A checkpoint has its signature right before its hash; what has none there is no checkpoint. */
static bool take_signature(struct view body, struct audit_record *record)
{
    record->key_id = "";
    if (record->event.code != AUDIT_CHECKPOINT) {
        return true;
    }
    if (body.length <= AUDIT_SIGNATURE_FIELD_BYTES) {
        return false;
    }
    const size_t length = body.length - AUDIT_SIGNATURE_FIELD_BYTES;
    if (memcmp(body.at + length, audit_signature_field, sizeof(audit_signature_field)) != 0) {
        return false;
    }
    record->signed_part = (struct view){body.at, length};
    record->signature =
        (struct view){body.at + length + sizeof(audit_signature_field), AUDIT_SIGNATURE_BYTES};
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
    audit_hash(record->prev_hash, body, computed);
    record->hash_ok = memcmp(computed, hash, AUDIT_HASH_BYTES) == 0;
    record->event = audit_event_init(audit_code_find(in->code));
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
    if (!take_signature(body, record)) {
        return false;
    }
    record->key_id = record->signature.length == 0 ? "" : in->key_id;
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
    const enum audit_status status = audit_frame(&rest, &bytes);
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

bool audit_starts_here(struct view bytes)
{
    struct view record_bytes;
    if (audit_frame(&bytes, &record_bytes) != AUDIT_OK) {
        return false;
    }
    Setu__AuditRecord *unpacked = NULL;
    struct audit_record record;
    const bool good = unpack(record_bytes, &unpacked, &record) && record.hash_ok;
    if (unpacked != NULL) {
        setu__audit_record__free_unpacked(unpacked, NULL);
    }
    return good;
}

/* Checkpoints ---------------------------------------------------------------------------------*/

bool audit_checkpoint_holds(const struct audit_record *record, const struct audit_key *key)
{
    uint8_t bytes[MESSAGE_BYTES_MAX];
    const size_t size = message(record->signed_part, bytes);
    return record->signature.length == AUDIT_SIGNATURE_BYTES && size != 0 &&
           audit_key_verify(key, (struct view){bytes, size}, record->signature);
}

/* Cheap: only what has a signature where a checkpoint has it is unpacked. */
static bool is_signed(struct view bytes)
{
    const size_t fields = AUDIT_SIGNATURE_FIELD_BYTES + AUDIT_HASH_FIELD_BYTES;
    return bytes.length > fields && memcmp(bytes.at + bytes.length - fields, audit_signature_field,
                                           sizeof(audit_signature_field)) == 0;
}

void audit_last_checkpoint(struct view log, char key_id_r[AUDIT_KEY_ID_SIZE],
                           uint64_t *records_behind_r)
{
    struct view bytes, last = {NULL, 0};
    *records_behind_r = 0;
    key_id_r[0] = '\0';
    while (audit_frame(&log, &bytes) == AUDIT_OK) {
        const bool found = is_signed(bytes);
        last = found ? bytes : last;
        *records_behind_r = found ? 0 : *records_behind_r + 1;
    }
    Setu__AuditRecord *unpacked = NULL;
    struct audit_record record;
    if (last.at != NULL && unpack(last, &unpacked, &record)) {
        copy_text(key_id_r, AUDIT_KEY_ID_SIZE, record.key_id);
    }
    if (unpacked != NULL) {
        setu__audit_record__free_unpacked(unpacked, NULL);
    }
}

bool audit_may_follow(const struct audit_head *head, struct view bytes)
{
    uint8_t expected[PREFIX_BYTES_MAX + 16 + AUDIT_HASH_BYTES];
    struct writer out;
    bool zeros = true;
    for (size_t i = 0; i < bytes.length; i++) {
        zeros = zeros && bytes.at[i] == 0;
    }
    size_t used = 0;
    while (used < bytes.length && used < PREFIX_BYTES_MAX - 1 && (bytes.at[used] & 0x80) != 0) {
        used++;
    }
    used += used < bytes.length ? 1 : 0;
    const uint64_t seq = head->seq + 1;
    writer_init_fixed(&out, expected, sizeof(expected));
    writer_i8(&out, 0x08); /* field 1: its number */
    for (uint64_t rest = seq; rest != 0; rest >>= 7) {
        writer_i8(&out, (int8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
    }
    writer_i8(&out, 0x12); /* field 2: prev_hash */
    writer_i8(&out, AUDIT_HASH_BYTES);
    writer_put(&out, (struct view){head->hash, AUDIT_HASH_BYTES});
    const size_t length = bytes.length - used < out.length ? bytes.length - used : out.length;
    return zeros || memcmp(bytes.at + used, expected, length) == 0;
}
