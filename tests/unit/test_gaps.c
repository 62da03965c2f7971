/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/gaps.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"

enum { ROOM = 4096, METADATA_VERSIONS = 14, SEEN = 16 };

static void tags(struct writer *w, bool flexible)
{
    if (flexible) {
        writer_no_tags(w);
    }
}

/* ---- answers by hand ---- */

static void broker(struct writer *w, int16_t key, int16_t v, bool flexible, int32_t id)
{
    writer_i32(w, id);
    writer_string(w, flexible, view_from_string("broker.example"));
    writer_i32(w, 9090 + id);
    if (key == API_DESCRIBE_CLUSTER || v >= 1) {
        writer_null_string(w, flexible);
    }
    if (key == API_DESCRIBE_CLUSTER && v >= 2) {
        writer_bool(w, false);
    }
    tags(w, flexible);
}

static void nodes(struct writer *w, bool flexible, int32_t a, int32_t b)
{
    writer_array(w, flexible, 2);
    writer_i32(w, a);
    writer_i32(w, b);
}

static void partition(struct writer *w, int16_t v, int32_t number, int16_t error, int32_t leader)
{
    bool flexible = v >= 9;
    writer_i16(w, error);
    writer_i32(w, number);
    writer_i32(w, leader);
    if (v >= 7) {
        writer_i32(w, 40 + number);
    }
    nodes(w, flexible, 1, 3);
    nodes(w, flexible, 3, 1);
    if (v >= 5) {
        writer_array(w, flexible, 0);
    }
    tags(w, flexible);
}

