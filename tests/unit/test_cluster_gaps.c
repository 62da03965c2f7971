/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes 1 and 2 want SASL and tell of each other; node 3 does not, and tells of itself. */
#include <string.h>

#include "protocol/frame.h"
#include "tests/unit/cluster_kit.h"

TestSuite(cluster_gaps, .init = kit_setup, .fini = kit_teardown);

enum { ROOM = 8192, LEGACY_EPOCH = 4 };

static const char merged[] = "    metadata: merged\n";

static const struct fake_topic of_legacy[] = {
    {.name = "orders", .leaders = {1, -1}, .epochs = {9, LEGACY_EPOCH}, .partitions = 2},
    {.name = "__consumer_offsets", .leaders = {1, -1}, .epochs = {1, 2}, .partitions = 2}};
static struct fake_topic of_ajna[2];

static bool is_3_live(void)
{
    return kit.opened_count >= SERVERS && kit_node(3).live;
}

static bool is_3_down(void)
{
    return !kit_node(3).live;
}

static void start(const char *password, const char *more)
{
    kit.bootstrap_all = true;
    of_ajna[0] = (struct fake_topic){
        .name = "orders", .leaders = {-1, 3}, .epochs = {9, LEGACY_EPOCH}, .partitions = 2};
    of_ajna[1] = (struct fake_topic){
        .name = "__consumer_offsets", .leaders = {-1, 3}, .epochs = {1, 2}, .partitions = 2};
    kit.servers[2].broker.mechanisms = NULL;
    kit_start(kit_by_look, password, more);
    for (int i = 0; i < SERVERS; i++) {
        struct fake_broker *broker = &kit.servers[i].broker;
        broker->metadata_max = 8;
        broker->node_count = i < 2 ? 2 : 1;
        broker->nodes = i < 2 ? &kit.nodes[0] : &kit.nodes[2];
        broker->topics = i < 2 ? of_legacy : of_ajna;
        broker->topic_count = 2;
    }
    cr_assert(kit_run_until(kit_is_ready, 20000));
    cr_assert(kit_run_until(is_3_live, 20000));
}

/* ---- what a client would be told ---- */

static struct {
    bool changed;
    int32_t brokers[8];
    size_t count;
    int32_t leaders[4];
    int32_t coordinator;
} told;

static void on_broker(void *context, int32_t node_id)
{
    (void)context;
    told.brokers[told.count++] = node_id;
}

static void on_partition(void *context, const struct gaps_partition *partition)
{
    (void)context;
    if (view_is(partition->topic, "orders")) {
        told.leaders[partition->partition] = partition->leader;
    }
}

static bool on_endpoint(void *context, const struct endpoint *endpoint)
{
    (void)context;
    told.coordinator = endpoint->node_id;
    return true;
}

static bool all_but_3(void *context, int32_t node_id)
{
    (void)context;
    return node_id != 3;
}

static const struct cluster_audience without_3 = {.reaches = all_but_3};
static const struct cluster_audience *audience; /* NULL: all */

/* Node 1 answers a client's Metadata. */
static void ask_metadata(int16_t version)
{
    static const struct gaps_filler seeing = {.broker = on_broker, .partition = on_partition};
    uint8_t memory[ROOM], filled[ROOM];
    struct writer request, answer, out;
    struct route route;
    bool changed;
    cr_assert_eq(cluster_route(kit.cluster, 1, &route), ROUTE_OK);
    writer_init_fixed(&request, filled, sizeof filled);
    metadata_encode_request(&request, version, 1, NULL,
                            view_of("\0\6orders\0\22__consumer_offsets", 28));
    writer_init_fixed(&answer, memory, sizeof memory);
    struct fake_broker broker = kit.servers[0].broker;
    fake_broker_answer(&broker, writer_view(&request), &answer);
    struct view payload = view_from(writer_view(&answer), FRAME_SIZE_BYTES);
    memset(&told, 0, sizeof told);
    writer_init_fixed(&out, filled, sizeof filled);
    cr_assert_eq(cluster_fill_gaps(kit.cluster, &route, API_METADATA, version, NULL, audience,
                                   payload, &out, &told.changed),
                 ENDPOINT_OK);
    payload = told.changed ? writer_view(&out) : payload;
    cr_assert_eq(gaps_fill(API_METADATA, version, payload, NULL, &seeing, NULL, NULL, &changed),
                 ENDPOINT_OK);
}

