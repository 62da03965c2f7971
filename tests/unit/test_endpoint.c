/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/endpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"

/*
 * The messages here are written by hand, to be read beside the tables; tests/lint/kafka_schema.py
 * makes thousands more out of Kafka's own definitions.
 */

enum { ROOM = 8192 };

/* What the writers below write: addresses as a broker would, or as a client should see them. */
struct names {
    const char *host[3];
    int32_t port[3];
};

static const struct names brokers = {{"b1.example", "b2.example", "10.0.0.3"}, {9092, 9093, 9094}};
static const struct names proxied = {{"localhost", "localhost", "localhost"},
                                     {19101, 19102, 19103}};

static uint8_t memory[ROOM];
static uint8_t memory_out[ROOM];

/* One response with a header; node ids are 1 to 3. */
typedef void (*write_fn)(struct writer *w, int16_t version, const struct names *names);

static void tags(struct writer *w, bool flexible)
{
    if (flexible) {
        writer_no_tags(w);
    }
}

/* Unknown tags 7 and 300, which must survive. */
static void unknown_tags(struct writer *w, bool flexible)
{
    if (flexible) {
        writer_uvarint(w, 2);
        writer_uvarint(w, 7);
        writer_uvarint(w, 3);
        writer_put(w, view_from_string("abc"));
        writer_uvarint(w, 300);
        writer_uvarint(w, 0);
    }
}

static void broker(struct writer *w, bool flexible, bool rack, const struct names *names,
                   int32_t id)
{
    writer_i32(w, id);
    writer_string(w, flexible, view_from_string(names->host[id - 1]));
    writer_i32(w, names->port[id - 1]);
    if (rack && id == 1) {
        writer_string(w, flexible, view_from_string("rack-a"));
    } else if (rack) {
        writer_null_string(w, flexible);
    }
}

static void metadata(struct writer *w, int16_t v, const struct names *names)
{
    bool flexible = v >= 9;
    if (v >= 3) {
        writer_i32(w, 100);
    }
    writer_array(w, flexible, 3);
    for (int32_t id = 1; id <= 3; id++) {
        broker(w, flexible, v >= 1, names, id);
        unknown_tags(w, flexible);
    }
    if (v >= 2) {
        writer_string(w, flexible, view_from_string("cluster"));
    }
    if (v >= 1) {
        writer_i32(w, 2);
    }
    writer_array(w, flexible, 1);
    writer_i16(w, 0);
    writer_string(w, flexible, view_from_string("topic"));
    if (v >= 10) {
        writer_put(w, view_of("0123456789abcdef", 16));
    }
    if (v >= 1) {
        writer_bool(w, false);
    }
    writer_array(w, flexible, 1);
    writer_i16(w, 0);
    writer_i32(w, 0);
    writer_i32(w, 1);
    if (v >= 7) {
        writer_i32(w, 5);
    }
    for (int list = 0; list < (v >= 5 ? 3 : 2); list++) {
        writer_array(w, flexible, 2);
        writer_i32(w, 1);
        writer_i32(w, 2);
    }
    tags(w, flexible);
    if (v >= 8) {
        writer_i32(w, 0);
    }
    tags(w, flexible);
    if (v >= 8 && v <= 10) {
        writer_i32(w, 0);
    }
    if (v >= 13) {
        writer_i16(w, 0);
    }
    unknown_tags(w, flexible);
}

static void find_coordinator(struct writer *w, int16_t v, const struct names *names)
{
    bool flexible = v >= 3;
    if (v >= 1) {
        writer_i32(w, 0);
    }
    if (v <= 3) {
        writer_i16(w, 0);
        if (v >= 1) {
            writer_null_string(w, flexible);
        }
        broker(w, flexible, false, names, 2);
        tags(w, flexible);
        return;
    }
    writer_array(w, flexible, 3);
    for (int32_t id = 1; id <= 2; id++) {
        writer_string(w, flexible, view_from_string("group"));
        broker(w, flexible, false, names, id);
        writer_i16(w, 0);
        writer_null_string(w, flexible);
        unknown_tags(w, flexible);
    }
    writer_string(w, flexible, view_from_string("lost"));
    writer_i32(w, -1);
    writer_string(w, flexible, view_from_string(""));
    writer_i32(w, -1);
    writer_i16(w, 15);
    writer_string(w, flexible, view_from_string("not there"));
    tags(w, flexible);
    tags(w, flexible);
}

