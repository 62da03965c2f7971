/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/endpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "tests/unit/endpoint_kit.h"

static uint8_t memory[KIT_ROOM];
static uint8_t memory_out[KIT_ROOM];

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
    cr_assert(view_is(from->host, kit_brokers.host[from->node_id - 1]));
    cr_assert_eq(from->port, kit_brokers.port[from->node_id - 1]);
    cr_assert(from->rack_null || view_is(from->rack, "rack-a"));
    to_r->host = view_from_string(kit_proxied.host[from->node_id - 1]);
    to_r->port = kit_proxied.port[from->node_id - 1];
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
    return endpoint_rewrite(kit_cases[i].key, version, payload, map, &count, out);
}

/* ---- rewriting ---- */

Test(endpoint, identity_is_byte_exact_in_every_version)
{
    for (size_t i = 0; i < KIT_CASES; i++) {
        for (int16_t v = kit_cases[i].version_min; v <= kit_cases[i].version_max; v++) {
            struct view frame = kit_frame(i, v, &kit_brokers, memory);
            struct writer out;
            writer_init_growing(&out, KIT_ROOM);
            size_t count = 0;
            cr_assert_eq(
                endpoint_rewrite(kit_cases[i].key, v, view_from(frame, 4), map_same, &count, &out),
                ENDPOINT_OK, "%s v%d", api_name(kit_cases[i].key), v);
            cr_assert(view_equal(writer_view(&out), frame), "%s v%d", api_name(kit_cases[i].key),
                      v);
            cr_assert(v < kit_cases[i].version_max || count == kit_cases[i].addresses);
            writer_free(&out);
        }
    }
}

/* T68 */
Test(endpoint, only_hosts_and_ports_change_in_every_version)
{
    for (size_t i = 0; i < KIT_CASES; i++) {
        for (int16_t v = kit_cases[i].version_min; v <= kit_cases[i].version_max; v++) {
            struct view frame = kit_frame(i, v, &kit_brokers, memory);
            struct view expected = kit_frame(i, v, &kit_proxied, memory_out);
            struct writer out;
            writer_init_growing(&out, KIT_ROOM);
            cr_assert_eq(rewrite(i, v, view_from(frame, 4), map_proxied, &out), ENDPOINT_OK);
            cr_assert(view_equal(writer_view(&out), expected), "%s v%d", api_name(kit_cases[i].key),
                      v);
            writer_free(&out);
        }
    }
}

Test(endpoint, every_prefix_and_every_longer_frame_is_bad)
{
    for (size_t i = 0; i < KIT_CASES; i++) {
        for (int16_t v = kit_cases[i].version_min; v <= kit_cases[i].version_max; v++) {
            struct view payload = view_from(kit_frame(i, v, &kit_brokers, memory), 4);
            struct writer out;
            writer_init_fixed(&out, memory_out, KIT_ROOM);
            for (size_t n = 0; n < payload.length; n++) {
                writer_reset(&out);
                cr_assert_eq(rewrite(i, v, view_of(payload.at, n), map_same, &out), ENDPOINT_BAD,
                             "%s v%d cut at %zu", api_name(kit_cases[i].key), v, n);
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
    for (size_t i = 0; i < KIT_CASES; i++) {
        int16_t v = kit_cases[i].version_max;
        struct view payload = view_from(kit_frame(i, v, &kit_brokers, memory), 4);
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
    for (size_t i = 0; i < KIT_CASES; i++) {
        int16_t v = kit_cases[i].version_max;
        struct writer out;
        writer_init_fixed(&out, memory_out, KIT_ROOM);
        struct view payload = view_from(kit_frame(i, v, &kit_brokers, memory), 4);
        cr_assert_eq(rewrite(i, v, payload, map_refuse, &out), ENDPOINT_REFUSED);
    }
}

Test(endpoint, the_frame_goes_behind_what_the_writer_holds)
{
    struct view frame = kit_frame(0, 12, &kit_brokers, memory);
    struct writer out;
    writer_init_fixed(&out, memory_out, KIT_ROOM);
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
        writer_init_fixed(&out, memory_out, KIT_ROOM);
        struct view payload = view_from(kit_frame(4, 16, &kit_brokers, memory), 4);
        enum endpoint_status status =
            endpoint_rewrite(API_FETCH, 16, payload, map_long, &length, &out);
        cr_assert_eq(status, length <= 255 ? ENDPOINT_OK : ENDPOINT_TOO_LARGE);
        if (status == ENDPOINT_OK) {
            struct writer again;
            uint8_t copy[KIT_ROOM];
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
    struct view payload = view_from(kit_frame(2, 1, &kit_brokers, memory), 4);
    /* correlation id, tags, ThrottleTimeMs, ErrorCode, ErrorMessage, then EndpointType */
    memory[4 + 4 + 1 + 4 + 2 + 1] = 2;
    struct writer out;
    writer_init_fixed(&out, memory_out, KIT_ROOM);
    cr_assert_eq(rewrite(2, 1, payload, map_same, &out), ENDPOINT_FORBIDDEN);
}

Test(endpoint, what_carries_no_address_is_not_rewritten)
{
    struct writer out;
    size_t count = 0;
    writer_init_fixed(&out, memory_out, KIT_ROOM);
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
    writer_init_fixed(&out, memory_out, KIT_ROOM);
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
    struct view payload = view_from(kit_frame(0, 7, &kit_brokers, memory), 4);
    cr_assert_eq(endpoint_visit(API_METADATA, 7, payload, remember, log), ENDPOINT_OK);
    cr_assert_str_eq(log, "1=b1.example:9092 2=b2.example:9093 3=10.0.0.3:9094 ");
    strcpy(log, "stop at 2: ");
    cr_assert_eq(endpoint_visit(API_METADATA, 7, payload, remember, log), ENDPOINT_REFUSED);
    cr_assert_eq(endpoint_visit(API_METADATA, 7, view_of(payload.at, 9), remember, log),
                 ENDPOINT_BAD);
}
