/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs messages that kafka_schema.py made from Kafka's own definitions through the walkers. One
 * case a line:
 *
 *   response  KEY VERSION PAYLOAD REWRITTEN COUNT    REWRITTEN is - where a version carries no
 * address forbidden KEY VERSION PAYLOAD request   KEY VERSION PAYLOAD REPLICA_ID         REPLICA_ID
 * is - where nobody asks
 *
 * PAYLOAD and REWRITTEN in hex, without the size of the frame. The map is: host "setu-<node
 * id>.example", port + 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/frame.h"
#include "protocol/gaps.h"
#include "protocol/records.h"
#include "protocol/schema_tables.h"

enum { LINE_BYTES = 1 << 20, WORDS = 6 };

static size_t line_number;
static size_t failures;
static size_t walks;
static char host[64];

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("case %zu: ", line_number);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    failures++;
}

static void expect(bool ok, const char *what)
{
    walks++;
    if (!ok) {
        fail("%s", what);
    }
}

/* ---- input ---- */

static size_t split(char *line, char *words[WORDS])
{
    size_t n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " \n", &rest); w != NULL && n < WORDS;
         w = strtok_r(NULL, " \n", &rest)) {
        words[n++] = w;
    }
    return n;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* In place: the bytes are never longer than their hex. */
