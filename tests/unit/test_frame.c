/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/frame.h"

#include <criterion/criterion.h>
#include <string.h>

#include "protocol/api.h"

static uint8_t memory[4096];
static struct writer w;

/* A request frame with three tags in its header, as a future client might send. */
static struct view flexible_request(void)
{
    writer_init_fixed(&w, memory, sizeof memory);
    writer_i32(&w, 0);
    writer_i16(&w, API_METADATA);
    writer_i16(&w, 12);
    writer_i32(&w, 0x01020304);
    writer_string(&w, false, view_from_string("client"));
    writer_uvarint(&w, 3);
    for (uint32_t tag = 0; tag < 3; tag++) {
        writer_uvarint(&w, tag * 100);
        writer_uvarint(&w, tag);
        writer_put(&w, view_of("xyz", tag));
    }
    writer_put(&w, view_from_string("body"));
    frame_end(&w, 0);
    cr_assert(writer_ok(&w));
    return writer_view(&w);
}

Test(frame, request_head)
{
    struct view frame = flexible_request();
    struct frame_head head;
    cr_assert_eq(frame_request_head(frame, &head), FRAME_OK);
    cr_assert_eq(head.length, (int32_t)frame.length - 4);
    cr_assert(head.api_key == API_METADATA && head.api_version == 12);
    cr_assert_eq(head.correlation_id, 0x01020304);
    for (size_t n = 0; n < FRAME_HEAD_BYTES; n++) {
        cr_assert_eq(frame_request_head(view_of(frame.at, n), &head), FRAME_MORE, "%zu", n);
    }
    cr_assert_eq(frame_request_head(view_of(frame.at, FRAME_HEAD_BYTES), &head), FRAME_OK);
}

Test(frame, request_head_refuses_what_cannot_be_a_request)
{
    struct frame_head head;
    cr_assert_eq(frame_request_head(view_of("\0\0\0\7", 4), &head), FRAME_BAD);
    cr_assert_eq(frame_request_head(view_of("\xff\xff\xff\xff", 4), &head), FRAME_BAD);
    cr_assert_eq(frame_request_head(view_of("\0\0\0\10\0\3\xff\xff", 8), &head), FRAME_BAD);
    cr_assert_eq(frame_request_head(view_of("GET / HTTP/1", 12), &head), FRAME_OK,
                 "text is a very long frame of an odd key; the caller judges both");
    cr_assert_eq(head.length, 0x47455420);
}

Test(frame, response_head)
{
    int32_t length;
    int32_t id;
    cr_assert_eq(frame_response_head(view_of("\0\0\0\4\0\0\0\7", 8), &length, &id), FRAME_OK);
    cr_assert(length == 4 && id == 7);
    cr_assert_eq(frame_response_head(view_of("\0\0\0\4\0\0\0\7", 7), &length, &id), FRAME_MORE);
    cr_assert_eq(frame_response_head(view_of("\0\0\0\3", 4), &length, &id), FRAME_BAD);
    cr_assert_eq(frame_response_head(view_of("\x15\x03\x03\0", 4), &length, &id), FRAME_MORE);
}

Test(frame, request_header_with_tags)
{
    struct view payload = view_from(flexible_request(), 4);
    struct request_header h;
    cr_assert_eq(request_header_decode(payload, &h), FRAME_OK);
    cr_assert(h.api_key == API_METADATA && h.api_version == 12);
    cr_assert(view_is(h.client_id, "client") && !h.client_id_null);
    cr_assert(view_is(view_from(payload, h.length), "body"));
    for (size_t n = 0; n < h.length; n++) {
        struct request_header ignored;
        cr_assert_eq(request_header_decode(view_of(payload.at, n), &ignored), FRAME_MORE, "%zu", n);
    }
}

Test(frame, request_headers_written_are_read_in_every_version)
{
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        for (int16_t v = 0; v <= api->version_max; v++) {
            struct view id = view_from_string("me");
            writer_init_fixed(&w, memory, sizeof memory);
            size_t at = frame_request_begin(&w, api->key, v, 77, v % 2 == 0 ? &id : NULL);
            writer_put(&w, view_from_string("B"));
            frame_end(&w, at);
            struct frame_head head;
            struct request_header h;
            cr_assert(writer_ok(&w));
            cr_assert_eq(frame_request_head(writer_view(&w), &head), FRAME_OK);
            cr_assert_eq((size_t)head.length, w.length - 4);
            cr_assert_eq(request_header_decode(view_from(writer_view(&w), 4), &h), FRAME_OK);
            cr_assert_eq(h.length + 1, w.length - 4, "%s v%d", api->name, v);
            cr_assert(h.correlation_id == 77 && h.api_version == v);
            bool no_id = v % 2 != 0 || (api->key == API_CONTROLLED_SHUTDOWN && v == 0);
            cr_assert_eq(h.client_id_null, no_id);
        }
    }
}