static void describe_cluster(struct writer *w, int16_t v, const struct names *names)
{
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_null_string(w, true);
    if (v >= 1) {
        writer_i8(w, 1);
    }
    writer_string(w, true, view_from_string("cluster"));
    writer_i32(w, 1);
    writer_array(w, true, 2);
    for (int32_t id = 1; id <= 2; id++) {
        broker(w, true, true, names, id);
        if (v >= 2) {
            writer_bool(w, true);
        }
        tags(w, true);
    }
    writer_i32(w, 0);
    unknown_tags(w, true);
}

/* Tagged field 0 with the brokers, and an unknown tag after it. */
static void node_endpoints_tag(struct writer *w, const struct names *names, int32_t count)
{
    uint8_t content[1024];
    struct writer inner;
    writer_init_fixed(&inner, content, sizeof content);
    writer_array(&inner, true, count);
    for (int32_t id = 1; id <= count; id++) {
        broker(&inner, true, true, names, id);
        unknown_tags(&inner, true);
    }
    cr_assert(writer_ok(&inner));
    writer_uvarint(w, 2);
    writer_uvarint(w, 0);
    writer_uvarint(w, (uint32_t)inner.length);
    writer_put(w, writer_view(&inner));
    writer_uvarint(w, 90);
    writer_uvarint(w, 1);
    writer_i8(w, 9);
}

static void produce(struct writer *w, int16_t v, const struct names *names)
{
    writer_array(w, true, 1);
    if (v >= 13) {
        writer_put(w, view_of("0123456789abcdef", 16));
    } else {
        writer_string(w, true, view_from_string("topic"));
    }
    writer_array(w, true, 1);
    writer_i32(w, 0);
    writer_i16(w, 6);
    writer_i64(w, -1);
    writer_i64(w, -1);
    writer_i64(w, 0);
    writer_array(w, true, 1);
    writer_i32(w, 3);
    writer_null_string(w, true);
    tags(w, true);
    writer_null_string(w, true);
    writer_uvarint(w, 1); /* CurrentLeader */
    writer_uvarint(w, 0);
    writer_uvarint(w, 9);
    writer_i32(w, 2);
    writer_i32(w, 7);
    writer_no_tags(w);
    tags(w, true);
    writer_i32(w, 0);
    node_endpoints_tag(w, names, 3);
}

static void fetch(struct writer *w, int16_t v, const struct names *names)
{
    (void)v;
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_i32(w, 77);
    writer_array(w, true, 1);
    writer_put(w, view_of("0123456789abcdef", 16));
    writer_array(w, true, 1);
    writer_i32(w, 4);
    writer_i16(w, 6);
    writer_i64(w, 10);
    writer_i64(w, 10);
    writer_i64(w, 0);
    writer_array(w, true, 1);
    writer_i64(w, 5);
    writer_i64(w, 6);
    tags(w, true);
    writer_i32(w, -1);
    writer_bytes(w, true, view_from_string("these are records, which nobody reads here"));
    tags(w, true);
    tags(w, true);
    node_endpoints_tag(w, names, 2);
}

static void share_acknowledge(struct writer *w, int16_t v, const struct names *names)
{
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_null_string(w, true);
    if (v >= 2) {
        writer_i32(w, 30000);
    }
    writer_array(w, true, 1);
    writer_put(w, view_of("0123456789abcdef", 16));
    writer_array(w, true, 1);
    writer_i32(w, 0);
    writer_i16(w, 6);
    writer_null_string(w, true);
    writer_i32(w, 1);
    writer_i32(w, 5);
    tags(w, true);
    tags(w, true);
    tags(w, true);
    writer_array(w, true, 3);
    for (int32_t id = 1; id <= 3; id++) {
        broker(w, true, true, names, id);
        tags(w, true);
    }
    tags(w, true);
}

