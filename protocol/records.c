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
#include "protocol/schema_tables.h"

enum state {
    IDS,
    CLIENT_ID,
    FIELD,
    FIXED,
    ARRAY,
    STRING,
    TOPIC,
    RECORDS,
    BATCH_HEAD,
    BATCH_BODY,
    TAG_COUNT,
    TAG_NUMBER,
    TAG_SIZE,
    FINISHED,
    BROKEN
};

enum { REQUEST_IDS_BYTES = 8, RESPONSE_IDS_BYTES = 4, UVARINT_BYTES_MAX = 5 };

/* What is left of the piece being fed. */
struct piece {
    uint8_t *at;
    size_t left;
};

static const struct records_events no_events;

static bool broken(struct records_walk *walk)
{
    walk->state = BROKEN;
    return false;
}

static void consume(struct records_walk *walk, struct piece *in, size_t n)
{
    in->at += n;
    in->left -= n;
    walk->left -= n;
}

/* ---- items: whole in the piece, or gathered; NULL or false = wait for more, or broken ---- */

/* Moves bytes into `gathered` until there are `need`. */
static bool fill(struct records_walk *walk, struct piece *in, size_t need)
{
    size_t missing = need - walk->gathered_length;
    if (missing > walk->left) {
        return broken(walk);
    }
    size_t n = in->left < missing ? in->left : missing;
    memcpy(walk->gathered + walk->gathered_length, in->at, n);
    walk->gathered_length += n;
    consume(walk, in, n);
    return walk->gathered_length == need;
}

static const uint8_t *take(struct records_walk *walk, struct piece *in, size_t need)
{
    if (walk->gathered_length == 0 && in->left >= need) {
        const uint8_t *at = in->at;
        consume(walk, in, need);
        return at;
    }
    if (!fill(walk, in, need)) {
        return NULL;
    }
    walk->gathered_length = 0;
    return walk->gathered;
}

static bool take_uvarint(struct records_walk *walk, struct piece *in, uint32_t *v_r)
{
    /* Nearly every one is a single byte. */
    if (walk->gathered_length == 0 && in->left > 0 && in->at[0] < 0x80) {
        *v_r = in->at[0];
        consume(walk, in, 1);
        return true;
    }
    for (;;) {
        if (walk->gathered_length == UVARINT_BYTES_MAX) {
            return broken(walk);
        }
        if (!fill(walk, in, walk->gathered_length + 1)) {
            return false;
        }
        if ((walk->gathered[walk->gathered_length - 1] & 0x80U) == 0) {
            break;
        }
    }
    struct reader r = reader_init(view_of(walk->gathered, walk->gathered_length));
    walk->gathered_length = 0;
    return reader_uvarint(&r, v_r) || broken(walk);
}

/* A length prefix; -1 = null. A length beyond the payload is broken at once. */
static bool take_length(struct records_walk *walk, struct piece *in, bool wide, bool nullable,
                        int32_t *length_r)
{
    int64_t length;
    if (walk->flexible) {
        uint32_t v;
        if (!take_uvarint(walk, in, &v)) {
            return false;
        }
        length = (int64_t)v - 1;
    } else {
        const uint8_t *at = take(walk, in, wide ? 4 : 2);
        if (at == NULL) {
            return false;
        }
        length = wide ? (int32_t)bytes_load_u32(at) : (int16_t)bytes_load_u16(at);
    }
    if (length < (nullable ? -1 : 0) || length > INT32_MAX ||
        (length > 0 && (size_t)length > walk->left)) {
        return broken(walk);
    }
    *length_r = (int32_t)length;
    return true;
}

/* ---- moving through the structs ---- */

static struct records_level *level(struct records_walk *walk)
{
    return &walk->levels[walk->depth];
}

static void next_field(struct records_walk *walk)
{
    level(walk)->field++;
    walk->state = FIELD;
}

static bool push(struct records_walk *walk, const struct schema *of, uint32_t elements)
{
    if (walk->depth + 1 == RECORDS_DEPTH_MAX) {
        return broken(walk);
    }
    walk->depth++;
    *level(walk) = (struct records_level){.of = of, .field = of->fields, .elements_left = elements};
    walk->state = FIELD;
    return true;
}

