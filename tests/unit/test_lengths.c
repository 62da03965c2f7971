/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths that lie, in every place where a length stands: each getter of bytes.h against what it must do, each prefix
 * in a body of every message and version that Setu walks, and lengths in record sets that tell another story than the
 * frame.
 * Bodies lie at the end of their memory, so that AddressSanitizer sees one byte too many.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"
#include "protocol/records.h"
#include "protocol/schema_tables.h"

/* 2^n - 1, 2^n and 2^n + 1 of 32 bits, and the caps with their neighbours. */
enum { EDGES_MAX = 128 };

static size_t edges(int64_t values[EDGES_MAX])
{
    static const int64_t caps[] = {
        -1, -2, INT16_MIN, INT32_MIN, INT16_MAX, BYTES_TAGS_MAX, BYTES_TAG_BYTES_MAX};
    size_t count = 0;
    for (unsigned n = 0; n <= 32; n++) {
        for (int64_t by = -1; by <= 1; by++) {
            values[count++] = (INT64_C(1) << n) + by;
        }
    }
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        values[count++] = caps[i];
    }
    cr_assert_lt(count, (size_t)EDGES_MAX);
    return count;
}

/* ---- getters ---- */

enum spelling { STRING_16, BYTES_32, ARRAY_32, STRING_COMPACT, BYTES_COMPACT, ARRAY_COMPACT, TAG };
enum { SPELLINGS = TAG + 1, PREFIX_MAX = 8 };

static bool is_compact(enum spelling spelling)
{
    return spelling >= STRING_COMPACT;
}

/* As its spelling can say it; false: it cannot. */
static bool spell(struct writer *w, enum spelling spelling, int64_t value)
{
    if (spelling == STRING_16) {
        writer_i16(w, (int16_t)value);
        return value >= INT16_MIN && value <= INT16_MAX;
    }
    if (!is_compact(spelling)) {
        writer_i32(w, (int32_t)value);
        return value >= INT32_MIN && value <= INT32_MAX;
    }
    uint64_t said = (uint64_t)value + (spelling == TAG ? 0 : 1);
    writer_uvarint(w, (uint32_t)said);
    return said <= UINT32_MAX;
}

static bool get(struct reader *r, enum spelling spelling, size_t *length_r)
{
    bool compact = is_compact(spelling), ok = false, null;
    struct view v = {NULL, 0};
    uint32_t number;
    int32_t count = 0;
    switch (spelling) {
    case STRING_16:
    case STRING_COMPACT:
        ok = reader_string(r, compact, &v, &null);
        break;
    case BYTES_32:
    case BYTES_COMPACT:
        ok = reader_bytes(r, compact, &v, &null);
        break;
    case ARRAY_32:
    case ARRAY_COMPACT:
        ok = reader_array(r, compact, true, &count);
        *length_r = ok && count > 0 ? (size_t)count : 0;
        return ok;
    case TAG:
        ok = reader_tag(r, &number, &v);
        break;
    }
    *length_r = v.length;
    return ok;
}

static int64_t longest(enum spelling spelling)
{
    return spelling == STRING_16 || spelling == STRING_COMPACT ? INT16_MAX
           : spelling == TAG                                   ? UINT32_MAX
                                                               : INT32_MAX;
}

/* A prefix that says `value` before `there` bytes: what is had is exactly that, or nothing. */
static void check_getter(enum spelling spelling, int64_t value, size_t there)
{
    uint8_t prefix[PREFIX_MAX];
    struct writer w;
    writer_init_fixed(&w, prefix, sizeof prefix);
    if (spelling == TAG) {
        writer_uvarint(&w, 5);
    }
    if (!spell(&w, spelling, value) || (spelling == TAG && value < 0)) {
        return;
    }
    uint8_t *bytes = calloc(1, w.length + there);
    memcpy(bytes, prefix, w.length);
    struct reader r = reader_init(view_of(bytes, w.length + there));
    size_t length = 0;
    bool null = value == -1;
    bool sensible = value >= -1 && value <= longest(spelling);
    bool good = sensible && (null || (uint64_t)value <= there);
    cr_assert_eq(get(&r, spelling, &length), good, "%d: %lld of %zu", spelling, (long long)value,
                 there);
    cr_assert_eq(length, good && !null ? (size_t)value : 0);
    cr_assert_eq(r.malformed, !sensible, "%d: %lld", spelling, (long long)value);
    bool counts = spelling == ARRAY_32 || spelling == ARRAY_COMPACT;
    cr_assert_eq(r.left, good ? there - (counts ? 0 : length) : w.length + there);
    free(bytes);
}

