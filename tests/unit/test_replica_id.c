/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: a client, or what poses as a follower. */
#include <criterion/criterion.h>

#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"

enum { ROOM = 8192 };

static uint8_t memory[ROOM];

static void tags(struct writer *w, bool flexible)
{
    if (flexible) {
        writer_no_tags(w);
    }
}

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
Test(replica_id, the_replica_id_of_a_fetch_is_found_in_every_version)
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
Test(replica_id, a_second_replica_state_cannot_hide_the_first)
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
Test(replica_id, the_replica_ids_of_list_offsets_and_offset_for_leader_epoch)
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