static struct view unhex(char *hex)
{
    size_t n = strlen(hex) / 2;
    uint8_t *at = (uint8_t *)hex;
    for (size_t i = 0; i < n; i++) {
        at[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    }
    return view_of(at, n);
}

/* ---- addresses ---- */

static bool map_same(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    (void)from;
    (void)to_r;
    ++*(size_t *)context;
    return true;
}

static bool map_setu(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    ++*(size_t *)context;
    snprintf(host, sizeof host, "setu-%d.example", from->node_id);
    to_r->host = view_from_string(host);
    to_r->port = (int32_t)((uint32_t)from->port + 1);
    return true;
}

static bool count_one(void *context, const struct endpoint *endpoint)
{
    (void)endpoint;
    ++*(size_t *)context;
    return true;
}

static enum endpoint_status rewrite(int16_t key, int16_t version, struct view payload,
                                    endpoint_map_fn map, size_t *count_r, struct writer *out)
{
    writer_init_growing(out, LINE_BYTES);
    *count_r = 0;
    return endpoint_rewrite(key, version, payload, map, count_r, out);
}

/* The whole frame that was written is this payload behind its size. */
static bool is_frame(const struct writer *out, struct view payload)
{
    struct view frame = writer_view(out);
    return frame.length == payload.length + FRAME_SIZE_BYTES &&
           bytes_load_u32(frame.at) == payload.length &&
           view_equal(view_from(frame, FRAME_SIZE_BYTES), payload);
}

static bool is_bad(int16_t key, int16_t version, struct view payload)
{
    struct writer out;
    size_t count;
    bool bad = rewrite(key, version, payload, map_same, &count, &out) == ENDPOINT_BAD;
    writer_free(&out);
    return bad;
}

static void check_addresses(int16_t key, int16_t version, struct view payload,
                            struct view rewritten, size_t addresses)
{
    struct writer out;
    size_t count;
    bool ok = rewrite(key, version, payload, map_same, &count, &out) == ENDPOINT_OK;
    expect(ok && is_frame(&out, payload), "identity is not byte-exact");
    expect(count == addresses, "not every address was seen");
    writer_free(&out);
    ok = rewrite(key, version, payload, map_setu, &count, &out) == ENDPOINT_OK;
    expect(ok && is_frame(&out, rewritten), "rewritten is not as expected");
    writer_free(&out);
    count = 0;
    ok = endpoint_visit(key, version, payload, count_one, &count) == ENDPOINT_OK;
    expect(ok && count == addresses, "visit differs from rewrite");
    for (size_t n = 0; n < payload.length; n++) {
        expect(is_bad(key, version, view_of(payload.at, n)), "a prefix was accepted");
    }
}

/* ---- gaps ---- */

static bool add_one(void *context, struct endpoint *endpoint_r)
{
    bool *added = context;
    bool first = !*added;
    *added = true;
    *endpoint_r = (struct endpoint){
        .node_id = 7, .host = view_from_string("ajna"), .port = 9093, .rack_null = true};
    return first;
}

/* DescribeCluster that failed names nobody, and is left alone. */
static bool is_refusal(int16_t key, int16_t version, struct view payload)
{
    struct reader r = reader_init(payload);
    int16_t error_code = 0;
    return key == API_DESCRIBE_CLUSTER && version >= 0 && reader_skip(&r, 4) &&
           reader_tags_skip(&r) && reader_skip(&r, 4) && reader_i16(&r, &error_code) &&
           error_code != 0;
}

/* Read by hand, they are what the tables say: whole, in each prefix, and with one broker more. */
static void check_gaps(int16_t key, int16_t version, struct view payload, size_t addresses)
{
    static const struct gaps_filler nothing = {0}, one = {.missing = add_one};
    struct writer out;
    bool changed, added = false;
    size_t count = 0;
    writer_init_growing(&out, LINE_BYTES);
    expect(gaps_fill(key, version, payload, NULL, &nothing, NULL, &out, &changed) == ENDPOINT_OK &&
               !changed,
           "it cannot be read by hand");
    for (size_t n = 0; n < payload.length; n++) {
        expect(gaps_fill(key, version, view_of(payload.at, n), NULL, &nothing, NULL, &out,
                         &changed) == ENDPOINT_BAD,
               "a prefix was read by hand");
    }
    enum endpoint_status status =
        gaps_fill(key, version, payload, NULL, &one, &added, &out, &changed);
    if (changed) {
        status = endpoint_visit(key, version, writer_view(&out), count_one, &count);
    }
    bool adds = key != API_FIND_COORDINATOR && !is_refusal(key, version, payload);
    expect(status == ENDPOINT_OK && changed == adds &&
               count == (changed ? addresses + 1 : 0),
           "no broker more");
    writer_free(&out);
}

/* ---- bodies ---- */

static size_t header_bytes(int16_t key, int16_t version, bool request, struct view payload)
{
    struct request_header header;
    int32_t correlation_id;
    size_t length;
    if (request) {
        return request_header_decode(payload, &header) == FRAME_OK ? header.length : SIZE_MAX;
    }
    return response_header_decode(payload, key, version, &correlation_id, &length) == FRAME_OK
               ? length
               : SIZE_MAX;
}

static void check_body(int16_t key, int16_t version, bool request, struct view payload)
{
    static const struct schema_visitor nobody;
    const struct schema_message *message = schema_find(key, request);
    bool flexible = api_is_flexible(key, version);
    size_t header = header_bytes(key, version, request, payload);
    if (header == SIZE_MAX || message == NULL) {
        fail("no header or no table");
        return;
    }
    struct view body = view_from(payload, header);
    expect(schema_walk(message, version, flexible, body, &nobody, NULL) == SCHEMA_OK,
           "the tables do not fit");
    for (size_t n = 0; n < body.length; n++) {
        expect(schema_walk(message, version, flexible, view_of(body.at, n), &nobody, NULL) ==
                   SCHEMA_BAD,
               "a prefix fits the tables");
    }
    uint8_t *longer = malloc(body.length + 1);
    if (longer == NULL) {
        abort();
    }
    memcpy(longer, body.at, body.length);
    longer[body.length] = 0;
    expect(schema_walk(message, version, flexible, view_of(longer, body.length + 1), &nobody,
                       NULL) == SCHEMA_BAD,
           "a byte too many fits the tables");
    free(longer);
}

/* ---- record sets ---- */

static enum records_status walk_pieces(struct records_walk *walk, struct view payload, size_t piece)
{
    enum records_status status = RECORDS_OK;
    while (payload.length > 0 && status == RECORDS_OK) {
        size_t n = payload.length < piece ? payload.length : piece;
        status = records_walk_feed(walk, (uint8_t *)(uintptr_t)payload.at, n);
        payload = view_from(payload, n);
    }
    return status;
}

static void check_records(enum records_kind kind, int16_t version, struct view payload)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 7, 64};
    struct records_walk walk;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        records_walk_begin(&walk, kind, version, payload.length, NULL, NULL);
        expect(walk_pieces(&walk, payload, pieces[i]) == RECORDS_DONE, "the record walk fails");
    }
    for (size_t n = 0; n < payload.length; n++) {
        records_walk_begin(&walk, kind, version, n, NULL, NULL);
        expect(walk_pieces(&walk, view_of(payload.at, n), SIZE_MAX) != RECORDS_DONE,
               "the record walk accepts a prefix");
    }
}

