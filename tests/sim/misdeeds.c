/* SPDX-License-Identifier: Apache-2.0 */
/* misdeeds: what no good client does; Setu must survive it, and nobody else may notice. */
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

enum { BURST = 5000, VERSIONS_BURST = 40, PER_MILLE = 220 };

enum misdeed misdeed_draw(void)
{
    if (!rng_chance(&sim.rng, PER_MILLE)) {
        return MISDEED_NONE;
    }
    enum misdeed drawn = (enum misdeed)rng_between(&sim.rng, 1, MISDEED_COUNT - 1);
    bool rare = drawn == MISDEED_BURST && !rng_chance(&sim.rng, 250);
    return rare ? MISDEED_NONE : drawn;
}

static void put_text(struct client *client, const char *text, size_t length)
{
    queue_put(&client->out, view_of(text, length));
}

static void put_garbage(struct client *client)
{
    uint8_t bytes[64];
    rng_fill(&sim.rng, bytes, sizeof bytes);
    queue_put(&client->out, view_of(bytes, 1 + rng_below(&sim.rng, sizeof bytes)));
}

/* A head that declares much. */
static void put_large(struct client *client, int16_t key, uint32_t bytes)
{
    uint8_t head[12];
    bytes_store_u32(head, bytes);
    bytes_store_u16(head + 4, (uint16_t)key);
    bytes_store_u16(head + 6, 0);
    bytes_store_u32(head + 8, 1);
    queue_put(&client->out, view_of(head, sizeof head));
}

static void put_versions(struct client *client, struct writer *w, int16_t version, int32_t id)
{
    struct view client_id = book_client_id(client->book);
    api_versions_encode_request(w, version, id, &client_id, view_from_string("sim"),
                                view_from_string("1"));
}

static void login_bytes(struct client *client, struct writer *w)
{
    struct view id = book_client_id(client->book);
    struct view scram = view_from_string("SCRAM-SHA-512");
    switch (client->misdeed) {
    case MISDEED_EARLY:
        wire_metadata(w, 1, 1, id);
        break;
    case MISDEED_MECHANISM:
        sasl_handshake_encode_request(w, 1, 1, &id, view_from_string("GSSAPI"));
        break;
    case MISDEED_HANDSHAKE_TWICE:
        sasl_handshake_encode_request(w, 1, 1, &id, scram);
        sasl_handshake_encode_request(w, 1, 2, &id, scram);
        break;
    case MISDEED_VERSIONS_FOREVER:
        for (int32_t i = 0; i < 8; i++) {
            put_versions(client, w, 99, i);
        }
        break;
    case MISDEED_RAW_TOKEN:
        sasl_handshake_encode_request(w, 0, 1, &id, scram);
        frame_token(w, view_from_string("n,,n=nobody,r=abc"));
        break;
    default:
        break;
    }
}