/* A broker asked under a name that 3 has no listener of; partition 1 is 3's, 2 is nobody's. */
static struct view metadata(int16_t v, uint8_t *memory)
{
    static const uint8_t id[16] = "an id of a topic";
    struct writer w;
    bool flexible = v >= 9;
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_response_begin(&w, API_METADATA, v, 77);
    if (v >= 3) {
        writer_i32(&w, 0);
    }
    writer_array(&w, flexible, 2);
    broker(&w, API_METADATA, v, flexible, 1);
    broker(&w, API_METADATA, v, flexible, 2);
    if (v >= 2) {
        writer_string(&w, flexible, view_from_string("cluster"));
    }
    if (v >= 1) {
        writer_i32(&w, 3);
    }
    writer_array(&w, flexible, 1);
    writer_i16(&w, 0);
    writer_string(&w, flexible, view_from_string("orders"));
    if (v >= 10) {
        writer_put(&w, view_of(id, sizeof id));
    }
    if (v >= 1) {
        writer_bool(&w, false);
    }
    writer_array(&w, flexible, 3);
    partition(&w, v, 0, 0, 1);
    partition(&w, v, 1, v >= 6 ? GAPS_LISTENER_NOT_FOUND : GAPS_LEADER_NOT_AVAILABLE, -1);
    partition(&w, v, 2, GAPS_LEADER_NOT_AVAILABLE, -1);
    if (v >= 8) {
        writer_i32(&w, INT32_MIN);
    }
    tags(&w, flexible);
    if (v >= 8 && v <= 10) {
        writer_i32(&w, INT32_MIN);
    }
    if (v >= 13) {
        writer_i16(&w, 0);
    }
    tags(&w, flexible);
    frame_end(&w, frame);
    cr_assert(writer_ok(&w));
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

static struct view described(int16_t v, int8_t type, int16_t error_code, uint8_t *memory)
{
    struct writer w;
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_response_begin(&w, API_DESCRIBE_CLUSTER, v, 77);
    writer_i32(&w, 0);
    writer_i16(&w, error_code);
    writer_null_string(&w, true);
    if (v >= 1) {
        writer_i8(&w, type);
    }
    writer_string(&w, true, view_from_string("cluster"));
    writer_i32(&w, 3);
    writer_array(&w, true, 1);
    broker(&w, API_DESCRIBE_CLUSTER, v, true, 1);
    writer_i32(&w, INT32_MIN);
    writer_no_tags(&w);
    frame_end(&w, frame);
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

static void coordinator(struct writer *w, int16_t v, const char *key, int16_t error)
{
    bool flexible = v >= 3;
    if (v >= 4) {
        writer_string(w, flexible, view_from_string(key));
    } else {
        writer_i16(w, error);
        if (v >= 1) {
            writer_string(w, flexible, view_from_string("The coordinator is not available."));
        }
    }
    writer_i32(w, error != 0 ? -1 : 1);
    writer_string(w, flexible, view_from_string(error != 0 ? "" : "broker.example"));
    writer_i32(w, error != 0 ? -1 : 9091);
    if (v >= 4) {
        writer_i16(w, error);
        writer_null_string(w, flexible);
    }
    tags(w, flexible && v >= 4);
}

/* Of v4 and later: "a" is coordinated by 1, "Aa" by nobody that the broker could name. */
static struct view found(int16_t v, uint8_t *memory)
{
    struct writer w;
    bool flexible = v >= 3;
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_response_begin(&w, API_FIND_COORDINATOR, v, 77);
    if (v >= 1) {
        writer_i32(&w, 0);
    }
    if (v >= 4) {
        writer_array(&w, flexible, 2);
        coordinator(&w, v, "a", 0);
    }
    coordinator(&w, v, "Aa", GAPS_COORDINATOR_NOT_AVAILABLE);
    tags(&w, flexible);
    frame_end(&w, frame);
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

/* ---- what is seen, and what is put in ---- */

static struct {
    int32_t brokers[SEEN];
    size_t broker_count;
    struct gaps_partition partitions[SEEN];
    size_t partition_count;
    char topic[64];
    int32_t topic_partitions;
    int32_t leader;    /* of partition 1 */
    size_t missing;    /* to be told */
    size_t asked;
    int8_t type;
    int32_t hash;
} s;

static void on_broker(void *context, int32_t node_id)
{
    (void)context;
    s.brokers[s.broker_count++] = node_id;
}

static void on_topic(void *context, struct view name, int16_t error_code, int32_t partitions)
{
    (void)context;
    cr_assert_eq(error_code, 0);
    memcpy(s.topic, name.at, name.length);
    s.topic[name.length] = '\0';
    s.topic_partitions = partitions;
}

static void on_partition(void *context, const struct gaps_partition *partition)
{
    (void)context;
    s.partitions[s.partition_count++] = *partition;
}

static bool on_missing(void *context, struct endpoint *endpoint_r)
{
    (void)context;
    if (s.missing == 0) {
        return false;
    }
    *endpoint_r = (struct endpoint){.node_id = (int32_t)s.missing + 2,
                                    .host = view_from_string("ajna.example"),
                                    .port = 9093,
                                    .rack = view_from_string("r3"),
                                    .rack_null = s.missing > 1};
    s.missing--;
    return true;
}

static int32_t on_leader(void *context, const struct gaps_partition *partition)
{
    (void)context;
    s.asked++;
    cr_assert_eq(partition->leader, -1);
    return partition->partition == 1 ? s.leader : -1;
}

static bool on_coordinator(void *context, int8_t type, int32_t hash, struct endpoint *endpoint_r)
{
    (void)context;
    s.asked++;
    s.type = type;
    s.hash = hash;
    *endpoint_r = (struct endpoint){
        .node_id = s.leader, .host = view_from_string("ajna.example"), .port = 9093};
    return s.leader >= 0;
}

static const struct gaps_filler seeing = {
    .broker = on_broker, .topic = on_topic, .partition = on_partition};
static const struct gaps_filler filling = {.broker = on_broker,
                                           .missing = on_missing,
                                           .leader = on_leader,
                                           .coordinator = on_coordinator};

static void forget(int32_t leader, size_t missing)
{
    memset(&s, 0, sizeof s);
    s.leader = leader;
    s.missing = missing;
}

static void see(int16_t key, int16_t v, struct view payload)
{
    bool changed;
    forget(-1, 0);
    cr_assert_eq(gaps_fill(key, v, payload, NULL, &seeing, NULL, NULL, &changed), ENDPOINT_OK);
    cr_assert_not(changed);
}

/* ---- Metadata ---- */

Test(gaps, metadata_is_read_in_all_versions)
{
    uint8_t memory[ROOM];
    for (int16_t v = 0; v < METADATA_VERSIONS; v++) {
        see(API_METADATA, v, metadata(v, memory));
        cr_assert(s.broker_count == 2 && s.brokers[0] == 1 && s.brokers[1] == 2);
        cr_assert_str_eq(s.topic, "orders");
        cr_assert_eq(s.topic_partitions, 3);
        cr_assert_eq(s.partition_count, 3u);
        cr_assert_eq(s.partitions[0].leader, 1);
        cr_assert_eq(s.partitions[1].leader, -1);
        cr_assert_eq(s.partitions[1].epoch, v >= 7 ? 41 : -1);
    }
}

Test(gaps, brokers_and_leaders_are_put_in_and_nothing_else_changes)
{
    uint8_t memory[ROOM], again[ROOM];
    for (int16_t v = 0; v < METADATA_VERSIONS; v++) {
        struct view payload = metadata(v, memory);
        struct writer out;
        bool changed;
        writer_init_fixed(&out, again, sizeof again);
        forget(3, 2);
        cr_assert_eq(gaps_fill(API_METADATA, v, payload, NULL, &filling, NULL, &out, &changed),
                     ENDPOINT_OK);
        cr_assert(changed);
        cr_assert_eq(s.asked, v >= 6 ? 1u : 2u, "before v6 error 5 may be a gap");
        see(API_METADATA, v, writer_view(&out));
        cr_assert(s.broker_count == 4 && s.brokers[2] == 4 && s.brokers[3] == 3);
        cr_assert_eq(s.partition_count, 3u);
        cr_assert_eq(s.partitions[0].leader, 1);
        cr_assert_eq(s.partitions[1].leader, 3);
        cr_assert_eq(s.partitions[1].error_code, 0);
        cr_assert_eq(s.partitions[1].partition, 1);
        cr_assert_eq(s.partitions[2].leader, -1);
        cr_assert_eq(s.partitions[2].error_code, GAPS_LEADER_NOT_AVAILABLE);
        /* One broker with a rack, one without. */
        size_t prefix = v >= 9 ? 1 : 2, tag = v >= 9 ? 1 : 0;
        size_t each = 4 + prefix + strlen("ajna.example") + 4 + tag;
        size_t racks = v >= 9 ? 1 + 1 + 2 : v >= 1 ? 2 + 2 + 2 : 0;
        cr_assert_eq(out.length, payload.length + 2 * each + racks, "v%d", v);
    }
}

Test(gaps, what_is_not_known_stays_as_the_broker_said)
{
    uint8_t memory[ROOM], again[ROOM];
    struct writer out;
    bool changed;
    writer_init_fixed(&out, again, sizeof again);
    forget(-1, 0);
    cr_assert_eq(gaps_fill(API_METADATA, 9, metadata(9, memory), NULL, &filling, NULL, &out,
                           &changed),
                 ENDPOINT_OK);
    cr_assert_eq(s.asked, 1u);
    cr_assert_not(changed);
    cr_assert_eq(out.length, 0u);
}

Test(gaps, a_leader_out_of_sync_is_none)
{
    uint8_t memory[ROOM], again[ROOM];
    struct writer out;
    bool changed;
    writer_init_fixed(&out, again, sizeof again);
    forget(2, 0);
    cr_assert_eq(gaps_fill(API_METADATA, 9, metadata(9, memory), NULL, &filling, NULL, &out,
                           &changed),
                 ENDPOINT_OK);
    cr_assert_not(changed);
}

Test(gaps, prefixes_and_surplus_are_refused)
{
    uint8_t memory[ROOM], again[ROOM];
    bool changed;
    for (int16_t v = 0; v < METADATA_VERSIONS; v++) {
        struct view payload = metadata(v, memory);
        for (size_t length = 0; length < payload.length; length++) {
            uint8_t *part = malloc(length + 1); /* so that a sanitizer sees a step too far */
            struct writer out;
            memcpy(part, payload.at, length);
            writer_init_fixed(&out, again, sizeof again);
            forget(3, 1);
            cr_assert_eq(gaps_fill(API_METADATA, v, view_of(part, length), NULL, &filling, NULL,
                                   &out, &changed),
                         ENDPOINT_BAD);
            cr_assert_not(changed);
            free(part);
        }
        memory[FRAME_SIZE_BYTES + payload.length] = 0;
        payload.length++;
        cr_assert_eq(gaps_fill(API_METADATA, v, payload, NULL, &seeing, NULL, NULL, &changed),
                     ENDPOINT_BAD);
    }
}

Test(gaps, no_room_is_said)
{
    uint8_t memory[ROOM], again[ROOM];
    struct view payload = metadata(12, memory);
    struct writer out;
    bool changed;
    writer_init_fixed(&out, again, payload.length);
    forget(3, 1);
    cr_assert_eq(gaps_fill(API_METADATA, 12, payload, NULL, &filling, NULL, &out, &changed),
                 ENDPOINT_TOO_LARGE);
}

/* ---- DescribeCluster ---- */

Test(gaps, described_brokers_are_put_in_but_no_controllers)
{
    uint8_t memory[ROOM], again[ROOM];
    for (int16_t v = 0; v < 3; v++) {
        for (int8_t type = 1; type <= 2; type++) {
            struct writer out;
            bool changed;
            struct view payload = described(v, type, 0, memory);
            writer_init_fixed(&out, again, sizeof again);
            forget(3, 1);
            cr_assert_eq(gaps_fill(API_DESCRIBE_CLUSTER, v, payload, NULL, &filling, NULL, &out,
                                   &changed),
                         ENDPOINT_OK);
            cr_assert_eq(changed, v == 0 || type == 1);
            see(API_DESCRIBE_CLUSTER, v, changed ? writer_view(&out) : payload);
            cr_assert_eq(s.broker_count, changed ? 2u : 1u);
        }
    }
}

Test(gaps, an_answer_that_is_an_error_gets_no_brokers)
{
    uint8_t memory[ROOM], again[ROOM];
    for (int16_t v = 0; v < 3; v++) {
        struct writer out;
        bool changed;
        struct view payload = described(v, 1, 31 /* CLUSTER_AUTHORIZATION_FAILED */, memory);
        writer_init_fixed(&out, again, sizeof again);
        forget(3, 1);
        cr_assert_eq(
            gaps_fill(API_DESCRIBE_CLUSTER, v, payload, NULL, &filling, NULL, &out, &changed),
            ENDPOINT_OK);
        cr_assert_not(changed, "v%d", v);
    }
}

/* ---- FindCoordinator ---- */

struct visited {
    int32_t node_id[4];
    size_t count;
};

static bool on_visit(void *context, const struct endpoint *endpoint)
{
    struct visited *visited = context;
    visited->node_id[visited->count++] = endpoint->node_id;
    return true;
}

Test(gaps, coordinators_are_put_in)
{
    uint8_t memory[ROOM], again[ROOM];
    for (int16_t v = 0; v <= 6; v++) {
        struct writer out;
        bool changed;
        struct visited visited = {.count = 0};
        struct gaps_question question = {.type = GAPS_TRANSACTION, .hash = 2112};
        struct view payload = found(v, memory);
        writer_init_fixed(&out, again, sizeof again);
        forget(3, 0);
        cr_assert_eq(gaps_fill(API_FIND_COORDINATOR, v, payload, &question, &filling, NULL, &out,
                               &changed),
                     ENDPOINT_OK);
        cr_assert(changed);
        cr_assert_eq(s.asked, 1u);
        cr_assert_eq(s.type, GAPS_TRANSACTION);
        cr_assert_eq(s.hash, 2112, "v%d", v);
        cr_assert_eq(endpoint_visit(API_FIND_COORDINATOR, v, writer_view(&out), on_visit, &visited),
                     ENDPOINT_OK);
        cr_assert_eq(visited.count, v >= 4 ? 2u : 1u);
        cr_assert_eq(visited.node_id[visited.count - 1], 3);
        writer_init_fixed(&out, again, sizeof again);
        forget(-1, 0);
        cr_assert_eq(gaps_fill(API_FIND_COORDINATOR, v, payload, &question, &filling, NULL, &out,
                               &changed),
                     ENDPOINT_OK);
        cr_assert_not(changed);
        question.type = -1;
        forget(3, 0);
        cr_assert_eq(gaps_fill(API_FIND_COORDINATOR, v, payload, &question, &filling, NULL, &out,
                               &changed),
                     ENDPOINT_OK);
        cr_assert_eq(s.asked, 0u, "nobody knows what was asked");
        for (size_t length = 0; length < payload.length; length++) {
            cr_assert_eq(gaps_fill(API_FIND_COORDINATOR, v, view_of(payload.at, length), &question,
                                   &seeing, NULL, &out, &changed),
                         ENDPOINT_BAD);
        }
    }
}

static struct view asked(int16_t v, const char *key, uint8_t *memory)
{
    struct writer w;
    writer_init_fixed(&w, memory, ROOM);
    size_t frame = frame_request_begin(&w, API_FIND_COORDINATOR, v, 7, NULL);
    if (v >= 4) {
        writer_i8(&w, GAPS_TRANSACTION);
        writer_array(&w, true, 1);
    }
    writer_string(&w, v >= 3, view_from_string(key));
    if (v >= 1 && v < 4) {
        writer_i8(&w, GAPS_TRANSACTION);
    }
    tags(&w, v >= 3);
    frame_end(&w, frame);
    return view_from(writer_view(&w), FRAME_SIZE_BYTES);
}

Test(gaps, questions)
{
    uint8_t memory[ROOM];
    for (int16_t v = 0; v <= 6; v++) {
        struct gaps_question question;
        struct view payload = asked(v, "Aa", memory);
        cr_assert(gaps_question_read(v, payload, &question));
        cr_assert_eq(question.type, v >= 1 ? GAPS_TRANSACTION : GAPS_GROUP);
        cr_assert_eq(question.hash, v >= 4 ? 0 : 2112);
        cr_assert_not(gaps_question_read((int16_t)(v + 1), payload, &question));
        cr_assert_not(gaps_question_read(v, view_of(payload.at, 11), &question));
        cr_assert_eq(question.type, -1);
    }
}

Test(gaps, hashes_as_java_does)
{
    static const struct {
        const char *text;
        int32_t hash;
    } good[] = {{"", 0},
                {"a", 97},
                {"Aa", 2112},
                {"BB", 2112},
                {"orders-group", -403968617},
                {"\xc3\xa9", 233},
                {"\xf0\x9f\x98\x80", 1772899},
                {"\xef\xbf\xbf", 65535},
                {"polygenelubricants", INT32_MIN}};
    static const char *const bad[] = {"\xff",         "\xc3",         "\xc0\x80", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\xe2\x28\xa1", "a\x80"};
    int32_t hash;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(gaps_hash(view_from_string(good[i].text), &hash));
        cr_assert_eq(hash, good[i].hash, "%s: %d", good[i].text, hash);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(gaps_hash(view_from_string(bad[i]), &hash), "%zu", i);
    }
    cr_assert_eq(gaps_partition_of(INT32_MIN, 50), 0);
    cr_assert_eq(gaps_partition_of(-403968617, 50), 17);
    cr_assert_eq(gaps_partition_of(2112, 50), 12);
    cr_assert_eq(gaps_partition_of(2112, 0), -1);
}