/* After the last byte of a struct: its next element, or back to the field behind the array. */
static void end_struct(struct records_walk *walk)
{
    struct records_level *here = level(walk);
    here->elements_left--;
    if (here->elements_left > 0) {
        here->field = here->of->fields;
        walk->state = FIELD;
        return;
    }
    walk->depth--;
    if (walk->depth == 0) {
        walk->state = walk->left == 0 ? FINISHED : BROKEN;
        return;
    }
    next_field(walk);
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

static bool step_ids(struct records_walk *walk, struct piece *in)
{
    bool request = walk->kind == RECORDS_PRODUCE_REQUEST;
    if (take(walk, in, request ? REQUEST_IDS_BYTES : RESPONSE_IDS_BYTES) == NULL) {
        return false;
    }
    if (request) {
        walk->state = CLIENT_ID;
        return true;
    }
    if (walk->flexible) {
        walk->state = TAG_COUNT;
        return true;
    }
    return begin_body(walk);
}

/* The one string that keeps its int16 length in flexible versions. */
static bool step_client_id(struct records_walk *walk, struct piece *in)
{
    const uint8_t *at = take(walk, in, 2);
    if (at == NULL) {
        return false;
    }
    int16_t length = (int16_t)bytes_load_u16(at);
    if (length < -1 || (length > 0 && (size_t)length > walk->left)) {
        return broken(walk);
    }
    walk->skip = length > 0 ? (size_t)length : 0;
    if (walk->flexible) {
        walk->state = TAG_COUNT;
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

static bool step_fixed(struct records_walk *walk, struct piece *in)
{
    const struct schema_field *f = level(walk)->field;
    const uint8_t *at = take(walk, in, schema_type_bytes(f->type));
    if (at == NULL) {
        return false;
    }
    learn(walk, f->role, at);
    next_field(walk);
    return true;
}

static bool step_field(struct records_walk *walk, struct piece *in)
{
    struct records_level *here = level(walk);
    const struct schema_field *f = here->field;
    while (f->name != NULL && (f->tagged || !schema_span_has(f->versions, walk->version))) {
        f++;
    }
    here->field = f;
    if (f->name == NULL) {
        if (walk->flexible) {
            walk->state = TAG_COUNT;
        } else {
            end_struct(walk);
        }
        return true;
    }
    if (f->array) {
        walk->state = ARRAY;
        return true;
    }
    if (f->type == SCHEMA_STRUCT) {
        return push(walk, f->of, 1);
    }
    if (f->type == SCHEMA_STRING || f->type == SCHEMA_RECORDS) {
        walk->state = f->type == SCHEMA_STRING ? STRING : RECORDS;
        return true;
    }
    walk->state = FIXED;
    return step_fixed(walk, in);
}

static bool step_array(struct records_walk *walk, struct piece *in)
{
    const struct schema_field *f = level(walk)->field;
    bool nullable = schema_span_has(f->nullable, walk->version);
    int32_t count;
    if (!take_length(walk, in, true, nullable, &count)) {
        return false;
    }
    if (count > 0 && f->type == SCHEMA_STRUCT) {
        return push(walk, f->of, (uint32_t)count);
    }
    size_t bytes = count > 0 ? (size_t)count * schema_type_bytes(f->type) : 0;
    if (bytes > walk->left) {
        return broken(walk);
    }
    walk->skip = bytes;
    next_field(walk);
    return true;
}

static bool step_string(struct records_walk *walk, struct piece *in)
{
    const struct schema_field *f = level(walk)->field;
    bool nullable = schema_span_has(f->nullable, walk->version);
    int32_t length;
    if (!take_length(walk, in, false, nullable, &length)) {
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
        walk->state = TOPIC;
        return true;
    }
    next_field(walk);
    return true;
}

/* The part of the name that is kept; the rest is skipped after it. */
static bool step_topic(struct records_walk *walk, struct piece *in)
{
    size_t missing = walk->topic_keep - walk->topic_length;
    size_t n = in->left < missing ? in->left : missing;
    if (n > 0) {
        memcpy(walk->topic + walk->topic_length, in->at, n);
        walk->topic_length += n;
        consume(walk, in, n);
    }
    if (n < missing) {
        return false;
    }
    next_field(walk);
    return true;
}

/* ---- record sets ---- */

static bool step_records(struct records_walk *walk, struct piece *in)
{
    bool nullable = schema_span_has(level(walk)->field->nullable, walk->version);
    int32_t length;
    if (!take_length(walk, in, true, nullable, &length)) {
        return false;
    }
    walk->partition.topic = view_of(walk->topic, walk->topic_length);
    walk->partition.records_length = length;
    if (walk->events->on_partition != NULL) {
        walk->events->on_partition(walk->context, &walk->partition);
    }
    walk->records_left = length > 0 ? (size_t)length : 0;
    walk->state = BATCH_HEAD;
    return true;
}

static void end_records(struct records_walk *walk)
{
    walk->skip = walk->records_left;
    walk->records_left = 0;
    walk->gathered_length = 0;
    next_field(walk);
}

static void tell_batch(struct records_walk *walk, enum batch_verdict verdict)
{
    if (walk->events->on_batch != NULL) {
        walk->events->on_batch(walk->context, &walk->head, verdict);
    }
}

/* A length or magic that makes no sense: nothing behind it can be trusted to be a batch. */
static void malformed(struct records_walk *walk, const uint8_t *peek)
{
    walk->head = (struct batch_head){
        .base_offset = (int64_t)bytes_load_u64(peek),
        .length = (int32_t)bytes_load_u32(peek + 8),
        .magic = (int8_t)peek[BATCH_PEEK_BYTES - 1],
        .leader_epoch = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .count = -1,
    };
    tell_batch(walk, BATCH_MALFORMED);
    end_records(walk);
}

/* The head is decoded and `used` bytes of the batch are consumed. */
static void begin_batch(struct records_walk *walk, size_t used)
{
    walk->batch_left = batch_total(&walk->head) - used;
    walk->truncated = walk->batch_left > walk->records_left;
    if (walk->truncated) {
        walk->batch_left = walk->records_left;
    }
    walk->crc = batch_crc_begin(walk->head.magic);
    walk->state = BATCH_BODY;
}

/*
 * A head that lies whole in the piece stays there: the checksum will run over it and what follows
 * in one go.
 */
static bool head_in_place(struct records_walk *walk, struct piece *in)
{
    if (!batch_head_decode(view_of(in->at, BATCH_HEAD_BYTES), &walk->head)) {
        malformed(walk, in->at);
        return true;
    }
    size_t before = batch_crc_start(walk->head.magic);
    consume(walk, in, before);
    walk->records_left -= before;
    begin_batch(walk, before);
    return true;
}

static bool step_batch_head(struct records_walk *walk, struct piece *in)
{
    size_t have = walk->gathered_length;
    if (have == 0 && in->left >= BATCH_HEAD_BYTES && walk->records_left >= BATCH_HEAD_BYTES) {
        return head_in_place(walk, in);
    }
    size_t need = BATCH_PEEK_BYTES;
    if (have >= BATCH_PEEK_BYTES) {
        need = batch_head_bytes((int8_t)walk->gathered[BATCH_PEEK_BYTES - 1]);
    }
    if (need == 0) {
        malformed(walk, walk->gathered);
        return true;
    }
    if (need - have > walk->records_left) {
        end_records(walk);
        return true;
    }
    bool filled = fill(walk, in, need);
    walk->records_left -= walk->gathered_length - have;
    if (!filled || need == BATCH_PEEK_BYTES) {
        return filled;
    }
    if (!batch_head_decode(view_of(walk->gathered, need), &walk->head)) {
        malformed(walk, walk->gathered);
        return true;
    }
    begin_batch(walk, need);
    size_t start = batch_crc_start(walk->head.magic);
    walk->crc = batch_crc_update(walk->head.magic, walk->crc, walk->gathered + start, need - start);
    walk->gathered_length = 0;
    return true;
}

static enum batch_verdict verdict_of(const struct records_walk *walk)
{
    if (walk->truncated) {
        return BATCH_TRUNCATED;
    }
    if (!walk->check_crc) {
        return BATCH_UNCHECKED;
    }
    uint32_t crc = batch_crc_end(walk->head.magic, walk->crc);
    return crc == walk->head.crc ? BATCH_GOOD : BATCH_CRC_WRONG;
}

/* The hot path: a piece inside one batch is one call of the checksum, nothing else looks at it. */
static bool step_batch_body(struct records_walk *walk, struct piece *in)
{
    size_t n = in->left < walk->batch_left ? in->left : walk->batch_left;
    if (n > 0 && walk->check_crc && !walk->truncated) {
        walk->crc = batch_crc_update(walk->head.magic, walk->crc, in->at, n);
    }
    consume(walk, in, n);
    walk->batch_left -= n;
    walk->records_left -= n;
    if (walk->batch_left > 0) {
        return false;
    }
    tell_batch(walk, verdict_of(walk));
    walk->state = BATCH_HEAD;
    return true;
}

/* ---- tagged sections ---- */

static bool step_tag_count(struct records_walk *walk, struct piece *in)
{
    if (!take_uvarint(walk, in, &walk->tags_left)) {
        return false;
    }
    if (walk->tags_left == 0) {
        end_tags(walk);
    } else {
        walk->state = TAG_NUMBER;
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
static bool step_tag_number(struct records_walk *walk, struct piece *in)
{
    bool first = walk->gathered_length == 0;
    uint8_t *at = in->at;
    uint32_t tag;
    if (!take_uvarint(walk, in, &tag)) {
        return false;
    }
    walk->state = TAG_SIZE;
    if (!is_node_endpoints(walk, tag)) {
        return true;
    }
    walk->endpoints++;
    if (walk->neutralise_endpoints) {
        if (!first || in->at != at + 1) {
            return broken(walk);
        }
        *at = RECORDS_UNUSED_TAG;
        walk->neutralised++;
    }
    return true;
}

static bool step_tag_size(struct records_walk *walk, struct piece *in)
{
    uint32_t size;
    if (!take_uvarint(walk, in, &size)) {
        return false;
    }
    if (size > walk->left) {
        return broken(walk);
    }
    walk->skip = size;
    walk->tags_left--;
    walk->state = TAG_NUMBER;
    return true;
}

/* ---- the machine ---- */

/* True when nothing is left to skip. */
static bool skipped(struct records_walk *walk, struct piece *in)
{
    size_t n = in->left < walk->skip ? in->left : walk->skip;
    consume(walk, in, n);
    walk->skip -= n;
    return walk->skip == 0;
}

static bool step(struct records_walk *walk, struct piece *in)
{
    /* The kept part of a topic comes before the part that is skipped. */
    if (walk->state != TOPIC && walk->skip > 0 && !skipped(walk, in)) {
        return false;
    }
    switch ((enum state)walk->state) {
    case IDS:
        return step_ids(walk, in);
    case CLIENT_ID:
        return step_client_id(walk, in);
    case FIELD:
        return step_field(walk, in);
    case FIXED:
        return step_fixed(walk, in);
    case ARRAY:
        return step_array(walk, in);
    case STRING:
        return step_string(walk, in);
    case TOPIC:
        return step_topic(walk, in);
    case RECORDS:
        return step_records(walk, in);
    case BATCH_HEAD:
        if (walk->records_left == 0 && walk->gathered_length == 0) {
            end_records(walk);
            return true;
        }
        return step_batch_head(walk, in);
    case BATCH_BODY:
        return step_batch_body(walk, in);
    case TAG_COUNT:
        return step_tag_count(walk, in);
    case TAG_NUMBER:
        if (walk->tags_left == 0) {
            end_tags(walk);
            return true;
        }
        return step_tag_number(walk, in);
    case TAG_SIZE:
        return step_tag_size(walk, in);
    case FINISHED:
    case BROKEN:
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
    walk->state = schema_span_has(message->versions, version) ? IDS : BROKEN;
}

enum records_status records_walk_feed(struct records_walk *walk, uint8_t *bytes, size_t n)
{
    /* No pointer arithmetic on a NULL that comes with n = 0. */
    struct piece in = {.at = n > 0 ? bytes : walk->gathered, .left = n};
    if (n > walk->left || walk->state == BROKEN) {
        walk->state = BROKEN;
        return RECORDS_BAD;
    }
    while (step(walk, &in)) {
    }
    if (walk->state == BROKEN) {
        return RECORDS_BAD;
    }
    return walk->state == FINISHED ? RECORDS_DONE : RECORDS_OK;
}