/* T03: each getter at 2^n - 1, 2^n, 2^n + 1 and at each cap, with one byte too few, enough, and one too many */
Test(lengths, t03_every_getter_takes_exactly_what_is_there_or_nothing)
{
    int64_t values[EDGES_MAX];
    size_t count = edges(values);
    for (int spelling = 0; spelling < SPELLINGS; spelling++) {
        for (size_t i = 0; i < count; i++) {
            size_t there = values[i] > 0 && values[i] <= 1 << 17 ? (size_t)values[i] : 9;
            check_getter((enum spelling)spelling, values[i], there - 1);
            check_getter((enum spelling)spelling, values[i], there);
            check_getter((enum spelling)spelling, values[i], there + 1);
        }
    }
}

/* ---- bodies ---- */

enum { SITES_MAX = 256, BODY_MAX = 4096 };

/* A length prefix in a body. */
struct site {
    const char *field;
    enum spelling spelling;
    size_t at, end;
    int64_t value;
    bool nullable;
};

struct body {
    uint8_t bytes[BODY_MAX];
    struct writer w;
    struct site sites[SITES_MAX];
    size_t count;
    int16_t version;
    bool flexible;
};

static void put_struct(struct body *b, const struct schema *of);

static void put_prefix(struct body *b, const struct schema_field *field, enum spelling spelling,
                       int64_t value)
{
    cr_assert_lt(b->count, (size_t)SITES_MAX);
    struct site *site = &b->sites[b->count++];
    enum spelling spelled =
        b->flexible && !is_compact(spelling) ? spelling + STRING_COMPACT : spelling;
    *site = (struct site){.field = field->name,
                          .spelling = spelled,
                          .at = b->w.length,
                          .value = value,
                          .nullable = schema_span_has(field->nullable, b->version)};
    cr_assert(spell(&b->w, spelled, value));
    site->end = b->w.length;
}

static void put_value(struct body *b, const struct schema_field *field)
{
    static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    switch (field->type) {
    case SCHEMA_STRUCT:
        put_struct(b, field->of);
        break;
    case SCHEMA_STRING:
        put_prefix(b, field, STRING_16, 2);
        writer_put(&b->w, view_from_string("ab"));
        break;
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS:
        put_prefix(b, field, BYTES_32, 3);
        writer_put(&b->w, view_from_string("abc"));
        break;
    default:
        writer_put(&b->w, view_of(ones, schema_type_bytes(field->type)));
        break;
    }
}

static void put_field(struct body *b, const struct schema_field *field)
{
    if (field->array) {
        put_prefix(b, field, ARRAY_32, 1);
    }
    put_value(b, field);
}

/* Each tagged field is there; their size is put in when it is known, which is always below 128. */
static void put_tags(struct body *b, const struct schema *of)
{
    uint32_t count = 0;
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        count += f->tagged && schema_span_has(f->versions, b->version) ? 1 : 0;
    }
    writer_uvarint(&b->w, count);
    for (uint32_t tag = 0; tag < 32; tag++) {
        for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
            if (f->tagged && f->tag == tag && schema_span_has(f->versions, b->version)) {
                writer_uvarint(&b->w, tag);
                size_t site = b->count;
                put_prefix(b, f, TAG, 0);
                size_t start = b->w.length;
                put_field(b, f);
                b->sites[site].value = (int64_t)(b->w.length - start);
                cr_assert_lt(b->w.length - start, 128);
                b->bytes[start - 1] = (uint8_t)(b->w.length - start);
            }
        }
    }
}

static void put_struct(struct body *b, const struct schema *of)
{
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        if (!f->tagged && schema_span_has(f->versions, b->version)) {
            put_field(b, f);
        }
    }
    if (b->flexible) {
        put_tags(b, of);
    }
}

static void make_body(struct body *b, const struct schema_message *message, int16_t version)
{
    b->count = 0;
    b->version = version;
    b->flexible = api_is_flexible(message->key, version);
    writer_init_fixed(&b->w, b->bytes, sizeof b->bytes);
    put_struct(b, &message->of);
    cr_assert(writer_ok(&b->w));
}

static bool any_address(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    (void)context;
    *to_r = *from;
    return true;
}

/* The body with other bytes in the place of one prefix, walked and, a response, rewritten: both say the same. */
static enum schema_status walk_with(const struct schema_message *message, const struct body *b,
                                    const struct site *site, struct view prefix)
{
    static const struct schema_visitor nobody;
    struct writer w;
    writer_init_growing(&w, 2 * BODY_MAX);
    frame_response_begin(&w, message->key, b->version, 7);
    size_t start = w.length;
    writer_put(&w, view_of(b->bytes, site->at));
    writer_put(&w, prefix);
    writer_put(&w, view_of(b->bytes + site->end, b->w.length - site->end));
    size_t header = start - FRAME_SIZE_BYTES, length = w.length - FRAME_SIZE_BYTES;
    uint8_t *payload = malloc(length);
    memcpy(payload, w.at + FRAME_SIZE_BYTES, length);
    writer_free(&w);
    enum schema_status status =
        schema_walk(message, b->version, b->flexible, view_of(payload + header, length - header),
                    &nobody, NULL);
    if (!message->request && endpoint_in(message->key, b->version)) {
        writer_init_growing(&w, 2 * BODY_MAX);
        enum endpoint_status rewritten = endpoint_rewrite(
            message->key, b->version, view_of(payload, length), any_address, NULL, &w);
        cr_assert(rewritten == ENDPOINT_FORBIDDEN || rewritten == ENDPOINT_TOO_LARGE ||
                      (rewritten == ENDPOINT_OK) == (status == SCHEMA_OK),
                  "%s v%d %s: %d and %d", message->name, b->version, site->field, status,
                  rewritten);
        writer_free(&w);
    }
    free(payload);
    return status;
}