Test(frame, response_headers_written_are_read_in_every_version)
{
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        for (int16_t v = 0; v <= api->version_max; v++) {
            writer_init_fixed(&w, memory, sizeof memory);
            size_t at = frame_response_begin(&w, api->key, v, -5);
            writer_put(&w, view_from_string("B"));
            frame_end(&w, at);
            int32_t id;
            size_t length;
            struct view payload = view_from(writer_view(&w), 4);
            cr_assert_eq(response_header_decode(payload, api->key, v, &id, &length), FRAME_OK);
            cr_assert(id == -5 && length + 1 == payload.length);
            cr_assert_eq(
                response_header_decode(view_of(payload.at, length - 1), api->key, v, &id, &length),
                FRAME_MORE);
        }
    }
}

Test(frame, headers_that_make_no_sense_are_bad)
{
    struct request_header h;
    int32_t id;
    size_t length;
    cr_assert_eq(request_header_decode(view_of("\0\x5f\0\0", 4), &h), FRAME_BAD, "unknown key");
    cr_assert_eq(request_header_decode(view_of("\0\3\xff\xff", 4), &h), FRAME_BAD);
    cr_assert_eq(request_header_decode(view_of("\0\3\0\0\0\0\0\1\xff\xfe", 10), &h), FRAME_BAD,
                 "client id length -2");
    cr_assert_eq(request_header_decode(view_of("\0\3\0\x0c\0\0\0\1\xff\xff\x41", 11), &h),
                 FRAME_BAD, "65 tags");
    cr_assert_eq(response_header_decode(view_of("\0\0\0\1\x41", 5), 3, 12, &id, &length),
                 FRAME_BAD);
    cr_assert_eq(response_header_decode(view_of("\0\0\0\1", 4), 95, 0, &id, &length), FRAME_BAD);
}

Test(frame, an_unknown_key_fails_the_writer)
{
    writer_init_fixed(&w, memory, sizeof memory);
    frame_end(&w, frame_request_begin(&w, 95, 0, 1, NULL));
    cr_assert(!writer_ok(&w));
    writer_reset(&w);
    frame_end(&w, frame_response_begin(&w, -1, 0, 1));
    cr_assert(!writer_ok(&w));
}

Test(frame, frames_follow_each_other_in_one_writer)
{
    writer_init_fixed(&w, memory, sizeof memory);
    frame_token(&w, view_from_string("tok"));
    frame_end(&w, frame_response_begin(&w, API_SASL_HANDSHAKE, 1, 9));
    cr_assert(view_equal(writer_view(&w), view_of("\0\0\0\3tok\0\0\0\4\0\0\0\11", 15)));
}

Test(frame, the_collector_takes_a_stream_in_pieces_of_any_size)
{
    static const char stream[] = "\0\0\0\5hello\0\0\0\0\0\0\0\2ok";
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        struct frame_collector c;
        frame_collector_init(&c, 16);
        struct view in = view_of(stream, sizeof stream - 1);
        static const char *const expected[] = {"hello", "", "ok"};
        size_t frames = 0;
        while (in.length > 0) {
            size_t used;
            struct view part = view_of(in.at, in.length < piece ? in.length : piece);
            enum frame_status status = frame_collector_feed(&c, part, &used);
            cr_assert(status != FRAME_BAD && (used > 0 || status == FRAME_OK));
            in = view_from(in, used);
            if (status == FRAME_OK) {
                cr_assert(frames < 3);
                cr_assert(view_is(frame_collector_payload(&c), expected[frames++]));
                frame_collector_next(&c);
            }
        }
        cr_assert_eq(frames, 3);
        frame_collector_free(&c);
    }
}

/* T08 */
Test(frame, the_collector_reserves_for_bytes_received_not_for_bytes_promised)
{
    struct frame_collector c;
    frame_collector_init(&c, 512 * 1024);
    size_t used;
    cr_assert_eq(frame_collector_feed(&c, view_of("\0\7\xff\xff", 4), &used), FRAME_MORE);
    cr_assert_eq(c.capacity, 0);
    cr_assert_eq(frame_collector_feed(&c, view_of("0123456789", 10), &used), FRAME_MORE);
    cr_assert_leq(c.capacity, 20);
    frame_collector_free(&c);
    cr_assert(c.at == NULL && c.cap == 512 * 1024);
}

/* T01 */
Test(frame, the_collector_refuses_sizes_above_its_cap)
{
    static const char *const sizes[] = {"\0\0\0\x11", "\xff\xff\xff\xff", "\x80\0\0\0",
                                        "\x7f\xff\xff\xff"};
    for (size_t i = 0; i < 4; i++) {
        struct frame_collector c;
        frame_collector_init(&c, 16);
        size_t used;
        cr_assert_eq(frame_collector_feed(&c, view_of(sizes[i], 4), &used), FRAME_BAD);
        frame_collector_free(&c);
    }
}

Test(frame, the_collector_takes_exactly_its_cap_and_shrinks_again)
{
    static uint8_t big[4 + 100000] = {0, 1, 0x86, 0xa0};
    struct frame_collector c;
    frame_collector_init(&c, 100000);
    size_t used;
    cr_assert_eq(frame_collector_feed(&c, view_of(big, sizeof big), &used), FRAME_OK);
    cr_assert(used == sizeof big && frame_collector_payload(&c).length == 100000);
    frame_collector_next(&c);
    cr_assert(c.capacity == 0 && frame_collector_payload(&c).length == 0);
    frame_collector_free(&c);
}