static void ask_coordinator(int32_t hash)
{
    uint8_t memory[ROOM], filled[ROOM];
    struct writer answer, out;
    struct route route;
    struct gaps_question question = {.type = GAPS_GROUP, .hash = hash};
    cr_assert_eq(cluster_route(kit.cluster, 1, &route), ROUTE_OK);
    writer_init_fixed(&answer, memory, sizeof memory);
    size_t frame = frame_response_begin(&answer, API_FIND_COORDINATOR, 0, 1);
    writer_i16(&answer, GAPS_COORDINATOR_NOT_AVAILABLE);
    writer_i32(&answer, -1);
    writer_string(&answer, false, view_from_string(""));
    writer_i32(&answer, -1);
    frame_end(&answer, frame);
    struct view payload = view_from(writer_view(&answer), FRAME_SIZE_BYTES);
    memset(&told, 0, sizeof told);
    told.coordinator = -1;
    writer_init_fixed(&out, filled, sizeof filled);
    cr_assert_eq(cluster_fill_gaps(kit.cluster, &route, API_FIND_COORDINATOR, 0, &question,
                                   audience, payload, &out, &told.changed),
                 ENDPOINT_OK);
    payload = told.changed ? writer_view(&out) : payload;
    cr_assert_eq(endpoint_visit(API_FIND_COORDINATOR, 0, payload, on_endpoint, NULL), ENDPOINT_OK);
}

static bool is_asked(void)
{
    return kit.stats.leaders_asked > 0;
}

static bool both_are_asked(void)
{
    return kit.stats.leaders_asked > 1;
}

static bool is_whole(void)
{
    ask_metadata(8);
    return told.leaders[1] == 3;
}

/* ---- tests ---- */

Test(cluster_gaps, brokers_at_once_and_leaders_when_they_have_been_asked_for)
{
    start("pencil", merged);
    ask_metadata(8);
    cr_assert(told.changed);
    cr_assert(told.count == 3 && told.brokers[2] == 3);
    cr_assert_eq(told.leaders[0], 1);
    cr_assert_eq(told.leaders[1], -1, "nobody has been asked yet, and nothing waits");
    cr_assert_eq(kit.stats.gaps_left, 2);
    cr_assert(kit_run_until(is_asked, 5000));
    ask_metadata(8);
    cr_assert_eq(told.leaders[0], 1);
    cr_assert_eq(told.leaders[1], 3);
    cr_assert_eq(kit.stats.gaps_left, 2);
    ask_metadata(5);
    cr_assert_eq(told.leaders[1], 3, "no epoch is told, but it was learned just now");
    size_t before = kit.servers[2].accepted;
    for (int i = 0; i < 1000; i++) {
        ask_metadata(8);
    }
    kit_run_until(kit_never, 300);
    cr_assert_eq(kit.stats.leaders_asked, 2, "once for each side, and not what is known");
    cr_assert_leq(kit.servers[2].accepted - before, 3u, "its refresh");
}

Test(cluster_gaps, nobody_is_told_of_a_node_that_has_no_port)
{
    start("pencil", merged);
    cr_assert(kit_run_until(is_whole, 5000));
    audience = &without_3;
    ask_metadata(8);
    cr_assert_eq(told.count, 2);
    cr_assert_eq(told.leaders[1], -1);
    audience = NULL;
}

Test(cluster_gaps, a_leader_of_another_epoch_is_none)
{
    start("pencil", merged);
    cr_assert(kit_run_until(is_whole, 5000));
    struct fake_topic moved[2] = {of_legacy[0], of_legacy[1]};
    moved[0].epochs[1] = LEGACY_EPOCH + 1;
    kit.servers[0].broker.topics = moved;
    ask_metadata(8);
    cr_assert_eq(told.leaders[1], -1, "who led before is not known to lead now");
    of_ajna[0].epochs[1] = LEGACY_EPOCH + 1;
    cr_assert(kit_run_until(is_whole, 5000));
    kit.servers[0].broker.topics = of_legacy;
}

Test(cluster_gaps, coordinators_are_who_leads_their_partition)
{
    start("pencil", merged);
    ask_coordinator(1);
    cr_assert_eq(told.coordinator, -1);
    cr_assert(kit_run_until(is_asked, 5000));
    ask_coordinator(1);
    cr_assert_eq(told.coordinator, -1, "one side's word is not enough");
    cr_assert(kit_run_until(both_are_asked, 5000));
    ask_coordinator(1);
    cr_assert_eq(told.coordinator, 3);
    for (int i = 0; i < 100; i++) {
        ask_coordinator(1);
    }
    kit_run_until(kit_never, 300);
    cr_assert_eq(kit.stats.leaders_asked, 3, "once more for the other side, and not what is known");
    ask_coordinator(-2112);
    cr_assert_eq(told.coordinator, -1, "partition 0 is node 1's, which says it is not available");
}

