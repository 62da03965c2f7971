/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/handshake.h"
#include "tests/bench/common.h"
#include "tests/bench/sink.h"

enum { METADATA_VERSION = 9, API_VERSIONS_VERSION_MAX = 4, NODE_ID = 1 };
enum { INIT_PRODUCER_ID_VERSION = 1, PRODUCER_ID = 1000 };

void sink_answer_produce(struct sink_conn *conn)
{
    struct view answer = writer_view(&conn->sink->produce_answer.frame);
    uint8_t *at = writer_reserve(&conn->out, answer.length);
    if (at == NULL) {
        conn->broken = true;
        return;
    }
    memcpy(at, answer.at, answer.length);
    bytes_store_u32(at + PAYLOAD_ANSWER_ID_AT, (uint32_t)conn->id);
}

static bool answer_fetch(struct sink_conn *conn)
{
    if (conn->waiting_count == SINK_INFLIGHT_MAX) {
        return false;
    }
    size_t last = conn->waiting_first + conn->waiting_count++;
    conn->waiting[last % SINK_INFLIGHT_MAX] = conn->id;
    return true;
}

static const struct api_versions versions = {
    .ranges = {{API_PRODUCE, PAYLOAD_PRODUCE_VERSION, PAYLOAD_PRODUCE_VERSION},
               {API_FETCH, PAYLOAD_FETCH_VERSION, PAYLOAD_FETCH_VERSION},
               {API_LIST_OFFSETS, 2, 2},
               {API_METADATA, METADATA_VERSION, METADATA_VERSION},
               {SINK_OFFSET_COMMIT, 5, 5},
               {SINK_OFFSET_FETCH, 3, 3},
               {API_FIND_COORDINATOR, 2, 2},
               {SINK_JOIN_GROUP, 3, 3},
               {SINK_HEARTBEAT, 1, 1},
               {SINK_LEAVE_GROUP, 1, 1},
               {SINK_SYNC_GROUP, 1, 1},
               {API_API_VERSIONS, 0, API_VERSIONS_VERSION_MAX},
               {API_INIT_PRODUCER_ID, INIT_PRODUCER_ID_VERSION, INIT_PRODUCER_ID_VERSION}},
    .count = 13,
};

/* In a version of the table; ApiVersions has an answer to every version. */
static bool offered(const struct request_header *header)
{
    int16_t version = header->api_version;
    const struct api_range *range = api_versions_find(&versions, header->api_key);
    return range != NULL && (header->api_key == API_API_VERSIONS ||
                             (version >= range->min && version <= range->max));
}

static void answer_versions(struct sink_conn *conn, const struct request_header *header)
{
    if (header->api_version > API_VERSIONS_VERSION_MAX) {
        api_versions_unsupported(&conn->out, conn->id);
    } else {
        api_versions_encode_response(&conn->out, header->api_version, conn->id, &versions);
    }
}

void sink_answer_node(struct sink_conn *conn, bool compact)
{
    char host[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &conn->door->address.sin_addr, host, sizeof host);
    writer_i32(&conn->out, NODE_ID);
    writer_string(&conn->out, compact, view_from_string(host));
    writer_i32(&conn->out, ntohs(conn->door->address.sin_port));
}

/* One broker, which is this door, and the topic, whatever was asked for. */
static void answer_metadata(struct sink_conn *conn)
{
    struct writer *out = &conn->out;
    size_t frame = frame_response_begin(out, API_METADATA, METADATA_VERSION, conn->id);
    writer_i32(out, 0); /* throttle time */
    writer_array(out, true, 1);
    sink_answer_node(conn, true);
    writer_null_string(out, true); /* rack */
    writer_no_tags(out);
    writer_string(out, true, view_from_string("setu-sink"));
    writer_i32(out, NODE_ID); /* controller */
    sink_topic_metadata(&conn->sink->topic, out);
    writer_i32(out, INT32_MIN); /* authorised operations: not asked */
    writer_no_tags(out);
    frame_end(out, frame);
}

/* The same id for everybody: sequences are not looked at. */
static void answer_producer_id(struct sink_conn *conn)
{
    struct writer *out = &conn->out;
    size_t frame =
        frame_response_begin(out, API_INIT_PRODUCER_ID, INIT_PRODUCER_ID_VERSION, conn->id);
    writer_i32(out, 0); /* throttle time */
    writer_i16(out, 0);
    writer_i64(out, PRODUCER_ID);
    writer_i16(out, 0); /* epoch */
    frame_end(out, frame);
}

void sink_answer_small(struct sink_conn *conn)
{
    struct request_header header;
    bool good = request_header_decode(writer_view(&conn->small), &header) == FRAME_OK;
    good = good && offered(&header);
    switch (good ? header.api_key : -1) {
    case -1:
        break;
    case API_API_VERSIONS:
        answer_versions(conn, &header);
        break;
    case API_METADATA:
        answer_metadata(conn);
        break;
    case API_INIT_PRODUCER_ID:
        answer_producer_id(conn);
        break;
    case API_FETCH:
        good = conn->sink->topic.name != NULL ? sink_topic_answer_fetch(conn, &header)
                                              : answer_fetch(conn);
        break;
    default:
        good = sink_group_answer(conn, &header);
    }
    if (!good || !writer_ok(&conn->out)) {
        fprintf(stderr, "setu-sink: no answer to %s\n", api_name(conn->key));
        conn->broken = true;
    }
}
