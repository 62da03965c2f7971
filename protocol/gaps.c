/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By hand, not by the tables: what is put in changes counts and lengths around it. Copied lazily, as
 * endpoint.c does: nothing moves until the first gap is filled.
 */
#include "protocol/gaps.h"

#include "protocol/api.h"
#include "protocol/frame.h"

enum {
    ENDPOINT_TYPE_BROKERS = 1,
    METADATA_TELLS_LISTENERS = 6, /* the version that knows error 72 */
    UUID_BYTES = 16,
    VARINT_BYTES_MAX = 5
};

struct fill {
    struct reader r;
    struct view payload;
    size_t copied; /* of the payload; 0: nothing was changed */
    int16_t key, version;
    bool flexible;
    const struct gaps_question *question;
    const struct gaps_filler *filler;
    void *context;
    struct writer *out;
};

bool gaps_in(int16_t key)
{
    return key == API_METADATA || key == API_DESCRIBE_CLUSTER || key == API_FIND_COORDINATOR;
}

static size_t position(const struct fill *f)
{
    return (size_t)(f->r.at - f->payload.at);
}

static void copy_up_to(struct fill *f, size_t end)
{
    writer_put(f->out, view_of(f->payload.at + f->copied, end - f->copied));
    f->copied = end;
}

static bool skip_string(struct fill *f, bool nullable)
{
    struct view ignored;
    bool null;
    return reader_string(&f->r, f->flexible, &ignored, nullable ? &null : NULL);
}

/* Tags that Setu does not know may follow any struct. */
static bool skip_tags(struct fill *f)
{
    return !f->flexible || reader_tags_skip(&f->r);
}

/* ---- brokers ---- */

static bool has_rack(const struct fill *f)
{
    return f->key == API_DESCRIBE_CLUSTER || f->version >= 1;
}

static bool has_fence(const struct fill *f)
{
    return f->key == API_DESCRIBE_CLUSTER && f->version >= 2;
}

static bool read_broker(struct fill *f)
{
    int32_t node_id;
    if (!reader_i32(&f->r, &node_id) || !skip_string(f, false) || !reader_skip(&f->r, 4) ||
        (has_rack(f) && !skip_string(f, true)) || (has_fence(f) && !reader_skip(&f->r, 1)) ||
        !skip_tags(f)) {
        return false;
    }
    if (f->filler->broker != NULL) {
        f->filler->broker(f->context, node_id);
    }
    return true;
}

static void put_broker(const struct fill *f, const struct endpoint *endpoint)
{
    writer_i32(f->out, endpoint->node_id);
    writer_string(f->out, f->flexible, endpoint->host);
    writer_i32(f->out, endpoint->port);
    if (has_rack(f) && endpoint->rack_null) {
        writer_null_string(f->out, f->flexible);
    } else if (has_rack(f)) {
        writer_string(f->out, f->flexible, endpoint->rack);
    }
    if (has_fence(f)) {
        writer_bool(f->out, false);
    }
    if (f->flexible) {
        writer_no_tags(f->out);
    }
}

/* The count stands before the brokers, and is known only behind them. */
static void add_brokers(struct fill *f, size_t count_at, size_t first_at, int32_t count)
{
    struct endpoint endpoint;
    uint8_t memory[VARINT_BYTES_MAX];
    struct writer number;
    if (f->filler->missing == NULL || !f->filler->missing(f->context, &endpoint)) {
        return;
    }
    copy_up_to(f, count_at);
    size_t at = f->out->length;
    f->copied = first_at;
    copy_up_to(f, position(f));
    do {
        put_broker(f, &endpoint);
        count++;
    } while (f->filler->missing(f->context, &endpoint));
    writer_init_fixed(&number, memory, sizeof memory);
    writer_array(&number, f->flexible, count);
    writer_insert(f->out, at, writer_view(&number));
}

static bool fill_brokers(struct fill *f, bool adds)
{
    size_t count_at = position(f);
    int32_t count;
    if (!reader_array(&f->r, f->flexible, false, &count)) {
        return false;
    }
    size_t first_at = position(f);
    for (int32_t i = 0; i < count; i++) {
        if (!read_broker(f)) {
            return false;
        }
    }
    if (adds) {
        add_brokers(f, count_at, first_at, count);
    }
    return true;
}

static bool fill_describe_cluster(struct fill *f)
{
    int8_t type = ENDPOINT_TYPE_BROKERS;
    int16_t error_code;
    if (!reader_skip(&f->r, 4) || !reader_i16(&f->r, &error_code) || !skip_string(f, true) ||
        (f->version >= 1 && !reader_i8(&f->r, &type)) || !skip_string(f, false) ||
        !reader_skip(&f->r, 4)) {
        return false;
    }
    /* To whom the broker tells nothing, nothing is told of others either. */
    bool adds = error_code == 0 && type == ENDPOINT_TYPE_BROKERS;
    return fill_brokers(f, adds) && reader_skip(&f->r, 4) && skip_tags(f);
}

/* ---- leaders ---- */

