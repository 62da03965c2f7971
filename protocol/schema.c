/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/schema.h"

struct walk {
    struct reader r;
    const uint8_t *body;
    int16_t version;
    bool flexible;
    bool stopped;
    const struct schema_visitor *visitor;
    void *context;
};

static bool walk_struct(struct walk *w, const struct schema *of);

static size_t position(const struct walk *w)
{
    return (size_t)(w->r.at - w->body);
}

/* A visitor's verdict; false ends the walk without calling the input bad. */
static bool go_on(struct walk *w, bool verdict)
{
    w->stopped = !verdict;
    return verdict;
}

size_t schema_type_bytes(enum schema_type type)
{
    static const uint8_t bytes[] = {
        [SCHEMA_BOOL] = 1,  [SCHEMA_INT8] = 1,  [SCHEMA_INT16] = 2, [SCHEMA_UINT16] = 2,
        [SCHEMA_INT32] = 4, [SCHEMA_INT64] = 8, [SCHEMA_UUID] = 16, [SCHEMA_STRUCT] = 0,
    };
    return bytes[type];
}

/* Sign-extended, except for the unsigned types. */
static int64_t number_of(enum schema_type type, const uint8_t *at)
{
    switch (type) {
    case SCHEMA_BOOL:
        return at[0] != 0;
    case SCHEMA_INT8:
        return (int8_t)at[0];
    case SCHEMA_INT16:
        return (int16_t)bytes_load_u16(at);
    case SCHEMA_UINT16:
        return bytes_load_u16(at);
    case SCHEMA_INT32:
        return (int32_t)bytes_load_u32(at);
    case SCHEMA_INT64:
        return (int64_t)bytes_load_u64(at);
    default:
        return 0;
    }
}

static bool read_value(struct walk *w, const struct schema_field *field, struct schema_value *value)
{
    bool nullable = schema_span_has(field->nullable, w->version);
    bool *null_r = nullable ? &value->null : NULL;
    value->start = position(w);
    switch (field->type) {
    case SCHEMA_STRING:
        if (!reader_string(&w->r, w->flexible, &value->text, null_r)) {
            return false;
        }
        break;
    case SCHEMA_BYTES:
    case SCHEMA_RECORDS:
        if (!reader_bytes(&w->r, w->flexible, &value->text, null_r)) {
            return false;
        }
        break;
    default:
        if (!reader_take(&w->r, schema_type_bytes(field->type), &value->text)) {
            return false;
        }
        value->number = number_of(field->type, value->text.at);
        break;
    }
    value->end = position(w);
    return true;
}

static bool walk_value(struct walk *w, const struct schema_field *field)
{
    struct schema_value value = {0};
    if (!read_value(w, field, &value)) {
        return false;
    }
    if (field->role == SCHEMA_NO_ROLE || w->visitor->field == NULL) {
        return true;
    }
    return go_on(w, w->visitor->field(w->context, field, &value));
}

static bool walk_element(struct walk *w, const struct schema_field *field)
{
    if (field->type == SCHEMA_STRUCT) {
        return walk_struct(w, field->of);
    }
    struct schema_value ignored = {0};
    return read_value(w, field, &ignored);
}

static bool walk_array(struct walk *w, const struct schema_field *field)
{
    int32_t count;
    if (!reader_array(&w->r, w->flexible, schema_span_has(field->nullable, w->version), &count)) {
        return false;
    }
    size_t fixed = schema_type_bytes(field->type);
    if (fixed > 0) {
        return count <= 0 || reader_skip(&w->r, (size_t)count * fixed);
    }
    for (int32_t i = 0; i < count; i++) {
        if (!walk_element(w, field)) {
            return false;
        }
    }
    return true;
}

static bool walk_field(struct walk *w, const struct schema_field *field)
{
    if (field->array) {
        return walk_array(w, field);
    }
    if (field->type == SCHEMA_STRUCT) {
        return walk_struct(w, field->of);
    }
    return walk_value(w, field);
}

static const struct schema_field *find_tag(const struct walk *w, const struct schema *of,
                                           uint32_t tag)
{
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        if (f->tagged && f->tag == tag && schema_span_has(f->versions, w->version)) {
            return f;
        }
    }
    return NULL;
}

/*
 * The content of a known tag, which must be exactly `size` bytes: Kafka's reader does not look at
 * the size.
 */
static bool walk_tag(struct walk *w, const struct schema_field *field, size_t size_start,
                     size_t size)
{
    bool told = field->role != SCHEMA_NO_ROLE;
    size_t start = position(w);
    if (told && w->visitor->tag_begin != NULL &&
        !go_on(w, w->visitor->tag_begin(w->context, field, size_start, start))) {
        return false;
    }
    if (!walk_field(w, field) || position(w) != start + size) {
        return false;
    }
    return !told || w->visitor->tag_end == NULL ||
           go_on(w, w->visitor->tag_end(w->context, field, start + size));
}

static bool walk_tags(struct walk *w, const struct schema *of)
{
    uint32_t count;
    int64_t last = -1;
    if (!reader_uvarint(&w->r, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tag;
        uint32_t size;
        if (!reader_uvarint(&w->r, &tag)) {
            return false;
        }
        size_t size_start = position(w);
        if (!reader_uvarint(&w->r, &size) || size > w->r.left || tag <= last) {
            return false;
        }
        last = tag;
        const struct schema_field *field = find_tag(w, of, tag);
        bool ok = field != NULL ? walk_tag(w, field, size_start, size) : reader_skip(&w->r, size);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool walk_struct(struct walk *w, const struct schema *of)
{
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        if (!f->tagged && schema_span_has(f->versions, w->version) && !walk_field(w, f)) {
            return false;
        }
    }
    if (w->flexible && !walk_tags(w, of)) {
        return false;
    }
    if (of->endpoint && w->visitor->struct_end != NULL) {
        return go_on(w, w->visitor->struct_end(w->context));
    }
    return true;
}

enum schema_status schema_walk(const struct schema_message *message, int16_t version, bool flexible,
                               struct view body, const struct schema_visitor *visitor,
                               void *context)
{
    struct walk w = {
        .r = reader_init(body),
        .body = body.at,
        .version = version,
        .flexible = flexible,
        .visitor = visitor,
        .context = context,
    };
    if (!walk_struct(&w, &message->of)) {
        return w.stopped ? SCHEMA_STOPPED : SCHEMA_BAD;
    }
    return w.r.left == 0 ? SCHEMA_OK : SCHEMA_BAD;
}
