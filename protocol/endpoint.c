/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rewriter copies lazily. `copied` is how far the input has reached the output; nothing moves
 * until an address is complete (its struct has ended), and then everything up to its host goes over
 * as it is:
 *
 *   input   ======== NodeId Host Port Rack ====== NodeId Host Port ...
 *           copied ^       |    |
 *                          new  new          then copied is behind Port
 */
#include "protocol/endpoint.h"

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/schema_tables.h"

enum { HOST_BYTES_MAX = 255, ENDPOINT_TYPE_BROKERS = 1 };

bool endpoint_in(int16_t key, int16_t version)
{
    const struct api *api = api_find(key);
    if (api == NULL || version < api->version_min || version > api->version_max) {
        return false;
    }
    switch (key) {
    case API_METADATA:
    case API_FIND_COORDINATOR:
    case API_DESCRIBE_CLUSTER:
    case API_SHARE_FETCH:
    case API_SHARE_ACKNOWLEDGE:
        return true;
    case API_PRODUCE:
        return version >= 10; /* KIP-951 */
    case API_FETCH:
        return version >= 16;
    default:
        return false;
    }
}

/* ---- one address at a time ---- */

/* Gathers the fields of one address; struct_end looks at it and empties it. */
struct gather {
    struct endpoint endpoint;
    struct schema_value host;
    struct schema_value port;
    bool seen;                   /* a host was met since the last struct end */
    enum endpoint_status status; /* why a visitor stopped */
};

static void gather_reset(struct gather *g)
{
    g->endpoint = (struct endpoint){.node_id = -1, .port = -1, .rack_null = true};
    g->seen = false;
}

static bool gather_field(struct gather *g, const struct schema_field *field,
                         const struct schema_value *value)
{
    switch (field->role) {
    case SCHEMA_NODE_ID:
        g->endpoint.node_id = (int32_t)value->number;
        return true;
    case SCHEMA_HOST:
        g->endpoint.host = value->text;
        g->host = *value;
        g->seen = true;
        return true;
    case SCHEMA_PORT:
        g->endpoint.port = (int32_t)value->number;
        g->port = *value;
        return true;
    case SCHEMA_RACK:
        g->endpoint.rack = value->text;
        g->endpoint.rack_null = value->null;
        return true;
    case SCHEMA_ENDPOINT_TYPE:
        g->status = ENDPOINT_FORBIDDEN;
        return value->number == ENDPOINT_TYPE_BROKERS;
    default:
        return true;
    }
}

/* An error entry of FindCoordinator names no node and no host. */
static bool names_a_broker(const struct gather *g)
{
    return g->seen && (g->endpoint.node_id >= 0 || g->endpoint.host.length > 0);
}

/* Steps over the header and walks the body. */
static enum endpoint_status walk(int16_t key, int16_t version, struct view payload, size_t header,
                                 const struct schema_visitor *visitor, struct gather *g,
                                 void *context)
{
    gather_reset(g);
    switch (schema_walk(schema_find(key, false), version, api_is_flexible(key, version),
                        view_from(payload, header), visitor, context)) {
    case SCHEMA_OK:
        return ENDPOINT_OK;
    case SCHEMA_STOPPED:
        return g->status;
    case SCHEMA_BAD:
        break;
    }
    return ENDPOINT_BAD;
}

static bool response_header(int16_t key, int16_t version, struct view payload, size_t *length_r)
{
    int32_t ignored;
    return endpoint_in(key, version) &&
           response_header_decode(payload, key, version, &ignored, length_r) == FRAME_OK;
}

/* ---- rewriting ---- */

struct rewrite {
    struct gather gather;
    endpoint_map_fn map;
    void *context;
    struct writer *out;
    struct view body;
    size_t copied;    /* of the body */
    size_t tag_start; /* in the writer: where the tagged field being rewritten begins */
    bool flexible;
};

static void copy_up_to(struct rewrite *rw, size_t end)
{
    writer_put(rw->out, view_of(rw->body.at + rw->copied, end - rw->copied));
    rw->copied = end;
}

static bool stop(struct rewrite *rw, enum endpoint_status status)
{
    rw->gather.status = status;
    return false;
}

static bool rewrite_field(void *context, const struct schema_field *field,
                          const struct schema_value *value)
{
    struct rewrite *rw = context;
    return gather_field(&rw->gather, field, value);
}