static bool read_nodes(struct fill *f, struct view *nodes_r)
{
    int32_t count;
    return reader_array(&f->r, f->flexible, false, &count) &&
           reader_take(&f->r, (size_t)count * 4, nodes_r);
}

static bool is_among(struct view nodes, int32_t node_id)
{
    for (size_t at = 0; at < nodes.length; at += 4) {
        if ((int32_t)bytes_load_u32(nodes.at + at) == node_id) {
            return true;
        }
    }
    return false;
}

static bool is_gap(const struct fill *f, const struct gaps_partition *partition)
{
    return partition->leader < 0 && (partition->error_code == GAPS_LISTENER_NOT_FOUND ||
                                     (partition->error_code == GAPS_LEADER_NOT_AVAILABLE &&
                                      f->version < METADATA_TELLS_LISTENERS));
}

static void fill_leader(struct fill *f, const struct gaps_partition *partition, size_t error_at,
                        struct view in_sync)
{
    int32_t leader = f->filler->leader(f->context, partition);
    /* v0 leaves out of this list whom it does not show either. */
    if (leader < 0 || (f->version > 0 && !is_among(in_sync, leader))) {
        return;
    }
    copy_up_to(f, error_at);
    writer_i16(f->out, 0);
    writer_i32(f->out, partition->partition);
    writer_i32(f->out, leader);
    f->copied = error_at + 2 + 4 + 4;
}

static bool fill_partition(struct fill *f, struct view topic)
{
    struct gaps_partition partition = {.topic = topic, .epoch = -1};
    struct view ignored, in_sync;
    size_t error_at = position(f);
    if (!reader_i16(&f->r, &partition.error_code) || !reader_i32(&f->r, &partition.partition) ||
        !reader_i32(&f->r, &partition.leader) ||
        (f->version >= 7 && !reader_i32(&f->r, &partition.epoch)) ||
        !read_nodes(f, &partition.replicas) || !read_nodes(f, &in_sync) ||
        (f->version >= 5 && !read_nodes(f, &ignored)) || !skip_tags(f)) {
        return false;
    }
    if (f->filler->partition != NULL) {
        f->filler->partition(f->context, &partition);
    }
    if (f->filler->leader != NULL && topic.length > 0 && is_gap(f, &partition)) {
        fill_leader(f, &partition, error_at, in_sync);
    }
    return true;
}

static bool fill_topic(struct fill *f)
{
    int16_t error_code;
    struct view name;
    bool null = false;
    int32_t count;
    if (!reader_i16(&f->r, &error_code) ||
        !reader_string(&f->r, f->flexible, &name, f->version >= 12 ? &null : NULL) ||
        (f->version >= 10 && !reader_skip(&f->r, UUID_BYTES)) ||
        (f->version >= 1 && !reader_skip(&f->r, 1)) ||
        !reader_array(&f->r, f->flexible, false, &count)) {
        return false;
    }
    if (f->filler->topic != NULL) {
        f->filler->topic(f->context, name, error_code, count);
    }
    for (int32_t i = 0; i < count; i++) {
        if (!fill_partition(f, name)) {
            return false;
        }
    }
    return (f->version < 8 || reader_skip(&f->r, 4)) && skip_tags(f);
}

