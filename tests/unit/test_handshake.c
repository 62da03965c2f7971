/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/handshake.h"

#include <criterion/criterion.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"

static uint8_t memory[8192];
static struct writer w;

static void begin(void)
{
    writer_init_fixed(&w, memory, sizeof memory);
}

/* The body of the one request frame in the writer. */
static struct view request_body(int16_t key, int16_t version)
{
    struct view payload = view_from(writer_view(&w), 4);
    struct request_header h;
    cr_assert(writer_ok(&w));
    cr_assert_eq(request_header_decode(payload, &h), FRAME_OK);
    cr_assert(h.api_key == key && h.api_version == version && h.correlation_id == 42);
    return view_from(payload, h.length);
}

static struct view response_body(int16_t key, int16_t version)
{
    struct view payload = view_from(writer_view(&w), 4);
    int32_t correlation_id;
    size_t length;
    cr_assert(writer_ok(&w));
    cr_assert_eq(response_header_decode(payload, key, version, &correlation_id, &length), FRAME_OK);
    cr_assert_eq(correlation_id, 42);
    return view_from(payload, length);
}

/* The body with one more byte after it: longer than the message, so not the message. */
static struct view longer(struct view body)
{
    static uint8_t copy[8192];
    memcpy(copy, body.at, body.length);
    copy[body.length] = 0;
    return view_of(copy, body.length + 1);
}

static struct api_versions some_versions(void)
{
    struct api_versions versions = {.throttle_time_ms = 0, .count = 3};
    versions.ranges[0] = (struct api_range){API_PRODUCE, 0, 9};
    versions.ranges[1] = (struct api_range){API_METADATA, 1, 12};
    versions.ranges[2] = (struct api_range){API_API_VERSIONS, 0, 3};
    return versions;
}

static void assert_range(const struct api_versions *v, int16_t key, int16_t min, int16_t max)
{
    const struct api_range *range = api_versions_find(v, key);
    cr_assert(range != NULL, "key %d", key);
    cr_assert(range->min == min && range->max == max, "key %d: %d-%d", key, range->min, range->max);
}

/* ---- ApiVersions ---- */

Test(handshake, api_versions_request_round_trips_and_refuses_every_prefix)
{
    for (int16_t v = 0; v <= 4; v++) {
        begin();
        struct view id = view_from_string("me");
        api_versions_encode_request(&w, v, 42, &id, view_from_string("setu"),
                                    view_from_string("0.1"));
        struct view body = request_body(API_API_VERSIONS, v);
        struct api_versions_request request;
        cr_assert(api_versions_decode_request(v, body, &request));
        cr_assert(view_is(request.software_name, v >= 3 ? "setu" : ""));
        cr_assert(view_is(request.software_version, v >= 3 ? "0.1" : ""));
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!api_versions_decode_request(v, view_of(body.at, n), &request), "%zu", n);
        }
        cr_assert(!api_versions_decode_request(v, longer(body), &request));
    }
}

Test(handshake, api_versions_request_of_librdkafka_0_11_asks_for_an_empty_array_of_keys)
{
    struct api_versions_request request;
    for (int16_t v = 0; v <= 4; v++) {
        bool read = api_versions_decode_request(v, view_of("\0\0\0\0", 4), &request);
        cr_assert_eq(read, v <= 2, "%d", v);
        cr_assert(!api_versions_decode_request(v, view_of("\0\0\0\1", 4), &request));
        cr_assert(!api_versions_decode_request(v, view_of("\0\0\0", 3), &request));
        cr_assert(!api_versions_decode_request(v, view_of("\0\0\0\0\0", 5), &request));
    }
}

Test(handshake, api_versions_request_beyond_v4_is_not_read)
{
    struct api_versions_request request;
    cr_assert(!api_versions_decode_request(5, view_of("\1\1\0", 3), &request));
    cr_assert(!api_versions_decode_request(-1, view_of("", 0), &request));
}

Test(handshake, api_versions_request_keeps_unknown_tags_out_of_the_way)
{
    struct api_versions_request request;
    cr_assert(api_versions_decode_request(3, view_of("\2a\2b\1\7\2xy", 9), &request));
    cr_assert(view_is(request.software_name, "a") && view_is(request.software_version, "b"));
}

