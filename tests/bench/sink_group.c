/* SPDX-License-Identifier: Apache-2.0 */
/* What Kafka's own consumer asks before and beside Fetch. Every group has one member, who leads it;
 * nobody has committed anything, and every partition begins at 0. */
#include <string.h>

#include "protocol/api.h"
#include "tests/bench/sink.h"

enum { GENERATION = 1 };

static void put_no_error(struct writer *out)
{
    writer_i32(out, 0); /* throttle time */
    writer_i16(out, 0);
}

static void find_coordinator(struct sink_conn *conn)
{
    put_no_error(&conn->out);
    writer_null_string(&conn->out, false);
    sink_answer_node(conn, false);
}

/* The first of the protocols offered, and the member's own metadata back, for it is the leader. */
static bool join_group(struct reader *in, struct writer *out)
{
    static const char member[] = "setu-sink-member";
    struct view group, id, type, protocol, metadata;
    int32_t count;
    bool good = reader_string(in, false, &group, NULL) && reader_skip(in, 2 * sizeof(int32_t)) &&
                reader_string(in, false, &id, NULL) && reader_string(in, false, &type, NULL) &&
                reader_array(in, false, false, &count) && count > 0 &&
                reader_string(in, false, &protocol, NULL) &&
                reader_bytes(in, false, &metadata, NULL);
    if (!good) {
        return false;
    }
    put_no_error(out);
    writer_i32(out, GENERATION);
    writer_string(out, false, protocol);
    writer_string(out, false, view_from_string(member)); /* leader */
    writer_string(out, false, view_from_string(member)); /* and this member */
    writer_array(out, false, 1);
    writer_string(out, false, view_from_string(member));
    writer_bytes(out, false, metadata);
    return true;
}

/* The only member gets what the leader, itself, gave it. */
static bool sync_group(struct reader *in, struct writer *out)
{
    struct view group, id, to, assignment;
    int32_t generation, count;
    bool good = reader_string(in, false, &group, NULL) && reader_i32(in, &generation) &&
                reader_string(in, false, &id, NULL) && reader_array(in, false, false, &count) &&
                count == 1 && reader_string(in, false, &to, NULL) &&
                reader_bytes(in, false, &assignment, NULL);
    if (!good) {
        return false;
    }
    put_no_error(out);
    writer_bytes(out, false, assignment);
    return true;
}

/* One partition of a request: what stands after its number is skipped, and it is answered. */
static bool answer_partition(int16_t key, struct reader *in, struct writer *out)
{
    int32_t partition;
    struct view metadata;
    bool null;
    if (!reader_i32(in, &partition) ||
        (key != SINK_OFFSET_FETCH && !reader_skip(in, sizeof(int64_t))) || /* timestamp or offset */
        (key == SINK_OFFSET_COMMIT && !reader_string(in, false, &metadata, &null))) {
        return false;
    }
    writer_i32(out, partition);
    if (key == SINK_OFFSET_FETCH) {
        writer_i64(out, -1);
        writer_string(out, false, view_from_string(""));
    }
    writer_i16(out, 0);
    if (key == API_LIST_OFFSETS) {
        writer_i64(out, -1); /* timestamp */
        writer_i64(out, 0);
    }
    return true;
}

static bool answer_partitions(int16_t key, struct reader *in, struct writer *out)
{
    int32_t topics, partitions;
    struct view name;
    bool good = reader_array(in, false, false, &topics);
    writer_i32(out, 0); /* throttle time */
    writer_array(out, false, good ? topics : 0);
    while (good && topics-- > 0) {
        good = reader_string(in, false, &name, NULL) && reader_array(in, false, false, &partitions);
        writer_string(out, false, name);
        writer_array(out, false, good ? partitions : 0);
        while (good && partitions-- > 0) {
            good = answer_partition(key, in, out);
        }
    }
    return good;
}

static bool list_offsets(struct reader *in, struct writer *out)
{
    return reader_skip(in, sizeof(int32_t) + 1) && /* replica, isolation */
           answer_partitions(API_LIST_OFFSETS, in, out);
}

static bool offset_fetch(struct reader *in, struct writer *out)
{
    struct view group;
    bool good =
        reader_string(in, false, &group, NULL) && answer_partitions(SINK_OFFSET_FETCH, in, out);
    writer_i16(out, 0);
    return good;
}

static bool offset_commit(struct reader *in, struct writer *out)
{
    struct view group, member;
    int32_t generation;
    return reader_string(in, false, &group, NULL) && reader_i32(in, &generation) &&
           reader_string(in, false, &member, NULL) &&
           answer_partitions(SINK_OFFSET_COMMIT, in, out);
}

bool sink_group_answer(struct sink_conn *conn, const struct request_header *header)
{
    struct writer *out = &conn->out;
    struct reader in = reader_init(view_from(writer_view(&conn->small), header->length));
    size_t frame = frame_response_begin(out, header->api_key, header->api_version, conn->id);
    bool good = true;
    switch (header->api_key) {
    case API_LIST_OFFSETS:
        good = list_offsets(&in, out);
        break;
    case SINK_OFFSET_COMMIT:
        good = offset_commit(&in, out);
        break;
    case SINK_OFFSET_FETCH:
        good = offset_fetch(&in, out);
        break;
    case API_FIND_COORDINATOR:
        find_coordinator(conn);
        break;
    case SINK_JOIN_GROUP:
        good = join_group(&in, out);
        break;
    case SINK_SYNC_GROUP:
        good = sync_group(&in, out);
        break;
    default: /* Heartbeat, LeaveGroup */
        put_no_error(out);
    }
    frame_end(out, frame);
    return good;
}
