/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "tests/sim/book.h"
#include "tests/sim/client_private.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"
#include "tests/sim/wire.h"

enum { OUT_MAX = 512 * 1024, HEARTBEAT = 12 };

/* ---- in flight ---- */

static void flight_push(struct client *client, const struct flight *flight)
{
    size_t needed = client->flight_first + client->flight_count + 1;
    if (needed > client->flight_capacity) {
        size_t capacity = client->flight_capacity == 0 ? 32 : client->flight_capacity * 2;
        struct flight *grown = sim_alloc(capacity * sizeof *grown);
        for (size_t i = 0; i < client->flight_count; i++) {
            grown[i] = client->flights[client->flight_first + i];
        }
        client->flights = grown;
        client->flight_first = 0;
        client->flight_capacity = capacity;
    }
    client->flights[client->flight_first + client->flight_count++] = *flight;
}

void client_forget_flights(struct client *client)
{
    client->flight_first = client->flight_count = 0;
    for (struct unacknowledged *u = client->pending; u != NULL; u = u->next) {
        u->sent = false;
    }
}

void client_send(struct client *client, struct view frame, const struct flight *flight)
{
    if (!flight->ours) {
        book_sent(client->book, frame);
    }
    queue_put(&client->out, frame);
    bool answered = flight->key != API_PRODUCE || client->acks != 0;
    if (answered) {
        struct flight kept = *flight;
        kept.sent_ns = sim.now_ns;
        flight_push(client, &kept);
    } else {
        sim_see(SEEN_NO_ACKS);
    }
}

/* ---- requests ---- */

static int16_t pick(const int16_t *versions, size_t count)
{
    return versions[rng_below(&sim.rng, count)];
}

static size_t value_bytes(void)
{
    if (rng_chance(&sim.rng, 8)) {
        sim_see(SEEN_LARGE_BATCH);
        return rng_between(&sim.rng, 60000, 400000);
    }
    return rng_chance(&sim.rng, 100) ? rng_between(&sim.rng, 2000, 20000)
                                     : rng_between(&sim.rng, 12, 600);
}

static void send_batch(struct client *client, uint64_t number, struct view batch)
{
    static const int16_t versions[] = {3, 7, 9, 9};
    struct writer w;
    struct flight flight = {
        .key = API_PRODUCE, .version = pick(versions, 4), .id = client->next_id++, .batch = number};
    writer_init_growing(&w, WIRE_FRAME_MAX);
    wire_produce(&w, flight.version, flight.id, book_client_id(client->book), client->acks,
                 client->partition, batch);
    client_send(client, writer_view(&w), &flight);
    writer_free(&w);
}

static void produce(struct client *client)
{
    struct writer w;
    bool idempotent = client->producer_id >= 0;
    bool bad = client->misdeed == MISDEED_BAD_CRC && !idempotent;
    struct wire_batch batch = {.number = batch_number(),
                               .book = client->book->number,
                               .value_bytes = value_bytes(),
                               .producer_id = client->producer_id,
                               .sequence = client->sequence,
                               .bad_crc = bad};
    writer_init_growing(&w, WIRE_FRAME_MAX);
    wire_batch(&w, &batch);
    client->misdone = client->misdone || bad;
    batch_made(batch.number, writer_view(&w), client->partition, idempotent);
    if (idempotent) {
        struct unacknowledged *u = sim_alloc(sizeof *u);
        uint8_t *bytes = sim_alloc(w.length);
        memcpy(bytes, w.at, w.length);
        *u = (struct unacknowledged){
            .number = batch.number, .bytes = view_of(bytes, w.length), .sent = true};
        *(client->pending == NULL ? &client->pending : &client->pending_last->next) = u;
        client->pending_last = u;
        client->sequence++;
        sim_see(SEEN_IDEMPOTENT);
    }
    send_batch(client, batch.number, writer_view(&w));
    writer_free(&w);
}

/* The first batch that was sent on an earlier connection, and is to go again before any new one. */
static bool produce_again(struct client *client)
{
    struct unacknowledged *u = client->pending;
    while (u != NULL && u->sent) {
        u = u->next;
    }
    if (u == NULL) {
        return false;
    }
    u->sent = true;
    send_batch(client, u->number, u->bytes);
    return true;
}

static void fetch(struct client *client, struct writer *w, struct flight *flight)
{
    static const int16_t versions[] = {4, 11, 12, 16};
    flight->key = API_FETCH;
    flight->version = pick(versions, 4);
    wire_fetch(w, flight->version, flight->id, book_client_id(client->book), -1,
               (int32_t)rng_below(&sim.rng, WIRE_PARTITIONS), client->fetch_offset);
    client->fetch_offset += (int64_t)rng_below(&sim.rng, 4);
}

static void ask(struct client *client, struct writer *w, struct flight *flight)
{
    static const int16_t metadata[] = {0, 1, 5, 9}, coordinator[] = {0, 2, 3, 4};
    struct view id = book_client_id(client->book);
    switch (rng_below(&sim.rng, 6)) {
    case 0:
    case 1:
        flight->key = API_METADATA;
        flight->version = pick(metadata, 4);
        wire_metadata(w, flight->version, flight->id, id);
        break;
    case 2:
        flight->key = API_FIND_COORDINATOR;
        flight->version = pick(coordinator, 4);
        wire_find_coordinator(w, flight->version, flight->id, id);
        break;
    case 3:
        flight->key = API_DESCRIBE_CLUSTER;
        wire_describe_cluster(w, flight->id, id);
        break;
    case 4:
        flight->key = API_LIST_OFFSETS;
        flight->version = 1;
        wire_list_offsets(w, flight->id, id, -1);
        break;
    default:
        flight->key = HEARTBEAT;
        wire_heartbeat(w, flight->id, id);
        break;
    }
}