Test(handshake, software_names_follow_kafkas_rule)
{
    static const char *const good[] = {"a", "apache-kafka-java", "librdkafka", "1.9.0-rc1", "a.-b"};
    static const char *const bad[] = {"", "-a", "a-", ".", "a b", "a_b", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(api_versions_software_valid(view_from_string(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert(!api_versions_software_valid(view_from_string(bad[i])), "%s", bad[i]);
    }
}

Test(handshake, api_versions_response_round_trips_and_refuses_every_prefix)
{
    for (int16_t v = 0; v <= 4; v++) {
        struct api_versions versions = some_versions();
        versions.throttle_time_ms = 7;
        begin();
        api_versions_encode_response(&w, v, 42, &versions);
        struct view body = response_body(API_API_VERSIONS, v);
        struct api_versions back;
        cr_assert(api_versions_decode_response(v, body, &back));
        cr_assert(back.count == 3 && back.unknown == 0 && back.error_code == 0);
        cr_assert_eq(back.throttle_time_ms, v >= 1 ? 7 : 0);
        assert_range(&back, API_METADATA, 1, 12);
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!api_versions_decode_response(v, view_of(body.at, n), &back), "%zu", n);
        }
        cr_assert(!api_versions_decode_response(v, longer(body), &back));
    }
}

Test(handshake, api_versions_response_drops_what_it_does_not_know)
{
    begin();
    writer_i16(&w, 0);
    writer_array(&w, true, 6);
    static const int16_t entries[6][3] = {{18, 0, 4}, {500, 0, 1}, {3, 0, 9},
                                          {3, 0, 13}, {-4, 0, 0},  {1, 5, 4}};
    for (size_t i = 0; i < 6; i++) {
        writer_i16(&w, entries[i][0]);
        writer_i16(&w, entries[i][1]);
        writer_i16(&w, entries[i][2]);
        writer_uvarint(&w, i % 2 == 0 ? 0 : 1); /* a tag on every second entry */
        if (i % 2 != 0) {
            writer_uvarint(&w, 9);
            writer_uvarint(&w, 1);
            writer_i8(&w, 0);
        }
    }
    writer_i32(&w, 0);
    writer_uvarint(&w, 1); /* FinalizedFeaturesEpoch */
    writer_uvarint(&w, 1);
    writer_uvarint(&w, 8);
    writer_i64(&w, 5);
    struct api_versions back;
    cr_assert(api_versions_decode_response(3, writer_view(&w), &back));
    cr_assert(back.unknown == 2 && back.count == 2);
    assert_range(&back, 3, 0, 9);
    assert_range(&back, 18, 0, 4);
    cr_assert(back.ranges[0].key < back.ranges[1].key);
}

Test(handshake, error_35_is_read_as_v0_whatever_was_asked)
{
    struct api_versions back;
    cr_assert(api_versions_decode_response(4, view_of("\0\x23\0\0\0\1\0\x12\0\0\0\3", 12), &back));
    cr_assert_eq(back.error_code, HANDSHAKE_UNSUPPORTED_VERSION);
    assert_range(&back, API_API_VERSIONS, 0, 3);
    cr_assert(api_versions_decode_response(3, view_of("\0\x23\0\0\0\0", 6), &back), "before 2.4");
    cr_assert_eq(back.count, 0);
}

/* T12 */
Test(handshake, the_answer_to_a_version_from_the_future)
{
    begin();
    api_versions_unsupported(&w, 42);
    static const uint8_t expected[] = {0, 0, 0, 16, 0, 0,  0, 42, 0, 35,
                                       0, 0, 0, 1,  0, 18, 0, 0,  0, 4};
    cr_assert(view_equal(writer_view(&w), view_of(expected, sizeof expected)));
}

Test(handshake, intersection)
{
    struct api_versions a = some_versions();
    struct api_versions b = {.count = 2, .error_code = 9};
    b.ranges[0] = (struct api_range){API_PRODUCE, 10, 12};
    b.ranges[1] = (struct api_range){API_METADATA, 0, 7};
    struct api_versions out;
    api_versions_intersect(&a, &b, &out);
    cr_assert(out.count == 1 && out.error_code == 0);
    assert_range(&out, API_METADATA, 1, 7);
    api_versions_intersect(&a, &a, &a);
    cr_assert_eq(a.count, 3);
}

Test(handshake, own_ranges_are_everything_a_client_may_use)
{
    struct api_versions own;
    api_versions_own(&own);
    for (size_t i = 0; i < own.count; i++) {
        cr_assert(api_admits(own.ranges[i].key, own.ranges[i].min));
        cr_assert(api_admits(own.ranges[i].key, own.ranges[i].max));
    }
    cr_assert_eq(own.count, api_count() - 33);
}

/* A 4.x broker, roughly, with something hidden and something from the future. */
Test(handshake, admit_trims_a_new_broker)
{
    struct api_versions in = {.count = 8};
    static const struct api_range ranges[] = {{0, 0, 14}, {1, 4, 18}, {3, 0, 13}, {18, 0, 5},
                                              {38, 1, 3}, {55, 0, 2}, {60, 0, 2}, {78, 1, 2}};
    memcpy(in.ranges, ranges, sizeof ranges);
    struct api_versions out;
    api_versions_admit(&in, &out);
    assert_range(&out, API_PRODUCE, 0, 13);
    assert_range(&out, API_FETCH, 4, 18);
    assert_range(&out, API_API_VERSIONS, 0, 4);
    assert_range(&out, API_DESCRIBE_QUORUM, 0, 1);
    assert_range(&out, API_SASL_HANDSHAKE, 0, 1);
    assert_range(&out, API_SASL_AUTHENTICATE, 0, 2);
    cr_assert(api_versions_find(&out, 38) == NULL);
    cr_assert_eq(out.count, 9);
}

Test(handshake, admit_caps_data_apis_without_topic_ids)
{
    struct api_versions in = {.count = 3};
    in.ranges[0] = (struct api_range){API_PRODUCE, 0, 13};
    in.ranges[1] = (struct api_range){API_FETCH, 0, 17};
    in.ranges[2] = (struct api_range){API_METADATA, 0, 9};
    struct api_versions out;
    api_versions_admit(&in, &out);
    assert_range(&out, API_PRODUCE, 0, 12);
    assert_range(&out, API_FETCH, 0, 12);
    in.ranges[2].max = 10;
    api_versions_admit(&in, &out);
    assert_range(&out, API_PRODUCE, 0, 13);
    assert_range(&out, API_FETCH, 0, 17);
    in.ranges[0].min = 13;
    in.ranges[2].max = 9;
    api_versions_admit(&in, &out);
    cr_assert(api_versions_find(&out, API_PRODUCE) == NULL, "nothing left of it");
}

/* ---- SASL ---- */

Test(handshake, sasl_handshake_round_trips_and_refuses_every_prefix)
{
    for (int16_t v = 0; v <= 1; v++) {
        begin();
        sasl_handshake_encode_request(&w, v, 42, NULL, view_from_string("SCRAM-SHA-512"));
        struct view body = request_body(API_SASL_HANDSHAKE, v);
        struct view mechanism;
        cr_assert(sasl_handshake_decode_request(body, &mechanism));
        cr_assert(view_is(mechanism, "SCRAM-SHA-512"));
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!sasl_handshake_decode_request(view_of(body.at, n), &mechanism));
        }
        cr_assert(!sasl_handshake_decode_request(longer(body), &mechanism));

        struct sasl_handshake_response response = {.error_code = 33, .count = 2};
        response.mechanisms[0] = view_from_string("PLAIN");
        response.mechanisms[1] = view_from_string("GSSAPI");
        begin();
        sasl_handshake_encode_response(&w, v, 42, &response);
        body = response_body(API_SASL_HANDSHAKE, v);
        struct sasl_handshake_response back;
        cr_assert(sasl_handshake_decode_response(body, &back));
        cr_assert(back.error_code == 33 && back.count == 2);
        cr_assert(view_is(back.mechanisms[1], "GSSAPI"));
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!sasl_handshake_decode_response(view_of(body.at, n), &back));
        }
        cr_assert(!sasl_handshake_decode_response(longer(body), &back));
    }
}

