/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "auth/exchange.h"
#include "protocol/api.h"
#include "protocol/batch.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "tests/sim/book.h"
#include "tests/sim/broker_private.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

enum {
    HEARTBEAT = 12,
    METADATA_MAX = 9,
    PRODUCERS = 64,
    FETCH_BYTES = 100000,
    LARGE_BYTES = 300000,
    FAULT_PER_MILLE = 12,
    RENEWAL_FAULT_PER_MILLE = 60,
    OWN_ID_FIRST = INT32_MAX - 7 /* ids that Setu keeps for requests of its own among a client's */
};

/* What an answer is, beside its bytes. */
enum verdict { ANSWER, NO_ANSWER, LEAVE };

static void finish(struct conn *conn, struct writer *answer, struct writer *expected)
{
    queue_put(&conn->answer, writer_view(answer));
    queue_put(&conn->expected, writer_view(expected->length > 0 ? expected : answer));
}

/* ---- login ---- */

static void versions(struct conn *conn, const struct request_header *header, struct writer *w)
{
    struct api_versions own;
    if (header->api_version > conn->node->versions_max) {
        api_versions_unsupported(w, header->correlation_id);
        return;
    }
    api_versions_own(&own);
    for (size_t i = 0; i < own.count; i++) {
        if (own.ranges[i].key == API_METADATA) {
            own.ranges[i].max = METADATA_MAX;
        }
        if (conn->node->older && own.ranges[i].key == API_PRODUCE) {
            own.ranges[i].max = 7;
        }
        if (conn->node->older && own.ranges[i].key == API_FETCH) {
            own.ranges[i].max = 11;
        }
        if (own.ranges[i].key == API_API_VERSIONS) {
            own.ranges[i].max = conn->node->versions_max;
        }
    }
    api_versions_encode_response(w, header->api_version, header->correlation_id, &own);
}

static enum verdict handshake(struct conn *conn, const struct request_header *header,
                              struct view body, struct writer *w)
{
    struct view mechanism;
    char name[32] = "";
    struct sasl_handshake_response response = {.error_code = HANDSHAKE_ILLEGAL_SASL_STATE};
    if (!sasl_handshake_decode_request(body, &mechanism) || mechanism.length >= sizeof name) {
        return LEAVE;
    }
    memcpy(name, mechanism.at, mechanism.length);
    if (conn->sasl) {
        exchange_free(&conn->exchange);
        conn->exchange = exchange_server_new(name, broker_users(), stage_random, NULL);
        response.error_code = conn->exchange == NULL ? HANDSHAKE_UNSUPPORTED_SASL_MECHANISM : 0;
        response.mechanisms[0] = view_from_string("SCRAM-SHA-512");
        response.mechanisms[1] = view_from_string("SCRAM-SHA-256");
        response.mechanisms[2] = view_from_string("PLAIN");
        response.count = 3;
    }
    sasl_handshake_encode_response(w, header->api_version, header->correlation_id, &response);
    return ANSWER;
}

static void logged_in(struct conn *conn)
{
    const char *who = exchange_principal(conn->exchange);
    if (conn->renewing) {
        sim_see(SEEN_BROKER_RENEWED);
        if (strcmp(who, conn->who) != 0) {
            sim_violated("identity", "a login as %s was renewed as %s", conn->who, who);
        }
    }
    snprintf(conn->who, sizeof conn->who, "%s", who);
    conn->open = true;
    conn->renewing = false;
    if (conn->book != NULL && !stage_is_shown_as(conn->book->user, who)) {
        sim_violated("identity", "connection %u came to a broker as %s", conn->book->number, who);
    }
}

