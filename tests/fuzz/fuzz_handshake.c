/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the body of a message Setu speaks. First byte: which, second: version. What is
 * decoded and encoded again must decode to the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[1 << 18];
static struct writer w;

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The body of the one frame in the writer; false when it did not fit. */
static bool body_of(int16_t key, int16_t version, bool request, struct view *body_r)
{
    struct request_header header = {.length = 0};
    int32_t id;
    size_t length;
    struct view payload = view_from(writer_view(&w), FRAME_SIZE_BYTES);
    if (!writer_ok(&w)) {
        return false;
    }
    if (request) {
        require(request_header_decode(payload, &header) == FRAME_OK);
        length = header.length;
    } else {
        require(response_header_decode(payload, key, version, &id, &length) == FRAME_OK);
    }
    *body_r = view_from(payload, length);
    return true;
}

static void api_versions_request(int16_t version, struct view body)
{
    struct api_versions_request a;
    struct api_versions_request b;
    if (api_versions_decode_request(version, body, &a)) {
        (void)api_versions_software_valid(a.software_name);
        api_versions_encode_request(&w, version, 1, NULL, a.software_name, a.software_version);
        if (body_of(API_API_VERSIONS, version, true, &body)) {
            require(api_versions_decode_request(version, body, &b));
            require(view_equal(a.software_name, b.software_name));
            require(view_equal(a.software_version, b.software_version));
        }
    }
}

static void require_same(const struct api_versions *a, const struct api_versions *b)
{
    require(a->count == b->count && a->error_code == b->error_code);
    for (size_t i = 0; i < a->count; i++) {
        require(a->ranges[i].key == b->ranges[i].key && a->ranges[i].min == b->ranges[i].min &&
                a->ranges[i].max == b->ranges[i].max && a->ranges[i].min <= a->ranges[i].max);
        require(i == 0 || a->ranges[i - 1].key < a->ranges[i].key);
    }
}

static void api_versions_response(int16_t version, struct view body)
{
    struct api_versions a;
    struct api_versions b;
    if (!api_versions_decode_response(version, body, &a)) {
        return;
    }
    if (a.error_code == HANDSHAKE_UNSUPPORTED_VERSION) {
        version = 0;
    }
    api_versions_encode_response(&w, version, 1, &a);
    require(body_of(API_API_VERSIONS, version, false, &body));
    require(api_versions_decode_response(version, body, &b));
    require_same(&a, &b);
    api_versions_admit(&a, &a);
    for (size_t i = 0; i < a.count; i++) {
        require(api_admits(a.ranges[i].key, a.ranges[i].min));
        require(api_admits(a.ranges[i].key, a.ranges[i].max));
    }
    api_versions_intersect(&a, &a, &b);
    require_same(&a, &b);
}

static void sasl_handshake(int16_t version, struct view body)
{
    struct view mechanism;
    struct view again;
    struct sasl_handshake_response a;
    struct sasl_handshake_response b;
    struct view encoded;
    if (sasl_handshake_decode_request(body, &mechanism)) {
        sasl_handshake_encode_request(&w, version, 1, NULL, mechanism);
        require(body_of(API_SASL_HANDSHAKE, version, true, &encoded));
        require(sasl_handshake_decode_request(encoded, &again) && view_equal(mechanism, again));
        writer_reset(&w);
    }
    if (sasl_handshake_decode_response(body, &a)) {
        sasl_handshake_encode_response(&w, version, 1, &a);
        if (body_of(API_SASL_HANDSHAKE, version, false, &encoded)) {
            require(sasl_handshake_decode_response(encoded, &b) && a.count == b.count);
        }
    }
}

static void sasl_authenticate(int16_t version, struct view body)
{
    struct view token;
    struct view again;
    struct sasl_authenticate_response a;
    struct sasl_authenticate_response b;
    struct view encoded;
    if (sasl_authenticate_decode_request(version, body, &token)) {
        sasl_authenticate_encode_request(&w, version, 1, NULL, token);
        if (body_of(API_SASL_AUTHENTICATE, version, true, &encoded)) {
            require(sasl_authenticate_decode_request(version, encoded, &again));
            require(view_equal(token, again));
        }
        writer_reset(&w);
    }
    if (sasl_authenticate_decode_response(version, body, &a)) {
        sasl_authenticate_encode_response(&w, version, 1, &a);
        if (body_of(API_SASL_AUTHENTICATE, version, false, &encoded)) {
            require(sasl_authenticate_decode_response(version, encoded, &b));
            require(view_equal(a.error_message, b.error_message));
            require(view_equal(a.auth_bytes, b.auth_bytes));
            require(a.session_lifetime_ms == b.session_lifetime_ms);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct view body = view_of(data + 2, size - 2);
    writer_init_fixed(&w, memory, sizeof memory);
    switch (data[0] % 4) {
    case 0:
        api_versions_request(data[1] % 6, body);
        break;
    case 1:
        api_versions_response(data[1] % 5, body);
        break;
    case 2:
        sasl_handshake(data[1] % 2, body);
        break;
    default:
        sasl_authenticate(data[1] % 3, body);
        break;
    }
    return 0;
}