typedef size_t (*site_fn)(const struct schema_message *message, const struct body *b,
                          const struct site *site);

/* Over every prefix of every message and version. How often something was tried. */
static size_t each_site(site_fn check)
{
    static struct body b;
    size_t tried = 0;
    for (size_t i = 0; i < schema_count(); i++) {
        const struct schema_message *message = schema_at(i);
        for (int16_t v = message->versions.since; v < message->versions.past; v++) {
            make_body(&b, message, v);
            for (size_t site = 0; site < b.count; site++) {
                tried += check(message, &b, &b.sites[site]);
            }
        }
    }
    return tried;
}

static enum schema_status walk_saying(const struct schema_message *message, const struct body *b,
                                      const struct site *site, int64_t value)
{
    uint8_t prefix[PREFIX_MAX];
    struct writer w;
    writer_init_fixed(&w, prefix, sizeof prefix);
    (void)spell(&w, site->spelling, value);
    return walk_with(message, b, site, writer_view(&w));
}

static size_t check_edges(const struct schema_message *message, const struct body *b,
                          const struct site *site)
{
    int64_t values[EDGES_MAX];
    uint8_t scratch[PREFIX_MAX];
    size_t count = edges(values), tried = 0;
    int64_t left = (int64_t)(b->w.length - site->end);
    cr_assert_eq(walk_saying(message, b, site, site->value), SCHEMA_OK, "%s v%d %s", message->name,
                 b->version, site->field);
    for (size_t i = 0; i < count; i++) {
        struct writer w;
        writer_init_fixed(&w, scratch, sizeof scratch);
        if (values[i] == site->value || !spell(&w, site->spelling, values[i])) {
            continue;
        }
        enum schema_status status = walk_saying(message, b, site, values[i]);
        if (values[i] > left || values[i] < -1) {
            cr_assert_eq(status, SCHEMA_BAD, "%s v%d %s: %lld", message->name, b->version,
                         site->field, (long long)values[i]);
        }
        tried++;
    }
    return tried;
}

/* T03: each length of each message at 2^n - 1, 2^n, 2^n + 1 and the caps: refused, or read as what it says */
Test(lengths, t03_no_length_in_a_body_is_believed_beyond_its_end)
{
    size_t tried = each_site(check_edges);
    cr_log_info("%zu lengths tried", tried);
    cr_assert_gt(tried, 50000, "%zu", tried);
}

static size_t check_malformed(const struct schema_message *message, const struct body *b,
                              const struct site *site)
{
    static const struct view overlong[] = {
        {(const uint8_t *)"\x80\x80\x80\x80\x80\x00", 6}, /* six bytes for a zero */
        {(const uint8_t *)"\xff\xff\xff\xff\x1f", 5},     /* 33 bits */
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    int64_t left = (int64_t)(b->w.length - site->end);
    size_t tried = 1;
    cr_assert_eq(walk_saying(message, b, site, left + 1), SCHEMA_BAD, "%s v%d %s", message->name,
                 b->version, site->field);
    if (!site->nullable && site->spelling != TAG) {
        cr_assert_eq(walk_saying(message, b, site, -1), SCHEMA_BAD, "%s v%d %s null", message->name,
                     b->version, site->field);
        tried++;
    }
    size_t count = is_compact(site->spelling) ? sizeof overlong / sizeof overlong[0] : 0;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(walk_with(message, b, site, overlong[i]), SCHEMA_BAD, "%s v%d %s overlong %zu",
                     message->name, b->version, site->field, i);
        tried++;
    }
    return tried;
}

/* T06: overlong varints, one more than the bytes that remain, and null where null may not be, in each place */
Test(lengths, t06_overlong_varints_counts_beyond_the_end_and_wrong_nulls_are_refused)
{
    size_t tried = each_site(check_malformed);
    cr_log_info("%zu malformed prefixes tried", tried);
    cr_assert_gt(tried, 2000, "%zu", tried);
}

/* ---- sums that would wrap ---- */

struct told {
    int32_t partitions[4];
    size_t count;
};