static enum verdict authenticate(struct conn *conn, const struct request_header *header,
                                 struct view body, struct writer *w)
{
    struct view token;
    struct writer reply;
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct sasl_authenticate_response response = {.error_message_null = true};
    if (conn->exchange == NULL ||
        !sasl_authenticate_decode_request(header->api_version, body, &token)) {
        return LEAVE;
    }
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_step(conn->exchange, token, &reply);
    if (status == EXCHANGE_PENDING) {
        exchange_work(conn->exchange);
        status = exchange_resume(conn->exchange, &reply);
    }
    bool whim = conn->renewing && conn->own_answer && sim.faults && rng_chance(&sim.rng, 120);
    if (status == EXCHANGE_DONE && !whim) {
        logged_in(conn);
        conn->ends_ns = 0;
        if (conn->node->session_ms > 0) {
            conn->ends_ns = sim.now_ns + (uint64_t)conn->node->session_ms * SIM_MS;
            response.session_lifetime_ms = conn->node->session_ms;
        }
    } else if (status != EXCHANGE_CONTINUE) {
        sim_see(conn->renewing ? SEEN_BROKER_NOT_RENEWED : SEEN_BROKER_DENIES);
        response.error_code = HANDSHAKE_SASL_AUTHENTICATION_FAILED;
        response.error_message_null = false;
        response.error_message = view_from_string("no");
    }
    response.auth_bytes = writer_view(&reply);
    sasl_authenticate_encode_response(w, header->api_version, header->correlation_id, &response);
    return ANSWER;
}

/* Before the first request of its client Setu may ask who the broker is: Metadata of no topics, which no client here
 * asks for. */
static bool is_own_question(const struct conn *conn, const struct request_header *header,
                            struct view body)
{
    struct reader r = reader_init(body);
    int32_t topics = -1;
    return !conn->relaying && header->api_key == API_METADATA && header->api_version > 0 &&
           reader_array(&r, api_is_flexible(API_METADATA, header->api_version), true, &topics) &&
           topics == 0;
}

static enum verdict login(struct conn *conn, const struct request_header *header, struct view body,
                          struct writer *w)
{
    struct wire_nodes real = broker_nodes(conn, true);
    if (conn->relaying && !conn->renewing) {
        sim_violated("admission", "login requests among those of a client");
    }
    if (conn->book != NULL && (!conn->book->proven || conn->book->refused) &&
        !stage_passes_logins()) {
        sim_violated("admission", "connection %u reached a broker before its login",
                     conn->book->number);
    }
    switch (header->api_key) {
    case API_SASL_HANDSHAKE:
        return handshake(conn, header, body, w);
    case API_SASL_AUTHENTICATE:
        return authenticate(conn, header, body, w);
    case API_METADATA:
        wire_brokers(w, header->api_version, header->correlation_id, &real, 0);
        return conn->open ? ANSWER : LEAVE;
    default:
        versions(conn, header, w);
        return ANSWER;
    }
}

/* ---- requests ---- */

/* The next sequence of each idempotent producer; its number is its client's. */
static int32_t sequences[PRODUCERS];

void broker_forget_producers(void)
{
    memset(sequences, 0, sizeof sequences);
}

static int64_t store(struct view bytes, int32_t partition)
{
    struct batch_head head;
    uint64_t number;
    uint32_t book;
    if (!batch_head_decode(bytes, &head) || !batch_crc_holds(bytes) ||
        !wire_batch_read(bytes, &number, &book)) {
        return -1;
    }
    if (head.producer_id >= 0) {
        int32_t *next = &sequences[head.producer_id % PRODUCERS];
        if (head.base_sequence > *next) {
            sim_violated("order", "batch %llu: sequence %d, where %d was due",
                         (unsigned long long)number, head.base_sequence, *next);
        }
        bool again = head.base_sequence < *next;
        if (again && !sim_mutates(MUTATION_STORE_TWICE, 500)) {
            sim_see(SEEN_DUPLICATE);
            return 0;
        }
        *next += again ? 0 : 1;
    }
    if (!sim_mutates(MUTATION_EARLY_ACK, 50)) {
        batch_stored(number, bytes, partition);
    }
    return 0;
}

static enum verdict produce(const struct request_header *header, struct view body, struct writer *w)
{
    struct wire_produce_request request;
    if (!wire_produce_read(header->api_version, body, &request)) {
        return LEAVE;
    }
    int64_t base = store(request.batch, request.partition);
    if (request.acks == 0) {
        return NO_ANSWER;
    }
    wire_produced(w, header->api_version, header->correlation_id, request.partition, base);
    return ANSWER;
}

