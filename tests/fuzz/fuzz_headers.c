/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the payload of a request, and, after a key and a version, of a response. A header
 * that is accepted needs every one of its bytes, and none after them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct view payload)
{
    struct request_header header;
    struct request_header other;
    if (request_header_decode(payload, &header) != FRAME_OK) {
        return;
    }
    if (header.length > payload.length ||
        header.client_id.length > (header.client_id_null ? 0 : payload.length)) {
        abort();
    }
    for (size_t n = 0; n < header.length; n++) {
        if (request_header_decode(view_of(payload.at, n), &other) != FRAME_MORE) {
            abort();
        }
    }
    if (request_header_decode(view_of(payload.at, header.length), &other) != FRAME_OK) {
        abort();
    }
}

static void check_response(int16_t key, int16_t version, struct view payload)
{
    int32_t id;
    size_t length;
    if (response_header_decode(payload, key, version, &id, &length) != FRAME_OK) {
        return;
    }
    for (size_t n = 0; n < length; n++) {
        int32_t other_id;
        size_t other;
        if (response_header_decode(view_of(payload.at, n), key, version, &other_id, &other) !=
            FRAME_MORE) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = view_of(data, size);
    check_request(input);
    if (size >= 4) {
        int16_t key = (int16_t)bytes_load_u16(data);
        int16_t version = (int16_t)bytes_load_u16(data + 2);
        check_response(key, version, view_from(input, 4));
    }
    return 0;
}