/* It leads the partition by its own word alone, and is live and confirmed. */
Test(cluster_gaps, who_holds_no_replica_coordinates_nothing)
{
    struct fake_topic without[2] = {of_legacy[0], of_legacy[1]};
    without[1].second = 2;
    start("pencil", merged);
    kit.servers[0].broker.topics = kit.servers[1].broker.topics = without;
    for (int i = 0; i < 100; i++) {
        ask_coordinator(1);
        cr_assert_eq(told.coordinator, -1);
        kit_run_until(kit_never, 20);
    }
    cr_assert_leq(kit.stats.leaders_asked, 8, "%lu in 2 s", (unsigned long)kit.stats.leaders_asked);
    cr_assert_geq(kit.stats.leaders_asked, 4);
    kit.servers[0].broker.topics = kit.servers[1].broker.topics = of_legacy;
}

static bool has_coordinator(void)
{
    ask_coordinator(1);
    return told.coordinator == 3;
}

/* Who has become a replica since is found out by asking again. */
Test(cluster_gaps, who_becomes_a_replica_may_coordinate)
{
    struct fake_topic without[2] = {of_legacy[0], of_legacy[1]};
    without[1].second = 2;
    start("pencil", merged);
    kit.servers[0].broker.topics = kit.servers[1].broker.topics = without;
    ask_coordinator(1);
    cr_assert(kit_run_until(both_are_asked, 5000));
    cr_assert_not(has_coordinator());
    kit.servers[0].broker.topics = kit.servers[1].broker.topics = of_legacy;
    cr_assert(kit_run_until(has_coordinator, 5000));
}

Test(cluster_gaps, who_is_down_is_neither_broker_nor_leader)
{
    start("pencil", merged);
    cr_assert(kit_run_until(is_whole, 5000));
    fake_server_stop(&kit.servers[2]);
    cr_assert(kit_run_until(is_3_down, 20000));
    ask_metadata(8);
    cr_assert_not(told.changed);
    cr_assert_eq(told.count, 2u);
    cr_assert_eq(told.leaders[1], -1);
}

Test(cluster_gaps, what_may_not_be_described_stays_a_gap_and_is_asked_ever_later)
{
    start("pencil", merged);
    of_ajna[0].error_code = 29;
    of_ajna[0].partitions = 0;
    for (int i = 0; i < 100; i++) {
        ask_metadata(8);
        cr_assert_eq(told.leaders[1], -1);
        cr_assert_eq(told.count, 3u);
        kit_run_until(kit_never, 20);
    }
    cr_assert_leq(kit.stats.leaders_asked, 4, "%lu in 2 s", (unsigned long)kit.stats.leaders_asked);
    cr_assert_geq(kit.stats.leaders_asked, 2);
}

/* Nobody of the other generation can be asked for a while: what was wanted meanwhile is not forgotten. */
Test(cluster_gaps, what_nobody_could_be_asked_for_is_asked_for_when_somebody_is_back)
{
    start("pencil", merged);
    fake_server_stop(&kit.servers[2]);
    cr_assert(kit_run_until(is_3_down, 20000));
    ask_metadata(8);
    kit_run_until(kit_never, 100);
    cr_assert_eq(kit.stats.leaders_asked + kit.stats.leaders_not_told, 0);
    fake_server_start(&kit.servers[2], &kit.loop, kit.servers[2].port);
    cr_assert(kit_run_until(is_asked, 20000), "nobody wants it a second time");
}

Test(cluster_gaps, as_is_nothing_is_put_in)
{
    start("pencil", "");
    ask_metadata(8);
    cr_assert_not(told.changed);
    cr_assert_not(cluster_merges(kit.cluster), "as-is is the default");
}

static void close_while_asking(uint64_t after_ms)
{
    start("pencil", merged);
    kit.servers[2].silent = after_ms > 3;
    ask_metadata(8);
    kit_run_until(kit_never, after_ms);
    cluster_close(&kit.cluster, kit_on_closed, NULL);
}

Test(cluster_gaps, closes_at_0)
{
    close_while_asking(0);
}

Test(cluster_gaps, closes_at_1)
{
    close_while_asking(1);
}

Test(cluster_gaps, closes_at_3)
{
    close_while_asking(3);
}

Test(cluster_gaps, closes_while_nobody_answers)
{
    close_while_asking(50);
}
