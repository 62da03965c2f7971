/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an answer with gaps. First byte: which, second: its version, the rest: the payload. An answer that was
 * filled can be read, names one broker more, and has nothing left to be filled; one that was not is as it came.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/api.h"
#include "protocol/gaps.h"

enum { CAP = 1 << 20, NODE = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t brokers, filled;
    bool told;
};

static void on_broker(void *context, int32_t node_id)
{
    struct seen *seen = context;
    (void)node_id;
    seen->brokers++;
}

static bool on_missing(void *context, struct endpoint *endpoint_r)
{
    struct seen *seen = context;
    bool first = !seen->told;
    seen->told = true;
    *endpoint_r =
        (struct endpoint){.node_id = NODE, .host = view_from_string("ajna"), .port = 9093};
    return first;
}

static int32_t on_leader(void *context, const struct gaps_partition *partition)
{
    struct seen *seen = context;
    if (partition->leader >= 0 || partition->topic.length == 0) {
        abort();
    }
    seen->filled++;
    return NODE;
}

static bool on_coordinator(void *context, int8_t type, int32_t hash, struct endpoint *endpoint_r)
{
    struct seen *seen = context;
    (void)type;
    (void)hash;
    seen->filled++;
    *endpoint_r =
        (struct endpoint){.node_id = NODE, .host = view_from_string("ajna"), .port = 9093};
    return true;
}

static const struct gaps_filler filling = {.broker = on_broker,
                                           .missing = on_missing,
                                           .leader = on_leader,
                                           .coordinator = on_coordinator};
static const struct gaps_filler rest = {
    .broker = on_broker, .leader = on_leader, .coordinator = on_coordinator};

static void check_again(int16_t key, int16_t version, struct view payload, size_t brokers)
{
    static const struct gaps_question question = {.type = GAPS_GROUP, .hash = 1};
    struct seen seen = {0};
    struct writer out;
    bool changed;
    writer_init_growing(&out, CAP);
    if (gaps_fill(key, version, payload, &question, &rest, &seen, &out, &changed) != ENDPOINT_OK ||
        changed || seen.brokers != brokers) {
        abort();
    }
    writer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int16_t keys[] = {API_METADATA, API_DESCRIBE_CLUSTER, API_FIND_COORDINATOR};
    struct gaps_question question = {.type = GAPS_GROUP, .hash = 1};
    struct seen seen = {0};
    struct writer out;
    bool changed;
    if (size < 2) {
        return 0;
    }
    int16_t key = keys[data[0] % 3], version = (int16_t)(data[1] & 0x0f);
    struct view payload = view_of(data + 2, size - 2);
    writer_init_growing(&out, CAP);
    enum endpoint_status status =
        gaps_fill(key, version, payload, &question, &filling, &seen, &out, &changed);
    if (status == ENDPOINT_OK && changed) {
        check_again(key, version, writer_view(&out), seen.brokers + (seen.told ? 1 : 0));
    } else if (status == ENDPOINT_OK && seen.told) {
        abort();
    }
    (void)!gaps_question_read(version, payload, &question);
    writer_free(&out);
    return 0;
}