static enum verdict fetch(struct conn *conn, const struct request_header *header, struct view body,
                          struct writer *w, struct writer *expected)
{
    struct wire_fetch_request request;
    if (!wire_fetch_read(header->api_version, body, &request)) {
        return LEAVE;
    }
    bool large = rng_chance(&sim.rng, 100);
    struct view records = batch_fetch(request.partition, large ? 0 : request.offset,
                                      large ? LARGE_BYTES : FETCH_BYTES, large);
    struct wire_nodes real = broker_nodes(conn, true), shown = broker_nodes(conn, false);
    if (records.length > 0 && sim.faults && rng_chance(&sim.rng, 20)) {
        sim_see(SEEN_BROKER_CORRUPT);
        ((uint8_t *)(uintptr_t)records.at)[17] ^= 1; /* of a copy that is made anew each time */
    }
    bool moved = header->api_version >= 16 && records.length < 40000 && rng_chance(&sim.rng, 400);
    if (records.length > 0) {
        sim_see(SEEN_FETCHED);
    }
    wire_fetched(w, header->api_version, header->correlation_id, request.partition, records,
                 moved ? &real : NULL);
    if (moved) {
        sim_see(SEEN_REWRITTEN);
        wire_fetched(expected, header->api_version, header->correlation_id, request.partition,
                     records, &shown);
    }
    return ANSWER;
}

/* A node id that no port of Setu's stands for. */
static void brokers(struct conn *conn, const struct request_header *header, struct writer *w,
                    struct writer *expected)
{
    static const int32_t far = 5000;
    struct wire_nodes real = broker_nodes(conn, true), shown = broker_nodes(conn, false);
    int32_t topics = 0;
    bool client = conn->book != NULL;
    if (client && sim.faults && rng_chance(&sim.rng, 10)) {
        sim_see(SEEN_BROKER_FAR_NODE);
        real.ids = &far;
        real.count = 1;
    } else if (client && sim.faults && rng_chance(&sim.rng, 10)) {
        sim_see(SEEN_BROKER_LARGE);
        topics = 4000;
    }
    wire_brokers(w, header->api_version, header->correlation_id, &real, topics);
    wire_brokers(expected, header->api_version, header->correlation_id, &shown, topics);
    sim_see(SEEN_REWRITTEN);
}

static enum verdict serve(struct conn *conn, const struct request_header *header, struct view body,
                          struct writer *w, struct writer *expected)
{
    struct wire_nodes real = broker_nodes(conn, true);
    struct wire_nodes shown = broker_nodes(conn, false);
    int16_t version = header->api_version;
    int32_t id = header->correlation_id;
    switch (header->api_key) {
    case API_PRODUCE:
        return produce(header, body, w);
    case API_FETCH:
        return fetch(conn, header, body, w, expected);
    case API_METADATA:
        brokers(conn, header, w, expected);
        return ANSWER;
    case API_FIND_COORDINATOR:
        wire_coordinator(w, version, id, &real);
        wire_coordinator(expected, version, id, &shown);
        return ANSWER;
    case API_DESCRIBE_CLUSTER:
        wire_cluster(w, id, &real);
        wire_cluster(expected, id, &shown);
        return ANSWER;
    case API_LIST_OFFSETS:
        wire_offsets(w, id);
        return ANSWER;
    case HEARTBEAT:
        wire_heartbeat_answer(w, id);
        return ANSWER;
    default:
        return LEAVE;
    }
}

/* ---- answers that go wrong ---- */

static void part_of_answer(struct conn *conn, struct view answer)
{
    sim_see(SEEN_BROKER_CUT);
    book_expect(conn->book, queue_view(&conn->expected));
    queue_put(&conn->out, view_of(answer.at, rng_below(&sim.rng, answer.length)));
    conn->leaves = true;
}

static void reset_later(void *context)
{
    struct conn *conn = context;
    sim_see(SEEN_BROKER_RESET);
    broker_leave(conn, true);
}

static void answer_and_go(struct conn *conn, struct view answer)
{
    book_expect(conn->book, queue_view(&conn->expected));
    queue_put(&conn->out, answer);
    sim_after(rng_between(&sim.rng, SIM_US, 60 * SIM_MS), reset_later, conn);
}