/* Setu's own answer, in its place among the others. */
static void ask_versions(struct client *client, struct writer *w, struct flight *flight)
{
    static const int16_t versions[] = {0, 3, 4, 77};
    struct view id = book_client_id(client->book);
    flight->key = API_API_VERSIONS;
    flight->version = pick(versions, 4);
    flight->ours = true;
    api_versions_encode_request(w, flight->version, flight->id, &id, view_from_string("sim"),
                                view_from_string("1"));
}

static void request(struct client *client)
{
    struct writer w;
    struct flight flight = {.id = client->next_id};
    bool asks = client->trade == TRADE_ASK || rng_chance(&sim.rng, 150);
    bool again = client->pending != NULL && !client->pending_last->sent;
    if (again || (!asks && client->trade != TRADE_FETCH)) {
        if (!produce_again(client)) {
            produce(client);
        }
        return;
    }
    client->next_id++;
    writer_init_growing(&w, WIRE_FRAME_MAX);
    if (rng_chance(&sim.rng, 60)) {
        ask_versions(client, &w, &flight);
    } else if (asks) {
        ask(client, &w, &flight);
    } else {
        fetch(client, &w, &flight);
    }
    client_send(client, writer_view(&w), &flight);
    writer_free(&w);
}

static bool has_more(const struct client *client)
{
    return client->requests > 0 || (client->pending != NULL && !client->pending_last->sent);
}

void client_talk(struct client *client)
{
    unsigned depth = client->depth;
    if (client->state == CLIENT_TALK && !client->mute && has_more(client)) {
        client_renew(client);
    }
    while (client->state == CLIENT_TALK && !client->mute && client->renewal == NULL &&
           has_more(client) && client->flight_count < depth && client->out.length < OUT_MAX) {
        if (client->misdeed >= MISDEED_FIRST_TALK && !client->misdone &&
            client->misdeed_after-- == 0 && misdeed_while_talking(client)) {
            break;
        }
        client->requests -= client->requests > 0 ? 1 : 0;
        request(client);
        if (rng_chance(&sim.rng, 300)) {
            client_wake_after(client, rng_chance(&sim.rng, 60)
                                          ? rng_between(&sim.rng, SIM_S, 20 * SIM_S)
                                          : rng_between(&sim.rng, SIM_US, 60 * SIM_MS));
            break;
        }
        depth = client->depth;
    }
    client_flush(client);
    bool done = client->state == CLIENT_TALK && !has_more(client) && client->flight_count == 0 &&
                client->pending == NULL && client->out.length == 0 && !client->stalled &&
                !client->mute;
    if (done) {
        client_leave(client, rng_chance(&sim.rng, 50));
    } else if (client->state == CLIENT_TALK && !client->mute && has_more(client) &&
               client->flight_count < client->depth) {
        client_wake_after(client, rng_between(&sim.rng, SIM_US, 20 * SIM_MS));
    }
}

/* ---- answers ---- */

static void acknowledged(struct client *client, const struct flight *flight)
{
    batch_acknowledged(flight->batch);
    struct unacknowledged **at = &client->pending;
    struct unacknowledged *before = NULL;
    while (*at != NULL && (*at)->number != flight->batch) {
        before = *at;
        at = &(*at)->next;
    }
    if (*at != NULL) {
        if (client->pending_last == *at) {
            client->pending_last = before;
        }
        *at = (*at)->next;
    }
}

static void own_answer(struct client *client, const struct flight *flight, struct view frame)
{
    struct api_versions versions;
    int32_t id;
    size_t header;
    struct view payload = view_from(frame, 4);
    if (response_header_decode(payload, API_API_VERSIONS, flight->version, &id, &header) !=
            FRAME_OK ||
        !api_versions_decode_response(flight->version, view_from(payload, header), &versions)) {
        sim_violated("response", "client %u: Setu's own answer cannot be decoded", client->index);
    }
    sim_see(SEEN_ANSWERED);
}

static void answer(struct client *client, struct view frame)
{
    int32_t id = (int32_t)bytes_load_u32(frame.at + 4);
    if (client->flight_count == 0) {
        sim_violated("response", "client %u: an answer, and nothing was asked", client->index);
    }
    struct flight flight = client->flights[client->flight_first];
    client->flight_first++;
    client->flight_count--;
    if (id != flight.id) {
        sim_violated("response", "client %u: an answer to %d, the oldest request is %d",
                     client->index, id, flight.id);
    }
    sim_note("client is answered", client->index, (uint64_t)flight.id);
    if (flight.ours && flight.key == API_API_VERSIONS) {
        own_answer(client, &flight, frame);
        return;
    }
    if (!flight.ours) {
        book_received(client->book, frame);
    }
    if (flight.key == API_SASL_HANDSHAKE || flight.key == API_SASL_AUTHENTICATE) {
        client_renewal_answer(client, frame);
        return;
    }
    if (flight.key == API_PRODUCE && wire_produced_error(flight.version, frame) == 0) {
        acknowledged(client, &flight);
    }
}

void client_answers(struct client *client)
{
    struct view frame;
    struct end *end = client->end;
    while (client->end == end && client->state == CLIENT_TALK && queue_frame(&client->in, &frame)) {
        if (frame.length < 8) {
            sim_violated("response", "client %u: a frame of %zu bytes", client->index,
                         frame.length);
        }
        answer(client, frame);
        if (client->end == end) { /* it may have left for what it was told */
            queue_drop(&client->in, frame.length);
        }
    }
    if (client->end == end && client->state == CLIENT_TALK && !client->thinking) {
        client_talk(client);
    }
}