static void share_fetch(struct writer *w, int16_t v, const struct names *names)
{
    (void)v;
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_null_string(w, true);
    writer_i32(w, 30000);
    writer_array(w, true, 1);
    writer_put(w, view_of("0123456789abcdef", 16));
    writer_array(w, true, 1);
    writer_i32(w, 0);
    writer_i16(w, 0);
    writer_null_string(w, true);
    writer_i16(w, 0);
    writer_null_string(w, true);
    writer_i32(w, 1);
    writer_i32(w, 5);
    tags(w, true);
    writer_bytes(w, true, view_from_string("records"));
    writer_array(w, true, 1);
    writer_i64(w, 0);
    writer_i64(w, 9);
    writer_i16(w, 1);
    tags(w, true);
    tags(w, true);
    tags(w, true);
    writer_array(w, true, 1);
    broker(w, true, true, names, 1);
    tags(w, true);
    tags(w, true);
}

static const struct {
    int16_t key;
    int16_t version_min;
    int16_t version_max;
    write_fn write;
    size_t addresses; /* at version_max */
} cases[] = {
    {API_METADATA, 0, 13, metadata, 3},
    {API_FIND_COORDINATOR, 0, 6, find_coordinator, 2},
    {API_DESCRIBE_CLUSTER, 0, 2, describe_cluster, 2},
    {API_PRODUCE, 10, 13, produce, 3},
    {API_FETCH, 16, 18, fetch, 2},
    {API_SHARE_FETCH, 1, 2, share_fetch, 1},
    {API_SHARE_ACKNOWLEDGE, 1, 2, share_acknowledge, 3},
};

enum { CASES = sizeof cases / sizeof cases[0] };

/* A whole frame, size included. */
static struct view frame_of(size_t i, int16_t version, const struct names *names, uint8_t *at)
{
    struct writer w;
    writer_init_fixed(&w, at, ROOM);
    size_t frame = frame_response_begin(&w, cases[i].key, version, 1234);
    cases[i].write(&w, version, names);
    frame_end(&w, frame);
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}

static bool map_same(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    (void)from;
    (void)to_r;
    ++*(size_t *)context;
    return true;
}

static bool map_proxied(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    ++*(size_t *)context;
    cr_assert(from->node_id >= 1 && from->node_id <= 3);
    cr_assert(view_is(from->host, brokers.host[from->node_id - 1]));
    cr_assert_eq(from->port, brokers.port[from->node_id - 1]);
    cr_assert(from->rack_null || view_is(from->rack, "rack-a"));
    to_r->host = view_from_string(proxied.host[from->node_id - 1]);
    to_r->port = proxied.port[from->node_id - 1];
    return true;
}

static bool map_refuse(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    (void)context;
    (void)to_r;
    return from->node_id != 1;
}

static enum endpoint_status rewrite(size_t i, int16_t version, struct view payload,
                                    endpoint_map_fn map, struct writer *out)
{
    size_t count = 0;
    return endpoint_rewrite(cases[i].key, version, payload, map, &count, out);
}

/* ---- rewriting ---- */

Test(endpoint, identity_is_byte_exact_in_every_version)
{
    for (size_t i = 0; i < CASES; i++) {
        for (int16_t v = cases[i].version_min; v <= cases[i].version_max; v++) {
            struct view frame = frame_of(i, v, &brokers, memory);
            struct writer out;
            writer_init_growing(&out, ROOM);
            size_t count = 0;
            cr_assert_eq(
                endpoint_rewrite(cases[i].key, v, view_from(frame, 4), map_same, &count, &out),
                ENDPOINT_OK, "%s v%d", api_name(cases[i].key), v);
            cr_assert(view_equal(writer_view(&out), frame), "%s v%d", api_name(cases[i].key), v);
            cr_assert(v < cases[i].version_max || count == cases[i].addresses);
            writer_free(&out);
        }
    }
}

/* T68 */
Test(endpoint, only_hosts_and_ports_change_in_every_version)
{
    for (size_t i = 0; i < CASES; i++) {
        for (int16_t v = cases[i].version_min; v <= cases[i].version_max; v++) {
            struct view frame = frame_of(i, v, &brokers, memory);
            struct view expected = frame_of(i, v, &proxied, memory_out);
            struct writer out;
            writer_init_growing(&out, ROOM);
            cr_assert_eq(rewrite(i, v, view_from(frame, 4), map_proxied, &out), ENDPOINT_OK);
            cr_assert(view_equal(writer_view(&out), expected), "%s v%d", api_name(cases[i].key), v);
            writer_free(&out);
        }
    }
}

