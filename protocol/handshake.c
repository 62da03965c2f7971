/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/handshake.h"

#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"

enum {
    METADATA_WITH_TOPIC_IDS = 10, /* first Metadata version to tell topic ids */
    DATA_BEFORE_TOPIC_IDS = 12    /* last Produce and Fetch version that names topics */
};

/* Nothing may follow a message: a longer one is not the message it claims to be. */
static bool finished(struct reader *r, bool flexible)
{
    return (!flexible || reader_tags_skip(r)) && r->left == 0;
}

/* ---- ApiVersions: ranges ---- */

const struct api_range *api_versions_find(const struct api_versions *versions, int16_t key)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (versions->ranges[i].key == key) {
            return &versions->ranges[i];
        }
    }
    return NULL;
}

static void append(struct api_versions *versions, struct api_range range)
{
    if (versions->count < API_VERSIONS_RANGES_MAX && range.min <= range.max) {
        versions->ranges[versions->count++] = range;
    }
}

static struct api_range own_range(const struct api *api)
{
    return (struct api_range){.key = api->key, .min = api->version_min, .max = api->version_max};
}

static struct api_range common(struct api_range a, struct api_range b)
{
    return (struct api_range){
        .key = a.key, .min = a.min > b.min ? a.min : b.min, .max = a.max < b.max ? a.max : b.max};
}

void api_versions_own(struct api_versions *versions_r)
{
    *versions_r = (struct api_versions){0};
    for (size_t i = 0; i < api_count(); i++) {
        if (api_at(i)->request_action != API_HIDE) {
            append(versions_r, own_range(api_at(i)));
        }
    }
}

void api_versions_intersect(const struct api_versions *a, const struct api_versions *b,
                            struct api_versions *out_r)
{
    struct api_versions out = {.throttle_time_ms = 0};
    for (size_t i = 0; i < a->count; i++) {
        const struct api_range *other = api_versions_find(b, a->ranges[i].key);
        if (other != NULL) {
            append(&out, common(a->ranges[i], *other));
        }
    }
    *out_r = out;
}

/* Metadata below v10 tells no topic ids, and a client must not be offered versions that need them.
 */
static int16_t data_version_max(const struct api_versions *in)
{
    const struct api_range *metadata = api_versions_find(in, API_METADATA);
    if (metadata == NULL || metadata->max < METADATA_WITH_TOPIC_IDS) {
        return DATA_BEFORE_TOPIC_IDS;
    }
    return INT16_MAX;
}

void api_versions_admit(const struct api_versions *in, struct api_versions *out_r)
{
    struct api_versions out = {.throttle_time_ms = 0};
    int16_t data_max = data_version_max(in);
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        struct api_range range = own_range(api);
        const struct api_range *theirs = api_versions_find(in, api->key);
        if (api->request_action == API_HIDE) {
            continue;
        }
        if (api->request_action == API_ANSWER) {
            append(&out, range);
            continue;
        }
        if (theirs == NULL) {
            continue;
        }
        range = common(range, *theirs);
        if ((api->key == API_PRODUCE || api->key == API_FETCH) && range.max > data_max) {
            range.max = data_max;
        }
        append(&out, range);
    }
    *out_r = out;
}

/* ---- ApiVersions: messages ---- */

static bool alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool api_versions_software_valid(struct view text)
{
    if (text.length == 0 || !alphanumeric(text.at[0]) || !alphanumeric(text.at[text.length - 1])) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (!alphanumeric(text.at[i]) && text.at[i] != '-' && text.at[i] != '.') {
            return false;
        }
    }
    return true;
}

/* librdkafka 0.11 asks with an array of keys, always empty, that no version has; brokers do not look. */
static bool empty_array(struct view body)
{
    static const uint8_t none[4] = {0};
    return body.length == sizeof none && memcmp(body.at, none, sizeof none) == 0;
}

bool api_versions_decode_request(int16_t version, struct view body,
                                 struct api_versions_request *request_r)
{
    const struct api *api = api_find(API_API_VERSIONS);
    struct reader r = reader_init(body);
    struct api_versions_request request = {{NULL, 0}, {NULL, 0}};
    if (version < api->version_min || version > api->version_max) {
        return false;
    }
    bool flexible = api_is_flexible(API_API_VERSIONS, version);
    if (flexible && (!reader_string(&r, true, &request.software_name, NULL) ||
                     !reader_string(&r, true, &request.software_version, NULL))) {
        return false;
    }
    if (!finished(&r, flexible) && (flexible || !empty_array(body))) {
        return false;
    }
    *request_r = request;
    return true;
}