static bool fill_metadata(struct fill *f)
{
    int32_t count;
    if ((f->version >= 3 && !reader_skip(&f->r, 4)) || !fill_brokers(f, true) ||
        (f->version >= 2 && !skip_string(f, true)) ||
        (f->version >= 1 && !reader_skip(&f->r, 4)) ||
        !reader_array(&f->r, f->flexible, false, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (!fill_topic(f)) {
            return false;
        }
    }
    return (f->version < 8 || f->version > 10 || reader_skip(&f->r, 4)) &&
           (f->version < 13 || reader_skip(&f->r, 2)) && skip_tags(f);
}

/* ---- coordinators ---- */

static bool asks(struct fill *f, int32_t hash, struct endpoint *endpoint_r)
{
    return f->filler->coordinator != NULL && f->question != NULL && f->question->type >= 0 &&
           f->filler->coordinator(f->context, f->question->type, hash, endpoint_r);
}

static void put_node(const struct fill *f, const struct endpoint *endpoint)
{
    writer_i32(f->out, endpoint->node_id);
    writer_string(f->out, f->flexible, endpoint->host);
    writer_i32(f->out, endpoint->port);
}

static bool fill_coordinator(struct fill *f)
{
    struct endpoint endpoint;
    int16_t error_code;
    if (f->version >= 1 && !reader_skip(&f->r, 4)) {
        return false;
    }
    size_t error_at = position(f);
    if (!reader_i16(&f->r, &error_code) || (f->version >= 1 && !skip_string(f, true)) ||
        !reader_skip(&f->r, 4) || !skip_string(f, false) || !reader_skip(&f->r, 4)) {
        return false;
    }
    if (error_code == GAPS_COORDINATOR_NOT_AVAILABLE && f->question != NULL &&
        asks(f, f->question->hash, &endpoint)) {
        copy_up_to(f, error_at);
        writer_i16(f->out, 0);
        if (f->version >= 1) {
            writer_null_string(f->out, f->flexible);
        }
        put_node(f, &endpoint);
        f->copied = position(f);
    }
    return skip_tags(f);
}

static bool fill_one_of(struct fill *f)
{
    struct endpoint endpoint;
    struct view key;
    int16_t error_code;
    int32_t hash;
    if (!reader_string(&f->r, f->flexible, &key, NULL)) {
        return false;
    }
    size_t node_at = position(f);
    if (!reader_skip(&f->r, 4) || !skip_string(f, false) || !reader_skip(&f->r, 4) ||
        !reader_i16(&f->r, &error_code) || !skip_string(f, true)) {
        return false;
    }
    if (error_code == GAPS_COORDINATOR_NOT_AVAILABLE && gaps_hash(key, &hash) &&
        asks(f, hash, &endpoint)) {
        copy_up_to(f, node_at);
        put_node(f, &endpoint);
        writer_i16(f->out, 0);
        writer_null_string(f->out, f->flexible);
        f->copied = position(f);
    }
    return skip_tags(f);
}

static bool fill_coordinators(struct fill *f)
{
    int32_t count;
    if (f->version < 4) {
        return fill_coordinator(f);
    }
    if (!reader_skip(&f->r, 4) || !reader_array(&f->r, f->flexible, false, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (!fill_one_of(f)) {
            return false;
        }
    }
    return skip_tags(f);
}

/* ---- the surface ---- */

static bool fill_body(struct fill *f)
{
    switch (f->key) {
    case API_METADATA:
        return fill_metadata(f);
    case API_DESCRIBE_CLUSTER:
        return fill_describe_cluster(f);
    case API_FIND_COORDINATOR:
        return fill_coordinators(f);
    default:
        return false;
    }
}

enum endpoint_status gaps_fill(int16_t key, int16_t version, struct view payload,
                               const struct gaps_question *question,
                               const struct gaps_filler *filler, void *context, struct writer *out,
                               bool *changed_r)
{
    int32_t ignored;
    size_t header;
    *changed_r = false;
    if (!gaps_in(key) || !endpoint_in(key, version) ||
        response_header_decode(payload, key, version, &ignored, &header) != FRAME_OK) {
        return ENDPOINT_BAD;
    }
    struct fill f = {
        .r = reader_init(view_from(payload, header)),
        .payload = payload,
        .key = key,
        .version = version,
        .flexible = api_is_flexible(key, version),
        .question = question,
        .filler = filler,
        .context = context,
        .out = out,
    };
    if (!fill_body(&f) || f.r.left > 0) {
        return ENDPOINT_BAD;
    }
    if (f.copied == 0) {
        return ENDPOINT_OK;
    }
    copy_up_to(&f, payload.length);
    *changed_r = true;
    return writer_ok(out) ? ENDPOINT_OK : ENDPOINT_TOO_LARGE;
}

bool gaps_question_read(int16_t version, struct view payload, struct gaps_question *question_r)
{
    struct request_header header;
    struct view key;
    *question_r = (struct gaps_question){.type = -1};
    if (request_header_decode(payload, &header) != FRAME_OK ||
        header.api_key != API_FIND_COORDINATOR || header.api_version != version) {
        return false;
    }
    struct reader r = reader_init(view_from(payload, header.length));
    if (version >= 4) {
        return reader_i8(&r, &question_r->type);
    }
    int8_t type = GAPS_GROUP;
    if (!reader_string(&r, api_is_flexible(API_FIND_COORDINATOR, version), &key, NULL) ||
        (version >= 1 && !reader_i8(&r, &type)) || !gaps_hash(key, &question_r->hash)) {
        return false;
    }
    question_r->type = type;
    return true;
}

/* ---- Java's strings ---- */

/* Takes one character, of 1 to 4 bytes, in its shortest form and no surrogate. */
static bool take_character(struct view *text, uint32_t *character_r)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text->at[0];
    size_t length = first < 0x80             ? 1
                    : (first & 0xe0) == 0xc0 ? 2
                    : (first & 0xf0) == 0xe0 ? 3
                    : (first & 0xf8) == 0xf0 ? 4
                                             : 0;
    if (length == 0 || length > text->length) {
        return false;
    }
    uint32_t character = length == 1 ? first : first & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text->at[i] & 0xc0) != 0x80) {
            return false;
        }
        character = character << 6 | (text->at[i] & 0x3fU);
    }
    *text = view_from(*text, length);
    *character_r = character;
    return character >= least[length] && character <= 0x10ffff &&
           (character < 0xd800 || character > 0xdfff);
}

bool gaps_hash(struct view text, int32_t *hash_r)
{
    uint32_t hash = 0, character;
    while (text.length > 0) {
        if (!take_character(&text, &character)) {
            return false;
        }
        if (character >= 0x10000) { /* two chars of Java's */
            hash = hash * 31 + (0xd800 + ((character - 0x10000) >> 10));
            character = 0xdc00 + ((character - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + character;
    }
    *hash_r = (int32_t)hash;
    return true;
}

int32_t gaps_partition_of(int32_t hash, int32_t partitions)
{
    if (partitions <= 0) {
        return -1;
    }
    return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % partitions;
}