Test(endpoint, every_prefix_and_every_longer_frame_is_bad)
{
    for (size_t i = 0; i < CASES; i++) {
        for (int16_t v = cases[i].version_min; v <= cases[i].version_max; v++) {
            struct view payload = view_from(frame_of(i, v, &brokers, memory), 4);
            struct writer out;
            writer_init_fixed(&out, memory_out, ROOM);
            for (size_t n = 0; n < payload.length; n++) {
                writer_reset(&out);
                cr_assert_eq(rewrite(i, v, view_of(payload.at, n), map_same, &out), ENDPOINT_BAD,
                             "%s v%d cut at %zu", api_name(cases[i].key), v, n);
            }
            memory[4 + payload.length] = 0;
            writer_reset(&out);
            cr_assert_eq(rewrite(i, v, view_of(payload.at, payload.length + 1), map_same, &out),
                         ENDPOINT_BAD);
        }
    }
}

Test(endpoint, a_writer_too_small_by_any_amount_is_too_large)
{
    for (size_t i = 0; i < CASES; i++) {
        int16_t v = cases[i].version_max;
        struct view payload = view_from(frame_of(i, v, &brokers, memory), 4);
        for (size_t capacity = 0; capacity < payload.length + 4; capacity++) {
            struct writer out;
            writer_init_fixed(&out, memory_out, capacity);
            cr_assert_eq(rewrite(i, v, payload, map_same, &out), ENDPOINT_TOO_LARGE);
        }
    }
}

/* T68 */
Test(endpoint, a_refused_address_refuses_the_frame)
{
    for (size_t i = 0; i < CASES; i++) {
        int16_t v = cases[i].version_max;
        struct writer out;
        writer_init_fixed(&out, memory_out, ROOM);
        struct view payload = view_from(frame_of(i, v, &brokers, memory), 4);
        cr_assert_eq(rewrite(i, v, payload, map_refuse, &out), ENDPOINT_REFUSED);
    }
}

Test(endpoint, the_frame_goes_behind_what_the_writer_holds)
{
    struct view frame = frame_of(0, 12, &brokers, memory);
    struct writer out;
    writer_init_fixed(&out, memory_out, ROOM);
    writer_put(&out, view_from_string("before"));
    cr_assert_eq(rewrite(0, 12, view_from(frame, 4), map_same, &out), ENDPOINT_OK);
    cr_assert(view_equal(view_from(writer_view(&out), 6), frame));
}

static bool map_long(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    static uint8_t host[256];
    (void)from;
    memset(host, 'h', sizeof host);
    to_r->host = view_of(host, *(size_t *)context);
    return true;
}

/* T68 */
Test(endpoint, long_hosts_move_the_size_of_the_tagged_field)
{
    for (size_t length = 0; length <= 256; length++) {
        struct writer out;
        writer_init_fixed(&out, memory_out, ROOM);
        struct view payload = view_from(frame_of(4, 16, &brokers, memory), 4);
        enum endpoint_status status =
            endpoint_rewrite(API_FETCH, 16, payload, map_long, &length, &out);
        cr_assert_eq(status, length <= 255 ? ENDPOINT_OK : ENDPOINT_TOO_LARGE);
        if (status == ENDPOINT_OK) {
            struct writer again;
            uint8_t copy[ROOM];
            size_t count = 0;
            writer_init_fixed(&again, copy, sizeof copy);
            cr_assert_eq(endpoint_rewrite(API_FETCH, 16, view_from(writer_view(&out), 4), map_same,
                                          &count, &again),
                         ENDPOINT_OK, "what was written can be read, %zu", length);
            cr_assert(view_equal(writer_view(&again), writer_view(&out)));
        }
    }
}

Test(endpoint, controllers_are_forbidden)
{
    struct view payload = view_from(frame_of(2, 1, &brokers, memory), 4);
    /* correlation id, tags, ThrottleTimeMs, ErrorCode, ErrorMessage, then EndpointType */
    memory[4 + 4 + 1 + 4 + 2 + 1] = 2;
    struct writer out;
    writer_init_fixed(&out, memory_out, ROOM);
    cr_assert_eq(rewrite(2, 1, payload, map_same, &out), ENDPOINT_FORBIDDEN);
}

