/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a message that is held and looked into. First byte: which table, second: which
 * version, the rest: the payload. A response that is rewritten has as many addresses as visiting
 * finds, all of them the new one, and rewriting it once more, to the same, changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/endpoint.h"
#include "protocol/schema_tables.h"

enum { CAP = 1 << 20, FRAME_SIZE = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool to_setu(void *context, const struct endpoint *from, struct endpoint *to_r)
{
    (void)from;
    ++*(size_t *)context;
    to_r->host = view_from_string("localhost");
    to_r->port = 19092;
    return true;
}

static bool is_setu(void *context, const struct endpoint *endpoint)
{
    ++*(size_t *)context;
    return view_is(endpoint->host, "localhost") && endpoint->port == 19092;
}

static bool any(void *context, const struct endpoint *endpoint)
{
    (void)endpoint;
    ++*(size_t *)context;
    return true;
}

static void check_again(int16_t key, int16_t version, const struct writer *first, size_t addresses)
{
    struct writer again;
    size_t mapped = 0;
    size_t visited = 0;
    struct view payload = view_from(writer_view(first), FRAME_SIZE);
    writer_init_growing(&again, CAP);
    if (endpoint_visit(key, version, payload, is_setu, &visited) != ENDPOINT_OK ||
        visited != addresses ||
        endpoint_rewrite(key, version, payload, to_setu, &mapped, &again) != ENDPOINT_OK ||
        mapped != addresses || !view_equal(writer_view(first), writer_view(&again))) {
        abort();
    }
    writer_free(&again);
}

static void check_response(int16_t key, int16_t version, struct view payload)
{
    struct writer out;
    size_t mapped = 0;
    size_t visited = 0;
    writer_init_growing(&out, CAP);
    enum endpoint_status rewritten =
        endpoint_rewrite(key, version, payload, to_setu, &mapped, &out);
    enum endpoint_status seen = endpoint_visit(key, version, payload, any, &visited);
    if (rewritten != ENDPOINT_TOO_LARGE && (rewritten != seen || mapped != visited)) {
        abort();
    }
    if (rewritten == ENDPOINT_OK) {
        check_again(key, version, &out, mapped);
    }
    writer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct schema_message *message = schema_at(data[0] % schema_count());
    struct view payload = view_of(data + 2, size - 2);
    int16_t version = (int16_t)data[1];
    if (message->request) {
        int32_t replica_id;
        (void)!request_replica_id(message->key, version, payload, &replica_id);
    } else {
        check_response(message->key, version, payload);
    }
    return 0;
}
