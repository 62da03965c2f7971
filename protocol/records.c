/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull parser over the same tables as schema_walk, with its stack made explicit so that it can
 * stop at any byte. Each state reads one item; an item split between pieces is gathered, an item
 * that lies whole in a piece is read in place.
 *
 *   IDS CLIENT_ID? TAGS?     the header, then the body:
 *
 *   FIELD --> FIXED | ARRAY | STRING (TOPIC) | RECORDS --> BATCH_HEAD BATCH_BODY, again and again
 *     ^         |                                 |
 *     |---------+---------- next field -----------'
 *     `-- end of a struct --> TAGS? --> its next element, or the field after the array
 */
#include "protocol/records.h"

#include <string.h>

#include "protocol/api.h"
#include "protocol/records_private.h"
#include "protocol/schema_tables.h"

enum { REQUEST_IDS_BYTES = 8, RESPONSE_IDS_BYTES = 4 };

static const struct records_events no_events;

/* ---- moving through the structs ---- */

static bool push(struct records_walk *walk, const struct schema *of, uint32_t elements)
{
    if (walk->depth + 1 == RECORDS_DEPTH_MAX) {
        return records_broken(walk);
    }
    walk->depth++;
    *records_level(walk) =
        (struct records_level){.of = of, .field = of->fields, .elements_left = elements};
    walk->state = WALK_FIELD;
    return true;
}

/* After the last byte of a struct: its next element, or back to the field behind the array. */
static void end_struct(struct records_walk *walk)
{
    struct records_level *here = records_level(walk);
    here->elements_left--;
    if (here->elements_left > 0) {
        here->field = here->of->fields;
        walk->state = WALK_FIELD;
        return;
    }
    walk->depth--;
    if (walk->depth == 0) {
        walk->state = walk->left == 0 ? WALK_FINISHED : WALK_BROKEN;
        return;
    }
    records_next_field(walk);
}

static bool begin_body(struct records_walk *walk)
{
    int16_t key = walk->kind == RECORDS_PRODUCE_REQUEST ? API_PRODUCE : API_FETCH;
    const struct schema_message *message = schema_find(key, key == API_PRODUCE);
    return push(walk, &message->of, 1);
}

static void end_tags(struct records_walk *walk)
{
    if (walk->depth == 0) {
        (void)begin_body(walk);
    } else {
        end_struct(walk);
    }
}

/* ---- one step for each state; true = go on ---- */

static bool step_ids(struct records_walk *walk, struct records_piece *in)
{
    bool request = walk->kind == RECORDS_PRODUCE_REQUEST;
    if (records_take(walk, in, request ? REQUEST_IDS_BYTES : RESPONSE_IDS_BYTES) == NULL) {
        return false;
    }
    if (request) {
        walk->state = WALK_CLIENT_ID;
        return true;
    }
    if (walk->flexible) {
        walk->state = WALK_TAG_COUNT;
        return true;
    }
    return begin_body(walk);
}

/* The one string that keeps its int16 length in flexible versions. */
static bool step_client_id(struct records_walk *walk, struct records_piece *in)
{
    const uint8_t *at = records_take(walk, in, 2);
    if (at == NULL) {
        return false;
    }
    int16_t length = (int16_t)bytes_load_u16(at);
    if (length < -1 || (length > 0 && (size_t)length > walk->left)) {
        return records_broken(walk);
    }
    walk->skip = length > 0 ? (size_t)length : 0;
    if (walk->flexible) {
        walk->state = WALK_TAG_COUNT;
        return true;
    }
    return begin_body(walk);
}

static void begin_partition(struct records_walk *walk, int32_t partition)
{
    walk->partition.partition = partition;
    walk->partition.error_code = 0;
    walk->partition.high_watermark = -1;
    walk->partition.last_stable_offset = -1;
    walk->partition.log_start_offset = -1;
}

static void learn(struct records_walk *walk, enum schema_role role, const uint8_t *at)
{
    switch (role) {
    case SCHEMA_ACKS:
        if (walk->events->on_acks != NULL) {
            walk->events->on_acks(walk->context, (int16_t)bytes_load_u16(at));
        }
        return;
    case SCHEMA_TOPIC_ID:
        memcpy(walk->topic_id, at, sizeof walk->topic_id);
        walk->partition.topic_id = walk->topic_id;
        return;
    case SCHEMA_PARTITION:
        begin_partition(walk, (int32_t)bytes_load_u32(at));
        return;
    case SCHEMA_ERROR_CODE:
        walk->partition.error_code = (int16_t)bytes_load_u16(at);
        return;
    case SCHEMA_HIGH_WATERMARK:
        walk->partition.high_watermark = (int64_t)bytes_load_u64(at);
        return;
    case SCHEMA_LAST_STABLE_OFFSET:
        walk->partition.last_stable_offset = (int64_t)bytes_load_u64(at);
        return;
    case SCHEMA_LOG_START_OFFSET:
        walk->partition.log_start_offset = (int64_t)bytes_load_u64(at);
        return;
    default:
        return;
    }
}

static bool step_fixed(struct records_walk *walk, struct records_piece *in)
{
    const struct schema_field *f = records_level(walk)->field;
    const uint8_t *at = records_take(walk, in, schema_type_bytes(f->type));
    if (at == NULL) {
        return false;
    }
    learn(walk, f->role, at);
    records_next_field(walk);
    return true;
}

static bool step_field(struct records_walk *walk, struct records_piece *in)
{
    struct records_level *here = records_level(walk);
    const struct schema_field *f = here->field;
    while (f->name != NULL && (f->tagged || !schema_span_has(f->versions, walk->version))) {
        f++;
    }
    here->field = f;
    if (f->name == NULL) {
        if (walk->flexible) {
            walk->state = WALK_TAG_COUNT;
        } else {
            end_struct(walk);
        }
        return true;
    }
    if (f->array) {
        walk->state = WALK_ARRAY;
        return true;
    }
    if (f->type == SCHEMA_STRUCT) {
        return push(walk, f->of, 1);
    }
    if (f->type == SCHEMA_STRING || f->type == SCHEMA_RECORDS) {
        walk->state = f->type == SCHEMA_STRING ? WALK_STRING : WALK_RECORDS;
        return true;
    }
    walk->state = WALK_FIXED;
    return step_fixed(walk, in);
}

static bool step_array(struct records_walk *walk, struct records_piece *in)
{
    const struct schema_field *f = records_level(walk)->field;
    bool nullable = schema_span_has(f->nullable, walk->version);
    int32_t count;
    if (!records_take_length(walk, in, true, nullable, &count)) {
        return false;
    }
    if (count > 0 && f->type == SCHEMA_STRUCT) {
        return push(walk, f->of, (uint32_t)count);
    }
    size_t bytes = count > 0 ? (size_t)count * schema_type_bytes(f->type) : 0;
    if (bytes > walk->left) {
        return records_broken(walk);
    }
    walk->skip = bytes;
    records_next_field(walk);
    return true;
}

static bool step_string(struct records_walk *walk, struct records_piece *in)
{
    const struct schema_field *f = records_level(walk)->field;
    bool nullable = schema_span_has(f->nullable, walk->version);
    int32_t length;
    if (!records_take_length(walk, in, false, nullable, &length)) {
        return false;
    }
    walk->skip = length > 0 ? (size_t)length : 0;
    if (f->role == SCHEMA_TOPIC) {
        walk->topic_keep = walk->skip;
        if (walk->topic_keep > RECORDS_TOPIC_BYTES_MAX) {
            walk->topic_keep = RECORDS_TOPIC_BYTES_MAX;
        }
        walk->skip -= walk->topic_keep;
        walk->topic_length = 0;
        walk->state = WALK_TOPIC;
        return true;
    }
    records_next_field(walk);
    return true;
}

/* The part of the name that is kept; the rest is skipped after it. */
static bool step_topic(struct records_walk *walk, struct records_piece *in)
{
    size_t missing = walk->topic_keep - walk->topic_length;
    size_t n = in->left < missing ? in->left : missing;
    if (n > 0) {
        memcpy(walk->topic + walk->topic_length, in->at, n);
        walk->topic_length += n;
        records_consume(walk, in, n);
    }
    if (n < missing) {
        return false;
    }
    records_next_field(walk);
    return true;
}

/* Its batches: records_batches.c. */
static bool step_records(struct records_walk *walk, struct records_piece *in)
{
    bool nullable = schema_span_has(records_level(walk)->field->nullable, walk->version);
    int32_t length;
    if (!records_take_length(walk, in, true, nullable, &length)) {
        return false;
    }
    walk->partition.topic = view_of(walk->topic, walk->topic_length);
    walk->partition.records_length = length;
    if (walk->events->on_partition != NULL) {
        walk->events->on_partition(walk->context, &walk->partition);
    }
    walk->records_left = length > 0 ? (size_t)length : 0;
    walk->state = WALK_BATCH_HEAD;
    return true;
}

/* ---- tagged sections ---- */

static bool step_tag_count(struct records_walk *walk, struct records_piece *in)
{
    if (!records_take_uvarint(walk, in, &walk->tags_left)) {
        return false;
    }
    if (walk->tags_left == 0) {
        end_tags(walk);
    } else {
        walk->state = WALK_TAG_NUMBER;
    }
    return true;
}

static bool is_node_endpoints(const struct records_walk *walk, uint32_t tag)
{
    if (walk->depth != 1) {
        return false;
    }
    const struct schema_field *f = walk->levels[1].of->fields;
    for (; f->name != NULL; f++) {
        if (f->role == SCHEMA_NODE_ENDPOINTS && f->tag == tag) {
            return schema_span_has(f->versions, walk->version);
        }
    }
    return false;
}

/*
 * A tag number of more than one byte cannot be changed in place once its first byte is gone, and
 * Kafka never writes such a zero: refused.
 */
static bool step_tag_number(struct records_walk *walk, struct records_piece *in)
{
    bool first = walk->gathered_length == 0;
    uint8_t *at = in->at;
    uint32_t tag;
    if (!records_take_uvarint(walk, in, &tag)) {
        return false;
    }
    walk->state = WALK_TAG_SIZE;
    if (!is_node_endpoints(walk, tag)) {
        return true;
    }
    walk->endpoints++;
    if (walk->neutralise_endpoints) {
        if (!first || in->at != at + 1) {
            return records_broken(walk);
        }
        *at = RECORDS_UNUSED_TAG;
        walk->neutralised++;
    }
    return true;
}

static bool step_tag_size(struct records_walk *walk, struct records_piece *in)
{
    uint32_t size;
    if (!records_take_uvarint(walk, in, &size)) {
        return false;
    }
    if (size > walk->left) {
        return records_broken(walk);
    }
    walk->skip = size;
    walk->tags_left--;
    walk->state = WALK_TAG_NUMBER;
    return true;
}

/* ---- the machine ---- */

/* True when nothing is left to skip. */
static bool skipped(struct records_walk *walk, struct records_piece *in)
{
    size_t n = in->left < walk->skip ? in->left : walk->skip;
    records_consume(walk, in, n);
    walk->skip -= n;
    return walk->skip == 0;
}

static bool step(struct records_walk *walk, struct records_piece *in)
{
    /* The kept part of a topic comes before the part that is skipped. */
    if (walk->state != WALK_TOPIC && walk->skip > 0 && !skipped(walk, in)) {
        return false;
    }
    switch ((enum records_state)walk->state) {
    case WALK_IDS:
        return step_ids(walk, in);
    case WALK_CLIENT_ID:
        return step_client_id(walk, in);
    case WALK_FIELD:
        return step_field(walk, in);
    case WALK_FIXED:
        return step_fixed(walk, in);
    case WALK_ARRAY:
        return step_array(walk, in);
    case WALK_STRING:
        return step_string(walk, in);
    case WALK_TOPIC:
        return step_topic(walk, in);
    case WALK_RECORDS:
        return step_records(walk, in);
    case WALK_BATCH_HEAD:
    case WALK_BATCH_BODY:
        return records_batches(walk, in);
    case WALK_TAG_COUNT:
        return step_tag_count(walk, in);
    case WALK_TAG_NUMBER:
        if (walk->tags_left == 0) {
            end_tags(walk);
            return true;
        }
        return step_tag_number(walk, in);
    case WALK_TAG_SIZE:
        return step_tag_size(walk, in);
    case WALK_FINISHED:
    case WALK_BROKEN:
        return false;
    }
    return false;
}

void records_walk_begin(struct records_walk *walk, enum records_kind kind, int16_t version,
                        size_t payload_length, const struct records_events *events, void *context)
{
    int16_t key = kind == RECORDS_PRODUCE_REQUEST ? API_PRODUCE : API_FETCH;
    const struct schema_message *message = schema_find(key, key == API_PRODUCE);
    memset(walk, 0, sizeof *walk);
    walk->check_crc = true;
    walk->events = events != NULL ? events : &no_events;
    walk->context = context;
    walk->kind = kind;
    walk->version = version;
    walk->flexible = api_is_flexible(key, version);
    walk->left = payload_length;
    walk->state = schema_span_has(message->versions, version) ? WALK_IDS : WALK_BROKEN;
}

enum records_status records_walk_feed(struct records_walk *walk, uint8_t *bytes, size_t n)
{
    /* No pointer arithmetic on a NULL that comes with n = 0. */
    struct records_piece in = {.at = n > 0 ? bytes : walk->gathered, .left = n};
    if (n > walk->left || walk->state == WALK_BROKEN) {
        walk->state = WALK_BROKEN;
        return RECORDS_BAD;
    }
    while (step(walk, &in)) {
    }
    if (walk->state == WALK_BROKEN) {
        return RECORDS_BAD;
    }
    return walk->state == WALK_FINISHED ? RECORDS_DONE : RECORDS_OK;
}