static bool rewrite_struct_end(void *context)
{
    struct rewrite *rw = context;
    struct gather *g = &rw->gather;
    if (names_a_broker(g)) {
        struct endpoint to = g->endpoint;
        if (!rw->map(rw->context, &g->endpoint, &to)) {
            return stop(rw, ENDPOINT_REFUSED);
        }
        if (to.host.length > HOST_BYTES_MAX) {
            return stop(rw, ENDPOINT_TOO_LARGE);
        }
        copy_up_to(rw, g->host.start);
        writer_string(rw->out, rw->flexible, to.host);
        rw->copied = g->host.end;
        copy_up_to(rw, g->port.start);
        writer_i32(rw->out, to.port);
        rw->copied = g->port.end;
    }
    gather_reset(g);
    return true;
}

/*
 * The size of a tagged field is known only when its content is written: left out here, put in at
 * the end.
 */
static bool rewrite_tag_begin(void *context, const struct schema_field *field, size_t start,
                              size_t end)
{
    struct rewrite *rw = context;
    (void)field;
    copy_up_to(rw, start);
    rw->copied = end;
    rw->tag_start = rw->out->length;
    return true;
}

static bool rewrite_tag_end(void *context, const struct schema_field *field, size_t end)
{
    struct rewrite *rw = context;
    (void)field;
    copy_up_to(rw, end);
    uint8_t memory[5];
    struct writer size;
    writer_init_fixed(&size, memory, sizeof memory);
    writer_uvarint(&size, (uint32_t)(rw->out->length - rw->tag_start));
    writer_insert(rw->out, rw->tag_start, writer_view(&size));
    return true;
}

static const struct schema_visitor rewriting = {
    .field = rewrite_field,
    .struct_end = rewrite_struct_end,
    .tag_begin = rewrite_tag_begin,
    .tag_end = rewrite_tag_end,
};

enum endpoint_status endpoint_rewrite(int16_t key, int16_t version, struct view payload,
                                      endpoint_map_fn map, void *context, struct writer *out)
{
    size_t header;
    if (!response_header(key, version, payload, &header)) {
        return ENDPOINT_BAD;
    }
    size_t frame = out->length;
    writer_i32(out, 0);
    writer_put(out, view_of(payload.at, header));
    struct rewrite rw = {
        .map = map,
        .context = context,
        .out = out,
        .body = view_from(payload, header),
        .flexible = api_is_flexible(key, version),
    };
    enum endpoint_status status = walk(key, version, payload, header, &rewriting, &rw.gather, &rw);
    if (status != ENDPOINT_OK) {
        return status;
    }
    copy_up_to(&rw, rw.body.length);
    frame_end(out, frame);
    return writer_ok(out) ? ENDPOINT_OK : ENDPOINT_TOO_LARGE;
}

/* ---- visiting ---- */

struct visit {
    struct gather gather;
    endpoint_visit_fn visit;
    void *context;
};

static bool visit_field(void *context, const struct schema_field *field,
                        const struct schema_value *value)
{
    struct visit *v = context;
    return gather_field(&v->gather, field, value);
}

static bool visit_struct_end(void *context)
{
    struct visit *v = context;
    v->gather.status = ENDPOINT_REFUSED;
    if (names_a_broker(&v->gather) && !v->visit(v->context, &v->gather.endpoint)) {
        return false;
    }
    gather_reset(&v->gather);
    return true;
}

static const struct schema_visitor visiting = {
    .field = visit_field,
    .struct_end = visit_struct_end,
};

enum endpoint_status endpoint_visit(int16_t key, int16_t version, struct view payload,
                                    endpoint_visit_fn visit, void *context)
{
    size_t header;
    if (!response_header(key, version, payload, &header)) {
        return ENDPOINT_BAD;
    }
    struct visit v = {.visit = visit, .context = context};
    return walk(key, version, payload, header, &visiting, &v.gather, &v);
}

/* ---- who asks ---- */

static bool replica_field(void *context, const struct schema_field *field,
                          const struct schema_value *value)
{
    int32_t *replica_id = context;
    if (field->role == SCHEMA_REPLICA_ID) {
        *replica_id = (int32_t)value->number;
    }
    return true;
}

static const struct schema_visitor replicas = {.field = replica_field};

enum endpoint_status request_replica_id(int16_t key, int16_t version, struct view payload,
                                        int32_t *replica_id_r)
{
    struct request_header header;
    const struct schema_message *message = schema_find(key, true);
    if (message == NULL || key == API_PRODUCE || !schema_span_has(message->versions, version) ||
        request_header_decode(payload, &header) != FRAME_OK || header.api_key != key ||
        header.api_version != version) {
        return ENDPOINT_BAD;
    }
    int32_t replica_id = -1;
    if (schema_walk(message, version, api_is_flexible(key, version),
                    view_from(payload, header.length), &replicas, &replica_id) != SCHEMA_OK) {
        return ENDPOINT_BAD;
    }
    *replica_id_r = replica_id;
    return ENDPOINT_OK;
}