/* What the broker does in place of answering a client. */
static void misbehave(struct conn *conn, struct view answer)
{
    uint8_t head[8];
    uint64_t kind = rng_below(&sim.rng, 10);
    sim_note("broker misbehaves", conn->book->number, kind);
    switch (kind) {
    case 0:
        sim_see(SEEN_BROKER_RESET);
        broker_leave(conn, true);
        break;
    case 1:
        sim_see(SEEN_BROKER_END);
        conn->leaves = true;
        break;
    case 2:
        part_of_answer(conn, answer);
        break;
    case 3:
        sim_see(SEEN_BROKER_STALL);
        conn->stalled = true;
        break;
    case 4:
        sim_see(SEEN_BROKER_WRONG_ID);
        memcpy(head, answer.at, sizeof head);
        head[5] ^= 0x40;
        queue_put(&conn->out, view_of(head, sizeof head));
        queue_put(&conn->out, view_from(answer, sizeof head));
        conn->stalled = true;
        break;
    case 5:
        sim_see(SEEN_BROKER_GARBAGE);
        memset(head, 0xee, sizeof head);
        queue_put(&conn->out, view_of(head, sizeof head));
        conn->stalled = true;
        break;
    case 6:
        sim_see(SEEN_BROKER_SURPLUS);
        book_expect(conn->book, queue_view(&conn->expected));
        queue_put(&conn->out, answer);
        queue_put(&conn->out, answer);
        conn->stalled = true;
        break;
    case 7:
        net_silence(conn->end);
        break;
    default:
        answer_and_go(conn, answer);
        break;
    }
}

/* In place of an answer that no client waits for. */
static void misbehave_alone(struct conn *conn)
{
    uint8_t head[8];
    uint64_t kind = rng_below(&sim.rng, 5);
    sim_note("broker misbehaves in a renewal", conn->book->number, kind);
    switch (kind) {
    case 0:
        broker_leave(conn, true);
        break;
    case 1:
        conn->leaves = true;
        break;
    case 2:
        conn->stalled = true;
        break;
    case 3:
        memset(head, 0xee, sizeof head);
        queue_put(&conn->out, view_of(head, sizeof head));
        conn->stalled = true;
        break;
    default:
        net_silence(conn->end);
        break;
    }
}

static void respond(void *context)
{
    struct conn *conn = context;
    struct view answer = queue_view(&conn->answer);
    conn->busy = false;
    if (conn->gone) {
        return;
    }
    if (conn->own_answer) {
        if (sim.faults && rng_chance(&sim.rng, RENEWAL_FAULT_PER_MILLE)) {
            misbehave_alone(conn);
        } else {
            queue_put(&conn->out, answer);
        }
    } else if (conn->relaying && sim.faults && rng_chance(&sim.rng, FAULT_PER_MILLE)) {
        misbehave(conn, answer);
    } else if (conn->relaying && sim.faults && answer.length > LARGE_BYTES / 4 &&
               rng_chance(&sim.rng, 400)) {
        answer_and_go(conn, answer); /* while the client is still busy with it */
    } else {
        if (conn->relaying) {
            book_expect(conn->book, queue_view(&conn->expected));
        }
        queue_put(&conn->out, answer);
    }
    queue_drop(&conn->answer, conn->answer.length);
    queue_drop(&conn->expected, conn->expected.length);
    broker_flush(conn);
    if (!conn->stalled) {
        broker_serve(conn);
    }
    conn->end->on_change(conn->end);
}

static uint64_t think_ns(const struct conn *conn)
{
    if (conn->relaying && rng_chance(&sim.rng, 10)) {
        return rng_between(&sim.rng, SIM_S, 12 * SIM_S);
    }
    return rng_chance(&sim.rng, 200) ? rng_between(&sim.rng, SIM_MS, 80 * SIM_MS)
                                     : rng_between(&sim.rng, SIM_US, SIM_MS);
}

/* ---- logins that end ---- */