Test(endpoint, what_carries_no_address_is_not_rewritten)
{
    struct writer out;
    size_t count = 0;
    writer_init_fixed(&out, memory_out, ROOM);
    struct view payload = view_of("\0\0\0\1\0\0\0\0", 8);
    cr_assert_eq(endpoint_rewrite(API_PRODUCE, 9, payload, map_same, &count, &out), ENDPOINT_BAD);
    cr_assert_eq(endpoint_rewrite(API_METADATA, 14, payload, map_same, &count, &out), ENDPOINT_BAD);
    cr_assert_eq(endpoint_rewrite(500, 0, payload, map_same, &count, &out), ENDPOINT_BAD);
}

Test(endpoint, a_coordinator_error_is_passed_unmapped_and_a_host_without_node_is_not)
{
    uint8_t bytes[64];
    struct writer w;
    struct writer out;
    writer_init_fixed(&w, bytes, sizeof bytes);
    writer_i32(&w, 1);
    writer_i16(&w, 15);
    writer_i32(&w, -1);
    writer_string(&w, false, view_from_string(""));
    writer_i32(&w, -1);
    writer_init_fixed(&out, memory_out, ROOM);
    size_t count = 0;
    cr_assert_eq(endpoint_rewrite(API_FIND_COORDINATOR, 0, writer_view(&w), map_same, &count, &out),
                 ENDPOINT_OK);
    cr_assert_eq(count, 0);
    cr_assert(view_equal(view_from(writer_view(&out), 4), writer_view(&w)));
    writer_reset(&w);
    writer_i32(&w, 1);
    writer_i16(&w, 15);
    writer_i32(&w, -1);
    writer_string(&w, false, view_from_string("leak.example"));
    writer_i32(&w, 9092);
    writer_reset(&out);
    cr_assert_eq(endpoint_rewrite(API_FIND_COORDINATOR, 0, writer_view(&w), map_same, &count, &out),
                 ENDPOINT_OK);
    cr_assert_eq(count, 1);
}

/* ---- visiting ---- */

static bool remember(void *context, const struct endpoint *endpoint)
{
    char *log = context;
    size_t n = strlen(log);
    snprintf(log + n, 256 - n, "%d=%.*s:%d ", endpoint->node_id, (int)endpoint->host.length,
             (const char *)endpoint->host.at, endpoint->port);
    return endpoint->node_id != 2 || log[0] != 's';
}

Test(endpoint, brokers_can_be_learned_from_metadata)
{
    char log[256] = "";
    struct view payload = view_from(frame_of(0, 7, &brokers, memory), 4);
    cr_assert_eq(endpoint_visit(API_METADATA, 7, payload, remember, log), ENDPOINT_OK);
    cr_assert_str_eq(log, "1=b1.example:9092 2=b2.example:9093 3=10.0.0.3:9094 ");
    strcpy(log, "stop at 2: ");
    cr_assert_eq(endpoint_visit(API_METADATA, 7, payload, remember, log), ENDPOINT_REFUSED);
    cr_assert_eq(endpoint_visit(API_METADATA, 7, view_of(payload.at, 9), remember, log),
                 ENDPOINT_BAD);
}

/* ---- who asks ---- */

static void request_begin(struct writer *w, int16_t key, int16_t version)
{
    writer_init_fixed(w, memory, ROOM);
    (void)frame_request_begin(w, key, version, 1, NULL);
}

/* The payload written so far. */
static struct view request(const struct writer *w)
{
    return view_from(writer_view(w), 4);
}