Test(handshake, more_mechanisms_than_fit_are_dropped)
{
    begin();
    writer_i16(&w, 0);
    writer_array(&w, false, 40);
    for (int i = 0; i < 40; i++) {
        writer_string(&w, false, view_from_string("M"));
    }
    struct sasl_handshake_response back;
    cr_assert(sasl_handshake_decode_response(writer_view(&w), &back));
    cr_assert_eq(back.count, SASL_MECHANISMS_MAX);
}

Test(handshake, sasl_authenticate_round_trips_and_refuses_every_prefix)
{
    for (int16_t v = 0; v <= 2; v++) {
        begin();
        sasl_authenticate_encode_request(&w, v, 42, NULL, view_of("\0user\0pass", 10));
        struct view body = request_body(API_SASL_AUTHENTICATE, v);
        struct view token;
        cr_assert(sasl_authenticate_decode_request(v, body, &token));
        cr_assert(view_equal(token, view_of("\0user\0pass", 10)));
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!sasl_authenticate_decode_request(v, view_of(body.at, n), &token));
        }
        cr_assert(!sasl_authenticate_decode_request(v, longer(body), &token));

        struct sasl_authenticate_response response = {
            .error_code = 58,
            .error_message = view_from_string("no"),
            .error_message_null = v == 1,
            .auth_bytes = view_from_string("v=xyz"),
            .session_lifetime_ms = 3600000,
        };
        begin();
        sasl_authenticate_encode_response(&w, v, 42, &response);
        body = response_body(API_SASL_AUTHENTICATE, v);
        struct sasl_authenticate_response back;
        cr_assert(sasl_authenticate_decode_response(v, body, &back));
        cr_assert(back.error_code == 58 && back.error_message_null == (v == 1));
        cr_assert(view_is(back.error_message, v == 1 ? "" : "no"));
        cr_assert(view_is(back.auth_bytes, "v=xyz"));
        cr_assert_eq(back.session_lifetime_ms, v >= 1 ? 3600000 : 0);
        for (size_t n = 0; n < body.length; n++) {
            cr_assert(!sasl_authenticate_decode_response(v, view_of(body.at, n), &back));
        }
        cr_assert(!sasl_authenticate_decode_response(v, longer(body), &back));
    }
}