void api_versions_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                 const struct view *client_id, struct view software_name,
                                 struct view software_version)
{
    size_t frame = frame_request_begin(w, API_API_VERSIONS, version, correlation_id, client_id);
    if (api_is_flexible(API_API_VERSIONS, version)) {
        writer_string(w, true, software_name);
        writer_string(w, true, software_version);
        writer_no_tags(w);
    }
    frame_end(w, frame);
}

void api_versions_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                  const struct api_versions *versions)
{
    bool flexible = api_is_flexible(API_API_VERSIONS, version);
    size_t frame = frame_response_begin(w, API_API_VERSIONS, version, correlation_id);
    writer_i16(w, versions->error_code);
    writer_array(w, flexible, (int32_t)versions->count);
    for (size_t i = 0; i < versions->count; i++) {
        writer_i16(w, versions->ranges[i].key);
        writer_i16(w, versions->ranges[i].min);
        writer_i16(w, versions->ranges[i].max);
        if (flexible) {
            writer_no_tags(w);
        }
    }
    if (version >= 1) {
        writer_i32(w, versions->throttle_time_ms);
    }
    if (flexible) {
        writer_no_tags(w);
    }
    frame_end(w, frame);
}

void api_versions_unsupported(struct writer *w, int32_t correlation_id)
{
    struct api_versions versions = {.error_code = HANDSHAKE_UNSUPPORTED_VERSION};
    append(&versions, own_range(api_find(API_API_VERSIONS)));
    api_versions_encode_response(w, 0, correlation_id, &versions);
}

/* What a broker says about each key Setu knows, by key; max -1 = nothing (yet). */
struct told {
    struct api_range ranges[API_VERSIONS_RANGES_MAX];
    size_t unknown;
};

static void told_init(struct told *told)
{
    told->unknown = 0;
    for (size_t i = 0; i < API_VERSIONS_RANGES_MAX; i++) {
        told->ranges[i] = (struct api_range){.key = (int16_t)i, .min = 0, .max = -1};
    }
}

/* The first entry of a key counts; one without a single version says nothing. */
static void told_add(struct told *told, struct api_range range)
{
    if (api_find(range.key) == NULL || range.key >= API_VERSIONS_RANGES_MAX) {
        told->unknown++;
    } else if (told->ranges[range.key].max < 0 && range.min >= 0 && range.min <= range.max) {
        told->ranges[range.key] = range;
    }
}

static bool decode_ranges(struct reader *r, bool flexible, struct told *told)
{
    int32_t count;
    if (!reader_array(r, flexible, false, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        struct api_range range;
        if (!reader_i16(r, &range.key) || !reader_i16(r, &range.min) ||
            !reader_i16(r, &range.max) || (flexible && !reader_tags_skip(r))) {
            return false;
        }
        told_add(told, range);
    }
    return true;
}

bool api_versions_decode_response(int16_t version, struct view body,
                                  struct api_versions *versions_r)
{
    struct reader r = reader_init(body);
    struct api_versions versions = {.throttle_time_ms = 0};
    struct told told;
    if (!reader_i16(&r, &versions.error_code)) {
        return false;
    }
    if (versions.error_code == HANDSHAKE_UNSUPPORTED_VERSION) {
        version = 0; /* KIP-511 */
    }
    bool flexible = api_is_flexible(API_API_VERSIONS, version);
    told_init(&told);
    if (!decode_ranges(&r, flexible, &told) ||
        (version >= 1 && !reader_i32(&r, &versions.throttle_time_ms)) || !finished(&r, flexible)) {
        return false;
    }
    for (size_t i = 0; i < API_VERSIONS_RANGES_MAX; i++) {
        append(&versions, told.ranges[i]);
    }
    versions.unknown = told.unknown;
    *versions_r = versions;
    return true;
}

/* ---- SaslHandshake ---- */

bool sasl_handshake_decode_request(struct view body, struct view *mechanism_r)
{
    struct reader r = reader_init(body);
    struct view mechanism;
    if (!reader_string(&r, false, &mechanism, NULL) || !finished(&r, false)) {
        return false;
    }
    *mechanism_r = mechanism;
    return true;
}

void sasl_handshake_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                   const struct view *client_id, struct view mechanism)
{
    size_t frame = frame_request_begin(w, API_SASL_HANDSHAKE, version, correlation_id, client_id);
    writer_string(w, false, mechanism);
    frame_end(w, frame);
}

bool sasl_handshake_decode_response(struct view body, struct sasl_handshake_response *response_r)
{
    struct reader r = reader_init(body);
    struct sasl_handshake_response response = {.count = 0};
    int32_t count;
    if (!reader_i16(&r, &response.error_code) || !reader_array(&r, false, false, &count)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        struct view mechanism;
        if (!reader_string(&r, false, &mechanism, NULL)) {
            return false;
        }
        if (response.count < SASL_MECHANISMS_MAX) {
            response.mechanisms[response.count++] = mechanism;
        }
    }
    if (!finished(&r, false)) {
        return false;
    }
    *response_r = response;
    return true;
}