void misdeed_at_login(struct client *client)
{
    struct writer w;
    writer_init_growing(&w, 65536);
    sim_note("client misbehaves", client->index, client->misdeed);
    switch (client->misdeed) {
    case MISDEED_GARBAGE:
        put_garbage(client);
        break;
    case MISDEED_HTTP:
        put_text(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
        break;
    case MISDEED_TLS:
        put_text(client, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
        break;
    case MISDEED_GSSAPI:
        put_text(client,
                 "\x00\x00\x00\x10\x60\x82\x02\x00\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02",
                 20);
        break;
    case MISDEED_LARGE_LOGIN:
        put_large(client, API_SASL_AUTHENTICATE, 1u << 30);
        break;
    case MISDEED_RESET_LOGIN:
        put_text(client, "\x00\x00", 2);
        client_flush(client);
        writer_free(&w);
        client_leave(client, true);
        return;
    default: /* SILENT says nothing at all */
        login_bytes(client, &w);
        break;
    }
    queue_put(&client->out, writer_view(&w));
    writer_free(&w);
    client_flush(client);
}

/* ---- while talking ---- */

/* Setu must not forward it: it is in no book. */
static void put_forbidden(struct client *client)
{
    struct writer w;
    struct view id = book_client_id(client->book);
    writer_init_growing(&w, 65536);
    switch (client->misdeed) {
    case MISDEED_HIDDEN:
        wire_hidden(&w, client->next_id++, id);
        break;
    case MISDEED_REPLICA:
        if (rng_chance(&sim.rng, 500)) {
            wire_fetch(&w, 11, client->next_id++, id, 2, 0, 0);
        } else {
            wire_list_offsets(&w, client->next_id++, id, 1);
        }
        break;
    case MISDEED_SASL_AGAIN:
        sasl_handshake_encode_request(&w, 1, client->next_id++, &id,
                                      view_from_string("SCRAM-SHA-512"));
        break;
    default:
        break;
    }
    queue_put(&client->out, writer_view(&w));
    writer_free(&w);
}

/* The first bytes of it may reach a broker: streamed requests leave as they come. */
static void put_malformed(struct client *client)
{
    struct writer w;
    struct view id = book_client_id(client->book);
    writer_init_growing(&w, 65536);
    wire_produce(&w, 9, client->next_id++, id, -1, 0, view_from_string("no batch at all, I fear"));
    w.at[w.length - 27] = 0xff; /* the length of the records is none any more */
    book_sent(client->book, writer_view(&w));
    queue_put(&client->out, writer_view(&w));
    writer_free(&w);
}

static void burst(struct client *client)
{
    sim_see(SEEN_BURST);
    for (int i = 0; i < BURST; i++) {
        struct writer w;
        struct flight flight = {.key = 12, .id = client->next_id++};
        writer_init_growing(&w, 256);
        wire_heartbeat(&w, flight.id, book_client_id(client->book));
        client_send(client, writer_view(&w), &flight);
        writer_free(&w);
    }
}

static void versions_burst(struct client *client)
{
    for (int i = 0; i < VERSIONS_BURST; i++) {
        struct writer w;
        struct flight flight = {
            .key = API_API_VERSIONS, .version = 3, .id = client->next_id++, .ours = true};
        writer_init_growing(&w, 256);
        put_versions(client, &w, 3, flight.id);
        client_send(client, writer_view(&w), &flight);
        writer_free(&w);
    }
}

/* A request that is never finished. */
static void cut(struct client *client)
{
    struct writer w;
    struct view id = book_client_id(client->book);
    sim_see(SEEN_CLIENT_CUT);
    writer_init_growing(&w, 65536);
    wire_metadata(&w, 9, client->next_id++, id);
    book_sent(client->book, writer_view(&w));
    queue_put(&client->out, view_of(w.at, 1 + rng_below(&sim.rng, w.length - 1)));
    writer_free(&w);
    client_flush(client);
    if (rng_chance(&sim.rng, 500)) {
        client_leave(client, rng_chance(&sim.rng, 500));
    } else {
        client->mute = true;
    }
}

bool misdeed_while_talking(struct client *client)
{
    client->misdone = true;
    sim_note("client misbehaves", client->index, client->misdeed);
    switch (client->misdeed) {
    case MISDEED_HIDDEN:
    case MISDEED_REPLICA:
        put_forbidden(client);
        client->mute = true;
        return true;
    case MISDEED_SASL_AGAIN:
        if (!stage_passes_logins() && !stage_renews()) { /* else it is somebody's to judge */
            put_forbidden(client);
            client->mute = true;
        }
        return true;
    case MISDEED_RENEW_AS_ANOTHER:
        if (stage_renews() || stage_passes_logins()) {
            client_renew_as(client, stage_user((size_t)rng_next(&sim.rng)));
        }
        return true;
    case MISDEED_LARGE:
        put_large(client, API_PRODUCE, rng_chance(&sim.rng, 500) ? 0x7fffffff : 0xffffffff);
        client->mute = true;
        return true;
    case MISDEED_MALFORMED:
        put_malformed(client);
        client->mute = true;
        return true;
    case MISDEED_RESET:
        client_leave(client, true);
        return true;
    case MISDEED_HALF_CLOSE:
        sim_see(SEEN_CLIENT_HALF_CLOSE);
        client_flush(client);
        net_finish(client->end);
        client->mute = true;
        return true;
    case MISDEED_CUT:
        cut(client);
        return true;
    case MISDEED_STALL:
        sim_see(SEEN_CLIENT_STALL);
        client->stalled = true;
        return false;
    case MISDEED_BURST:
        burst(client);
        return true;
    case MISDEED_VERSIONS_BURST:
        versions_burst(client);
        return true;
    case MISDEED_HOLE:
        net_silence(client->end);
        return true;
    default:
        return false;
    }
}