/* Last, for it changes the payload: behind it no address is left to be found. */
static void check_neutralised(int16_t version, struct view payload, size_t addresses)
{
    struct records_walk walk;
    size_t count = 0;
    records_walk_begin(&walk, RECORDS_FETCH_RESPONSE, version, payload.length, NULL, NULL);
    walk.neutralise_endpoints = true;
    expect(walk_pieces(&walk, payload, 5) == RECORDS_DONE, "neutralising fails");
    expect(addresses == 0 || walk.neutralised == 1, "nothing was neutralised");
    (void)!endpoint_visit(API_FETCH, version, payload, count_one, &count);
    expect(count == 0, "an address is left");
}

/* ---- cases ---- */

static void check_response(char *words[WORDS], size_t n)
{
    int16_t key = (int16_t)strtol(words[1], NULL, 10);
    int16_t version = (int16_t)strtol(words[2], NULL, 10);
    struct view payload = unhex(words[3]);
    size_t addresses = n == 6 ? strtoul(words[5], NULL, 10) : 0;
    check_body(key, version, false, payload);
    if (strcmp(words[0], "forbidden") == 0) {
        struct writer out;
        size_t count;
        expect(rewrite(key, version, payload, map_same, &count, &out) == ENDPOINT_FORBIDDEN,
               "controllers were let through");
        writer_free(&out);
        return;
    }
    if (strcmp(words[4], "-") != 0) {
        check_addresses(key, version, payload, unhex(words[4]), addresses);
        if (gaps_in(key)) {
            check_gaps(key, version, payload, addresses);
        }
    } else {
        expect(is_bad(key, version, payload), "no address was expected in this version");
    }
    if (key == API_FETCH) {
        check_records(RECORDS_FETCH_RESPONSE, version, payload);
        check_neutralised(version, payload, addresses);
    }
}

static void check_request(char *words[WORDS])
{
    int16_t key = (int16_t)strtol(words[1], NULL, 10);
    int16_t version = (int16_t)strtol(words[2], NULL, 10);
    struct view payload = unhex(words[3]);
    check_body(key, version, true, payload);
    if (strcmp(words[4], "-") != 0) {
        int32_t replica_id = INT32_MIN;
        expect(request_replica_id(key, version, payload, &replica_id) == ENDPOINT_OK &&
                   replica_id == (int32_t)strtol(words[4], NULL, 10),
               "not the ReplicaId");
    }
    if (key == API_PRODUCE) {
        check_records(RECORDS_PRODUCE_REQUEST, version, payload);
    }
}

int main(void)
{
    static char line[LINE_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *words[WORDS];
        size_t n = split(line, words);
        line_number++;
        if (n >= 4 && strcmp(words[0], "forbidden") == 0) {
            check_response(words, n);
        } else if (n == 6 && strcmp(words[0], "response") == 0) {
            check_response(words, n);
        } else if (n == 5 && strcmp(words[0], "request") == 0) {
            check_request(words);
        } else {
            fail("not a case");
        }
    }
    printf("%zu messages, %zu walks, %zu failures\n", line_number, walks, failures);
    return failures == 0 && line_number > 0 ? 0 : 1;
}