/* As a broker judges a SaslHandshake behind the login. false: it is none that can be taken. */
static bool renewal_begins(struct conn *conn, const struct request_header *header)
{
    if (!stage_passes_logins() && (header->correlation_id < OWN_ID_FIRST || conn->ends_ns == 0)) {
        sim_violated("admission", "a login without an end is renewed");
    }
    if (conn->ends_ns == 0 || (conn->renewed_ns != 0 && sim.now_ns - conn->renewed_ns < SIM_S)) {
        if (!stage_passes_logins()) {
            sim_violated("admission", "a login is renewed twice within a second");
        }
        return false;
    }
    conn->renewed_ns = sim.now_ns;
    return conn->renewing = true;
}

/* The order of requests behind the login. false: the broker takes no more. */
static bool is_in_time(struct conn *conn, const struct request_header *header)
{
    bool sasl = header->api_key == API_SASL_HANDSHAKE || header->api_key == API_SASL_AUTHENTICATE;
    conn->own_answer = conn->relaying && sasl && !stage_passes_logins();
    if (!conn->relaying) {
        return true;
    }
    if (conn->renewing && header->api_key != API_SASL_AUTHENTICATE) {
        sim_violated("admission", "another request in the middle of a renewal");
    }
    if (header->api_key == API_SASL_HANDSHAKE) {
        return renewal_begins(conn, header);
    }
    if (!sasl && conn->ends_ns != 0 && sim.now_ns >= conn->ends_ns) {
        sim_see(SEEN_BROKER_EXPIRES);
        return false;
    }
    return true;
}

/* ---- frames ---- */

static bool is_login(int16_t key)
{
    return key == API_API_VERSIONS || key == API_SASL_HANDSHAKE || key == API_SASL_AUTHENTICATE;
}

static enum verdict take(struct conn *conn, struct view frame, struct writer *w,
                         struct writer *expected)
{
    struct request_header header;
    struct view payload = view_from(frame, 4);
    if (request_header_decode(payload, &header) != FRAME_OK) {
        sim_violated("request", "a request whose header cannot be decoded");
    }
    struct book *book = book_find(header.client_id);
    if (conn->book != NULL && conn->book != book) {
        sim_violated("request", "requests of two clients on one connection");
    }
    conn->book = book;
    sim_note("broker is asked", (uint64_t)conn->node->id, (uint64_t)header.api_key);
    struct view body = view_from(payload, header.length);
    if (header.api_key == API_SASL_HANDSHAKE && conn->who[0] != '\0' && stage_passes_logins()) {
        conn->relaying = true; /* its client may renew before it has asked anything */
    }
    if (!is_in_time(conn, &header)) {
        return LEAVE;
    }
    if (conn->relaying && is_login(header.api_key) && stage_passes_logins()) {
        book_reached(book, conn->end, frame); /* the client's own, in its place */
    }
    if (is_login(header.api_key) || (book != NULL && is_own_question(conn, &header, body))) {
        return login(conn, &header, body, w);
    }
    if (!conn->open) {
        /* ApiVersions is answered to anybody: Setu learns late that a node has begun to want SASL. */
        if (book != NULL && !stage_flips()) {
            sim_violated("admission", "requests of connection %u before the broker's login",
                         book->number);
        }
        return LEAVE;
    }
    if (book != NULL) {
        conn->relaying = true;
        book_reached(book, conn->end, frame);
    }
    return serve(conn, &header, body, w, expected);
}

void broker_serve(struct conn *conn)
{
    struct view frame;
    while (!conn->gone && !conn->busy && !conn->leaves && !conn->stalled &&
           queue_frame(&conn->in, &frame)) {
        struct writer w, expected;
        writer_init_growing(&w, WIRE_FRAME_MAX);
        writer_init_growing(&expected, WIRE_FRAME_MAX);
        enum verdict verdict = take(conn, frame, &w, &expected);
        queue_drop(&conn->in, frame.length);
        if (verdict == ANSWER) {
            finish(conn, &w, &expected);
            conn->busy = true;
            sim_after(think_ns(conn), respond, conn);
        } else if (verdict == LEAVE) {
            broker_leave(conn, false);
        }
        writer_free(&w);
        writer_free(&expected);
    }
}