static void fetch_request(struct writer *w, int16_t v, int32_t replica_id)
{
    bool flexible = v >= 12;
    request_begin(w, API_FETCH, v);
    if (v <= 14) {
        writer_i32(w, replica_id);
    }
    writer_i32(w, 500);
    writer_i32(w, 1);
    if (v >= 3) {
        writer_i32(w, INT32_MAX);
    }
    if (v >= 4) {
        writer_i8(w, 0);
    }
    if (v >= 7) {
        writer_i32(w, 0);
        writer_i32(w, -1);
    }
    writer_array(w, flexible, 1);
    if (v >= 13) {
        writer_put(w, view_of("0123456789abcdef", 16));
    } else {
        writer_string(w, flexible, view_from_string("topic"));
    }
    writer_array(w, flexible, 1);
    writer_i32(w, 0);
    if (v >= 9) {
        writer_i32(w, 3);
    }
    writer_i64(w, 100);
    if (v >= 12) {
        writer_i32(w, -1);
    }
    if (v >= 5) {
        writer_i64(w, -1);
    }
    writer_i32(w, 1 << 20);
    tags(w, flexible);
    tags(w, flexible);
    if (v >= 7) {
        writer_array(w, flexible, 0);
    }
    if (v >= 11) {
        writer_string(w, flexible, view_from_string(""));
    }
    if (v < 15) {
        tags(w, flexible);
    } else if (replica_id == -1) {
        tags(w, true);
    } else {
        writer_uvarint(w, 1);
        writer_uvarint(w, 1);
        writer_uvarint(w, 13);
        writer_i32(w, replica_id);
        writer_i64(w, 77);
        tags(w, true);
    }
}

/* T63 */
Test(endpoint, the_replica_id_of_a_fetch_is_found_in_every_version)
{
    for (int16_t v = 0; v <= 18; v++) {
        for (int32_t id = -1; id <= 5; id += 6) {
            struct writer w;
            int32_t replica_id = 99;
            fetch_request(&w, v, id);
            struct view payload = request(&w);
            cr_assert_eq(request_replica_id(API_FETCH, v, payload, &replica_id), ENDPOINT_OK, "v%d",
                         v);
            cr_assert_eq(replica_id, id, "v%d", v);
            for (size_t n = 0; n < payload.length; n++) {
                cr_assert_eq(request_replica_id(API_FETCH, v, view_of(payload.at, n), &replica_id),
                             ENDPOINT_BAD);
            }
            cr_assert_eq(request_replica_id(API_FETCH, (int16_t)(v + 1), payload, &replica_id),
                         ENDPOINT_BAD, "not the version of the header");
        }
    }
}

/* T63 */
Test(endpoint, a_second_replica_state_cannot_hide_the_first)
{
    struct writer w;
    int32_t replica_id;
    fetch_request(&w, 15, -1);
    w.length--; /* the empty tagged section */
    writer_uvarint(&w, 2);
    for (int i = 0; i < 2; i++) {
        writer_uvarint(&w, 1);
        writer_uvarint(&w, 13);
        writer_i32(&w, i == 0 ? 5 : -1);
        writer_i64(&w, -1);
        writer_no_tags(&w);
    }
    cr_assert_eq(request_replica_id(API_FETCH, 15, request(&w), &replica_id), ENDPOINT_BAD);
}

/* T63 */
Test(endpoint, the_replica_ids_of_list_offsets_and_offset_for_leader_epoch)
{
    struct writer w;
    int32_t replica_id;
    request_begin(&w, API_LIST_OFFSETS, 1);
    writer_i32(&w, 3);
    writer_array(&w, false, 0);
    cr_assert_eq(request_replica_id(API_LIST_OFFSETS, 1, request(&w), &replica_id), ENDPOINT_OK);
    cr_assert_eq(replica_id, 3);
    request_begin(&w, API_OFFSET_FOR_LEADER_EPOCH, 3);
    writer_i32(&w, -2);
    writer_array(&w, false, 0);
    cr_assert_eq(request_replica_id(API_OFFSET_FOR_LEADER_EPOCH, 3, request(&w), &replica_id),
                 ENDPOINT_OK);
    cr_assert_eq(replica_id, -2);
    request_begin(&w, API_OFFSET_FOR_LEADER_EPOCH, 2);
    writer_array(&w, false, 0);
    cr_assert_eq(request_replica_id(API_OFFSET_FOR_LEADER_EPOCH, 2, request(&w), &replica_id),
                 ENDPOINT_OK);
    cr_assert_eq(replica_id, -1);
    cr_assert_eq(request_replica_id(API_METADATA, 1, request(&w), &replica_id), ENDPOINT_BAD);
    cr_assert_eq(request_replica_id(API_PRODUCE, 1, request(&w), &replica_id), ENDPOINT_BAD);
}