/* ---- Metadata ---- */

Test(handshake, metadata_request_bytes)
{
    static const struct {
        int16_t version;
        const char *body;
        size_t length;
    } cases[] = {
        {0, "\0\0\0\0", 4},   {1, "\0\0\0\0", 4},       {3, "\0\0\0\0", 4},   {4, "\0\0\0\0\0", 5},
        {7, "\0\0\0\0\0", 5}, {8, "\0\0\0\0\0\0\0", 7}, {9, "\1\0\0\0\0", 5}, {10, "\1\0\0\0\0", 5},
        {11, "\1\0\0\0", 4},  {13, "\1\0\0\0", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        metadata_encode_request(&w, cases[i].version, 42, NULL, view_of(NULL, 0));
        struct view body = request_body(API_METADATA, cases[i].version);
        cr_assert(view_equal(body, view_of(cases[i].body, cases[i].length)), "v%d",
                  cases[i].version);
    }
}

Test(handshake, metadata_request_names_topics)
{
#define NO_ID "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    static const char names[] = "\0\1a\0\2bb";
    static const struct {
        int16_t version;
        const char *body;
        size_t length;
    } cases[] = {
        {1, "\0\0\0\2\0\1a\0\2bb", 11},
        {4, "\0\0\0\2\0\1a\0\2bb\0", 12},
        {9, "\3\2a\0\3bb\0\0\0\0\0", 12},
        {12, "\3" NO_ID "\2a\0" NO_ID "\3bb\0\0\0\0", 43},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        metadata_encode_request(&w, cases[i].version, 42, NULL, view_of(names, sizeof names - 1));
        struct view body = request_body(API_METADATA, cases[i].version);
        cr_assert(view_equal(body, view_of(cases[i].body, cases[i].length)), "v%d",
                  cases[i].version);
    }
}