static void on_partition(void *context, const struct records_partition *p)
{
    struct told *told = context;
    cr_assert_lt(told->count, 4);
    told->partitions[told->count++] = p->partition;
}

/* Produce v3 with one batch for each of two partitions; where the first record set and its batch's length stand. */
static size_t two_partitions(struct writer *w, size_t *set_at, size_t *length_at)
{
    size_t frame = frame_request_begin(w, API_PRODUCE, 3, 1, NULL);
    writer_null_string(w, false);
    writer_i16(w, -1);
    writer_i32(w, 1000);
    writer_array(w, false, 1);
    writer_string(w, false, view_from_string("t"));
    writer_array(w, false, 2);
    for (int32_t partition = 0; partition < 2; partition++) {
        writer_i32(w, partition);
        size_t set = w->length;
        writer_i32(w, 0);
        struct batch_head head = {.count = 1, .producer_id = -1};
        batch_encode(w, &head, view_from_string("record"));
        writer_patch_i32(w, set, (int32_t)(w->length - set - 4));
        if (partition == 0) {
            *set_at = set;
            *length_at = set + 4 + 8;
        }
    }
    frame_end(w, frame);
    return FRAME_SIZE_BYTES;
}

static enum records_status walk_patched(size_t at, int32_t value, size_t piece, struct told *told)
{
    static const struct records_events events = {.on_partition = on_partition};
    uint8_t memory[512];
    struct writer w;
    size_t set_at, length_at;
    writer_init_fixed(&w, memory, sizeof memory);
    size_t start = two_partitions(&w, &set_at, &length_at);
    writer_patch_i32(&w, at == 0 ? set_at : length_at, value);
    size_t length = w.length - start;
    uint8_t *payload = malloc(length);
    memcpy(payload, w.at + start, length);
    struct records_walk walk;
    told->count = 0;
    records_walk_begin(&walk, RECORDS_PRODUCE_REQUEST, 3, length, &events, told);
    enum records_status status = RECORDS_OK;
    for (size_t i = 0; i < length && status == RECORDS_OK; i += piece) {
        status = records_walk_feed(&walk, payload + i, length - i < piece ? length - i : piece);
    }
    free(payload);
    return status;
}

/* T03: a batch's length plus what stands before it, a record set's length plus what was read: sums that would wrap */
Test(lengths, t03_lengths_of_record_sets_and_batches_do_not_wrap)
{
    int64_t values[EDGES_MAX];
    size_t count = edges(values), tried = 0;
    for (int32_t n = 0; n < 16; n++) {
        values[count++] = INT32_MAX - n;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i] < INT32_MIN || values[i] > INT32_MAX) {
            continue;
        }
        for (size_t piece = 1; piece <= 512; piece *= 8) {
            struct told told;
            /* A batch may claim what it likes: where the next partition begins, the record set says. */
            cr_assert_eq(walk_patched(1, (int32_t)values[i], piece, &told), RECORDS_DONE, "%lld",
                         (long long)values[i]);
            cr_assert(told.count == 2 && told.partitions[0] == 0 && told.partitions[1] == 1);
            /* A record set that claims more than there is ends the walk. */
            enum records_status status = walk_patched(0, (int32_t)values[i], piece, &told);
            cr_assert(values[i] <= 512 || status == RECORDS_BAD, "%lld: %d", (long long)values[i],
                      status);
            cr_assert(status == RECORDS_DONE || told.count <= 2);
            tried += 2;
        }
    }
    cr_log_info("%zu record sets tried", tried);
}

/* T03: the size of a frame at its cap, one below, one above, and where size + 4 would wrap */
Test(lengths, t03_a_frame_of_its_cap_is_collected_and_one_more_byte_is_not)
{
    static const size_t caps[] = {1, 255, 256, 65535, 65536};
    int64_t values[EDGES_MAX];
    size_t count = edges(values);
    for (size_t c = 0; c < sizeof caps / sizeof caps[0]; c++) {
        int64_t near[] = {(int64_t)caps[c] - 1, (int64_t)caps[c], (int64_t)caps[c] + 1};
        for (size_t i = 0; i < count + 3; i++) {
            int64_t value = i < count ? values[i] : near[i - count];
            uint8_t size[FRAME_SIZE_BYTES];
            struct frame_collector collector;
            size_t used;
            bytes_store_u32(size, (uint32_t)value);
            frame_collector_init(&collector, caps[c]);
            enum frame_status status =
                frame_collector_feed(&collector, view_of(size, sizeof size), &used);
            uint32_t said = (uint32_t)value;
            cr_assert_eq(status == FRAME_BAD, said > caps[c], "%u of %zu", said, caps[c]);
            cr_assert_leq(collector.capacity, (size_t)256);
            frame_collector_free(&collector);
        }
    }
}