void sasl_handshake_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                    const struct sasl_handshake_response *response)
{
    size_t frame = frame_response_begin(w, API_SASL_HANDSHAKE, version, correlation_id);
    writer_i16(w, response->error_code);
    writer_array(w, false, (int32_t)response->count);
    for (size_t i = 0; i < response->count; i++) {
        writer_string(w, false, response->mechanisms[i]);
    }
    frame_end(w, frame);
}

/* ---- SaslAuthenticate ---- */

bool sasl_authenticate_decode_request(int16_t version, struct view body, struct view *auth_bytes_r)
{
    struct reader r = reader_init(body);
    bool flexible = api_is_flexible(API_SASL_AUTHENTICATE, version);
    struct view auth_bytes;
    if (!reader_bytes(&r, flexible, &auth_bytes, NULL) || !finished(&r, flexible)) {
        return false;
    }
    *auth_bytes_r = auth_bytes;
    return true;
}

void sasl_authenticate_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                                      const struct view *client_id, struct view auth_bytes)
{
    bool flexible = api_is_flexible(API_SASL_AUTHENTICATE, version);
    size_t frame =
        frame_request_begin(w, API_SASL_AUTHENTICATE, version, correlation_id, client_id);
    writer_bytes(w, flexible, auth_bytes);
    if (flexible) {
        writer_no_tags(w);
    }
    frame_end(w, frame);
}

bool sasl_authenticate_decode_response(int16_t version, struct view body,
                                       struct sasl_authenticate_response *response_r)
{
    struct reader r = reader_init(body);
    bool flexible = api_is_flexible(API_SASL_AUTHENTICATE, version);
    struct sasl_authenticate_response response = {.session_lifetime_ms = 0};
    if (!reader_i16(&r, &response.error_code) ||
        !reader_string(&r, flexible, &response.error_message, &response.error_message_null) ||
        !reader_bytes(&r, flexible, &response.auth_bytes, NULL) ||
        (version >= 1 && !reader_i64(&r, &response.session_lifetime_ms)) ||
        !finished(&r, flexible)) {
        return false;
    }
    *response_r = response;
    return true;
}

void sasl_authenticate_encode_response(struct writer *w, int16_t version, int32_t correlation_id,
                                       const struct sasl_authenticate_response *response)
{
    bool flexible = api_is_flexible(API_SASL_AUTHENTICATE, version);
    size_t frame = frame_response_begin(w, API_SASL_AUTHENTICATE, version, correlation_id);
    writer_i16(w, response->error_code);
    if (response->error_message_null) {
        writer_null_string(w, flexible);
    } else {
        writer_string(w, flexible, response->error_message);
    }
    writer_bytes(w, flexible, response->auth_bytes);
    if (version >= 1) {
        writer_i64(w, response->session_lifetime_ms);
    }
    if (flexible) {
        writer_no_tags(w);
    }
    frame_end(w, frame);
}

/* ---- Metadata ---- */

static void metadata_topic(struct writer *w, int16_t version, struct view name)
{
    static const uint8_t no_id[16] = {0};
    bool flexible = api_is_flexible(API_METADATA, version);
    if (version >= 10) {
        writer_put(w, view_of(no_id, sizeof no_id));
    }
    writer_string(w, flexible, name);
    if (flexible) {
        writer_no_tags(w);
    }
}

void metadata_encode_request(struct writer *w, int16_t version, int32_t correlation_id,
                             const struct view *client_id, struct view topics)
{
    bool flexible = api_is_flexible(API_METADATA, version);
    size_t frame = frame_request_begin(w, API_METADATA, version, correlation_id, client_id);
    struct reader counted = reader_init(topics), r = reader_init(topics);
    struct view name;
    int32_t count = 0;
    while (reader_string(&counted, false, &name, NULL)) {
        count++;
    }
    /* No topics is the empty array, except in v0, where the empty array means all. */
    writer_array(w, flexible, count);
    while (reader_string(&r, false, &name, NULL)) {
        metadata_topic(w, version, name);
    }
    if (version >= 4) {
        writer_bool(w, false); /* AllowAutoTopicCreation */
    }
    if (version >= 8 && version <= 10) {
        writer_bool(w, false); /* IncludeClusterAuthorizedOperations */
    }
    if (version >= 8) {
        writer_bool(w, false); /* IncludeTopicAuthorizedOperations */
    }
    if (flexible) {
        writer_no_tags(w);
    }
    frame_end(w, frame);
}
