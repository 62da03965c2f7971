/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/endpoint_kit.h"

#include <criterion/criterion.h>

#include "protocol/api.h"
#include "protocol/frame.h"

const struct kit_names kit_brokers = {{"b1.example", "b2.example", "10.0.0.3"}, {9092, 9093, 9094}};
const struct kit_names kit_proxied = {{"localhost", "localhost", "localhost"},
                                      {19101, 19102, 19103}};

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

static void broker(struct writer *w, bool flexible, bool rack, const struct kit_names *names,
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

static void metadata(struct writer *w, int16_t v, const struct kit_names *names)
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

static void find_coordinator(struct writer *w, int16_t v, const struct kit_names *names)
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

static void describe_cluster(struct writer *w, int16_t v, const struct kit_names *names)
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

/* Tagged field 0 with the kit_brokers, and an unknown tag after it. */
static void node_endpoints_tag(struct writer *w, const struct kit_names *names, int32_t count)
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

static void produce(struct writer *w, int16_t v, const struct kit_names *names)
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

static void fetch(struct writer *w, int16_t v, const struct kit_names *names)
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

static void share_acknowledge(struct writer *w, int16_t v, const struct kit_names *names)
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

static void share_fetch(struct writer *w, int16_t v, const struct kit_names *names)
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

const struct kit_case kit_cases[KIT_CASES] = {
    {API_METADATA, 0, 13, metadata, 3},
    {API_FIND_COORDINATOR, 0, 6, find_coordinator, 2},
    {API_DESCRIBE_CLUSTER, 0, 2, describe_cluster, 2},
    {API_PRODUCE, 10, 13, produce, 3},
    {API_FETCH, 16, 18, fetch, 2},
    {API_SHARE_FETCH, 1, 2, share_fetch, 1},
    {API_SHARE_ACKNOWLEDGE, 1, 2, share_acknowledge, 3},
};

struct view kit_frame(size_t i, int16_t version, const struct kit_names *names, uint8_t *at)
{
    struct writer w;
    writer_init_fixed(&w, at, KIT_ROOM);
    size_t frame = frame_response_begin(&w, kit_cases[i].key, version, 1234);
    kit_cases[i].write(&w, version, names);
    frame_end(&w, frame);
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}
