/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_broker.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/scram.h"
#include "conf/errors.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"

bool fake_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    memset(at, 0x5a, length);
    return true;
}

static void add_record(struct writer *text, enum scram_hash hash, bool wrong_server_key)
{
    struct scram_record record;
    cr_assert(scram_record_make(hash, view_from_string("pencil"), view_from_string("0123456789ab"),
                                4096, &record));
    record.server_key[0] ^= wrong_server_key ? 1 : 0;
    writer_put(text, view_from_string(hash == SCRAM_SHA_512 ? "    scram-sha-512: \""
                                                            : "    scram-sha-256: \""));
    scram_record_print(&record, text);
    writer_put(text, view_from_string("\"\n"));
}

static struct credentials *make_users(bool wrong_server_key)
{
    struct writer text;
    struct conf_errors errors;
    conf_errors_init(&errors);
    writer_init_growing(&text, 65536);
    writer_put(&text, view_from_string("users:\n  - name: setu\n"));
    add_record(&text, SCRAM_SHA_512, wrong_server_key);
    add_record(&text, SCRAM_SHA_256, wrong_server_key);
    struct credentials *users = credentials_parse(writer_view(&text), "users.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(users);
    writer_free(&text);
    conf_errors_deinit(&errors);
    return users;
}

/* Made once a process: PBKDF2 is dear under a sanitizer. */
struct credentials *fake_broker_users(bool wrong_server_key)
{
    static struct credentials *made[2];
    if (made[wrong_server_key] == NULL) {
        made[wrong_server_key] = make_users(wrong_server_key);
    }
    return credentials_ref(made[wrong_server_key]);
}

static const char *const all_mechanisms[] = {"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", NULL};

void fake_broker_init(struct fake_broker *broker)
{
    *broker = (struct fake_broker){
        .mechanisms = all_mechanisms,
        .users = fake_broker_users(false),
        .versions_max = 4,
        .versions_list = true,
        .authenticate_max = 2,
        .metadata_max = 12,
        .produce_max = 9,
        .lifetime_ms = 3600000,
    };
}

void fake_broker_free(struct fake_broker *broker)
{
    exchange_free(&broker->exchange);
    credentials_unref(&broker->users);
}

static void answer_versions(struct fake_broker *broker, const struct request_header *header,
                            struct view body, struct writer *out)
{
    struct api_versions versions = {0};
    if (header->api_version > broker->versions_max) {
        size_t frame = frame_response_begin(out, API_API_VERSIONS, 0, header->correlation_id);
        writer_i16(out, HANDSHAKE_UNSUPPORTED_VERSION);
        writer_i32(out, broker->versions_list ? 1 : 0);
        if (broker->versions_list) {
            writer_i16(out, API_API_VERSIONS);
            writer_i16(out, 0);
            writer_i16(out, broker->versions_max);
        }
        frame_end(out, frame);
        return;
    }
    struct api_versions_request request;
    cr_assert(api_versions_decode_request(header->api_version, body, &request));
    snprintf(broker->software, sizeof broker->software, "%.*s", (int)request.software_name.length,
             (const char *)request.software_name.at);
    versions.error_code = header->api_version > 0 ? broker->versions_error : 0;
    versions.ranges[versions.count++] = (struct api_range){API_PRODUCE, 0, broker->produce_max};
    versions.ranges[versions.count++] = (struct api_range){API_METADATA, 0, broker->metadata_max};
    versions.ranges[versions.count++] = (struct api_range){API_SASL_HANDSHAKE, 0, 1};
    versions.ranges[versions.count++] =
        (struct api_range){API_API_VERSIONS, 0, broker->versions_max};
    if (broker->authenticate_max >= 0) {
        versions.ranges[versions.count++] =
            (struct api_range){API_SASL_AUTHENTICATE, 0, broker->authenticate_max};
    }
    api_versions_encode_response(out, header->api_version, header->correlation_id, &versions);
}

static bool offers(const struct fake_broker *broker, struct view mechanism)
{
    for (size_t i = 0; broker->mechanisms[i] != NULL; i++) {
        if (view_is(mechanism, broker->mechanisms[i])) {
            return true;
        }
    }
    return false;
}

static void answer_handshake(struct fake_broker *broker, const struct request_header *header,
                             struct view body, struct writer *out)
{
    struct sasl_handshake_response response = {.error_code = HANDSHAKE_ILLEGAL_SASL_STATE};
    struct view mechanism;
    cr_assert(sasl_handshake_decode_request(body, &mechanism));
    if (broker->mechanisms != NULL) {
        response.error_code = HANDSHAKE_UNSUPPORTED_SASL_MECHANISM;
        for (size_t i = 0; broker->mechanisms[i] != NULL; i++) {
            response.mechanisms[response.count++] = view_from_string(broker->mechanisms[i]);
        }
        if (offers(broker, mechanism)) {
            char name[32];
            snprintf(name, sizeof name, "%.*s", (int)mechanism.length, (const char *)mechanism.at);
            response.error_code = 0;
            exchange_free(&broker->exchange);
            broker->exchange = exchange_server_new(name, broker->users, fake_random, NULL);
        }
    }
    sasl_handshake_encode_response(out, header->api_version, header->correlation_id, &response);
}

/* RFC 7628: n,,\1auth=Bearer TOKEN\1\1. */
static void answer_bearer(const struct fake_broker *broker, const struct request_header *header,
                          struct view token, struct writer *out)
{
    struct sasl_authenticate_response response = {.error_message_null = true};
    char wanted[64];
    int length = snprintf(wanted, sizeof wanted, "auth=Bearer %s\1", broker->bearer->token);
    if (memmem(token.at, token.length, wanted, (size_t)length) != NULL) {
        broker->bearer->good++;
    } else {
        broker->bearer->bad++;
        response.error_code = 58;
    }
    sasl_authenticate_encode_response(out, header->api_version, header->correlation_id, &response);
}

static void answer_token(struct fake_broker *broker, const struct request_header *header,
                         struct view body, struct writer *out)
{
    struct view token;
    struct writer reply;
    struct sasl_authenticate_response response = {.error_message_null = true};
    cr_assert(sasl_authenticate_decode_request(header->api_version, body, &token));
    if (broker->bearer != NULL) {
        answer_bearer(broker, header, token, out);
        return;
    }
    cr_assert_not_null(broker->exchange);
    writer_init_growing(&reply, EXCHANGE_REPLY_BYTES_MAX);
    enum exchange_status status = exchange_step(broker->exchange, token, &reply);
    if (status == EXCHANGE_PENDING) {
        exchange_work(broker->exchange);
        status = exchange_resume(broker->exchange, &reply);
    }
    if (broker->token_error != 0 || (status != EXCHANGE_CONTINUE && status != EXCHANGE_DONE)) {
        response.error_code = broker->token_error != 0 ? broker->token_error : 58;
        response.error_message = view_from_string("Authentication failed: bad\nluck");
        response.error_message_null = false;
    } else {
        response.auth_bytes = writer_view(&reply);
        response.session_lifetime_ms = status == EXCHANGE_DONE ? broker->lifetime_ms : 0;
    }
    sasl_authenticate_encode_response(out, header->api_version, header->correlation_id, &response);
    writer_free(&reply);
}

static void put_topic(const struct fake_topic *topic, int16_t version, struct writer *out)
{
    writer_i16(out, topic->error_code);
    writer_string(out, false, view_from_string(topic->name));
    writer_bool(out, false);
    writer_array(out, false, topic->partitions);
    for (int32_t i = 0; i < topic->partitions; i++) {
        int32_t leader = topic->leaders[i];
        writer_i16(out, leader >= 0 ? 0 : version >= 6 ? 72 : 5);
        writer_i32(out, i);
        writer_i32(out, leader);
        if (version >= 7) {
            writer_i32(out, topic->epochs[i]);
        }
        for (int list = 0; list < 2; list++) { /* replicas, and those in sync */
            writer_array(out, false, 2);
            writer_i32(out, 1);
            writer_i32(out, topic->second > 0 ? topic->second : 3);
        }
        writer_array(out, false, 0);
    }
    if (version >= 8) {
        writer_i32(out, INT32_MIN);
    }
}

static void answer_topics(const struct fake_broker *broker, int16_t version, struct view body,
                          struct writer *out)
{
    struct reader r = reader_init(body);
    const struct fake_topic *told[16];
    struct view name;
    int32_t asked = 0, count = 0;
    cr_assert(reader_array(&r, false, true, &asked));
    for (int32_t i = 0; i < asked; i++) {
        cr_assert(reader_string(&r, false, &name, NULL));
        for (size_t n = 0; n < broker->topic_count && count < 16; n++) {
            if (view_is(name, broker->topics[n].name)) {
                told[count++] = &broker->topics[n];
            }
        }
    }
    writer_array(out, false, count);
    for (int32_t i = 0; i < count; i++) {
        put_topic(told[i], version, out);
    }
}

static void answer_metadata(const struct fake_broker *broker, const struct request_header *header,
                            struct view body, struct writer *out)
{
    int16_t version = header->api_version;
    size_t frame =
        frame_response_begin(out, API_METADATA, header->api_version, header->correlation_id);
    if (broker->nodes == NULL) {
        writer_put(out, view_from_string("not looked into"));
        frame_end(out, frame);
        return;
    }
    cr_assert(version >= 5 && version <= 8);
    writer_i32(out, 0);
    writer_array(out, false, (int32_t)broker->node_count);
    for (size_t i = 0; i < broker->node_count; i++) {
        const struct fake_node *node = &broker->nodes[i];
        writer_i32(out, node->node_id);
        writer_string(out, false, view_from_string(node->host));
        writer_i32(out, node->port);
        if (node->rack != NULL) {
            writer_string(out, false, view_from_string(node->rack));
        } else {
            writer_null_string(out, false);
        }
    }
    writer_string(out, false, view_from_string("cluster"));
    writer_i32(out, 1);
    answer_topics(broker, version, body, out);
    if (version >= 8) {
        writer_i32(out, INT32_MIN);
    }
    frame_end(out, frame);
}

void fake_broker_answer(struct fake_broker *broker, struct view request, struct writer *out)
{
    struct frame_head head;
    struct request_header header;
    cr_assert_eq(frame_request_head(request, &head), FRAME_OK);
    cr_assert_eq((size_t)head.length + 4, request.length, "exactly one request at a time");
    struct view payload = view_from(request, 4);
    cr_assert_eq(request_header_decode(payload, &header), FRAME_OK);
    struct view body = view_from(payload, header.length);
    cr_assert_lt(broker->requests, 16);
    broker->keys[broker->requests] = header.api_key;
    broker->versions[broker->requests++] = header.api_version;
    switch (header.api_key) {
    case API_API_VERSIONS:
        answer_versions(broker, &header, body, out);
        break;
    case API_SASL_HANDSHAKE:
        answer_handshake(broker, &header, body, out);
        break;
    case API_SASL_AUTHENTICATE:
        answer_token(broker, &header, body, out);
        break;
    case API_METADATA:
        answer_metadata(broker, &header, body, out);
        break;
    default:
        cr_assert_fail("API %d", header.api_key);
    }
}
