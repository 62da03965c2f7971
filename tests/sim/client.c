/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/frame.h"
#include "auth/secret.h"
#include "proxy/cluster/broker_login.h"
#include "tests/sim/book.h"
#include "tests/sim/client_private.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

enum { CLIENTS_MAX = 64, DIALS_MAX = 40, PATIENCE_S = 45, LOGIN_PATIENCE_S = 30 };

static struct client *clients[CLIENTS_MAX];
static size_t client_count;

static void wake(void *context);

static bool client_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    rng_fill(&sim.rng, at, length);
    return true;
}

void client_wake_after(struct client *client, uint64_t delay_ns)
{
    if (!client->thinking) {
        client->thinking = true;
        sim_after(delay_ns, wake, client);
    }
}

/* ---- bytes ---- */

void client_flush(struct client *client)
{
    if (client->end == NULL) {
        return;
    }
    struct view out = queue_view(&client->out);
    queue_drop(&client->out, net_put(client->end, out.at, out.length));
}

static void take(struct client *client)
{
    struct view arrived = net_arrived(client->end);
    static const char real[] = ".real.invalid";
    if (arrived.length == 0) {
        return;
    }
    size_t before = client->in.length;
    queue_put(&client->in, arrived);
    net_take(client->end, arrived.length);
    struct view news =
        view_from(queue_view(&client->in), before > sizeof real ? before - sizeof real : 0);
    if (memmem(news.at, news.length, real, sizeof real - 1) != NULL) {
        sim_violated("address", "client %u: the name of a real broker was shown", client->index);
    }
}

/* ---- life of a connection ---- */

static void end_connection(struct client *client)
{
    broker_login_free(&client->login);
    broker_login_free(&client->renewal);
    client->end = NULL;
    client->in = client->out = (struct queue){0};
    client->stalled = client->mute = false;
    client_forget_flights(client);
    client->state = CLIENT_IDLE;
    bool enough = client->connections == 0 || (client->requests == 0 && client->pending == NULL);
    if (enough || sim.ending) {
        client->state = CLIENT_GONE;
        return;
    }
    client_wake_after(client, rng_between(&sim.rng, SIM_MS, 300 * SIM_MS));
}

void client_leave(struct client *client, bool reset)
{
    struct end *end = client->end;
    sim_note(reset ? "client resets" : "client leaves", client->index, client->flight_count);
    if (reset) {
        sim_see(SEEN_CLIENT_RESET);
        net_reset(end);
    } else {
        net_close(end);
    }
    end_connection(client);
}

/* Setu has ended the connection. */
static void ended(struct client *client)
{
    bool ours = client->flight_count > 0 && client->flights[client->flight_first].ours;
    if (client->state == CLIENT_TALK && !ours) {
        book_received_part(client->book, queue_view(&client->in));
    }
    sim_note("client is left", client->index, client->flight_count);
    net_close(client->end);
    end_connection(client);
}

/* ---- login ---- */

/* A proof has been sent when the last token of the mechanism has: then brokers may hear of this connection. */
static void count_proofs(struct client *client, struct view out)
{
    while (out.length >= FRAME_HEAD_BYTES) {
        uint32_t size = bytes_load_u32(out.at);
        client->proofs += bytes_load_u16(out.at + 4) == API_SASL_AUTHENTICATE ? 1 : 0;
        out = view_from(out, (size_t)size + 4);
    }
    unsigned needed = strcmp(client->mechanism, "PLAIN") == 0 ? 1 : 2;
    client->book->proven = client->proofs >= needed && stage_proves(client->user, client->password);
}

static void login_failed(struct client *client)
{
    bool refused = broker_login_reason(client->login) == BROKER_LOGIN_DENIED;
    sim_note("client login failed", client->index, (uint64_t)broker_login_reason(client->login));
    if (refused && stage_must_admit(client->user, client->password)) {
        sim_violated("login", "client %u was refused, and should not have been", client->index);
    }
    client_leave(client, rng_chance(&sim.rng, 100));
}

static void login_step(struct client *client, enum broker_login_status status, struct writer *out)
{
    if (status == BROKER_LOGIN_PENDING) {
        broker_login_work(client->login);
        status = broker_login_resume(client->login, out);
    }
    count_proofs(client, writer_view(out));
    queue_put(&client->out, writer_view(out));
    if (client->misdeed == MISDEED_PIPELINE && client->proofs >= 1) {
        queue_put(&client->out, view_from_string("too early"));
    }
    client_flush(client);
    if (status == BROKER_LOGIN_FAILED) {
        login_failed(client);
    } else if (status == BROKER_LOGIN_OK) {
        if (!stage_may_admit(client->user, client->password)) {
            sim_violated("login", "client %u was let in, and should not have been", client->index);
        }
        sim_note("client is in", client->index, client->book->number);
        client->state = CLIENT_TALK;
        client_term(client, client->login);
        client_talk(client);
    }
}

static void login_answers(struct client *client)
{
    struct writer out;
    struct view in = queue_view(&client->in);
    size_t consumed = 0;
    if (in.length == 0 || client->login == NULL) {
        queue_drop(&client->in, in.length);
        return;
    }
    writer_init_growing(&out, 128 * 1024);
    enum broker_login_status status = broker_login_feed(client->login, in, &consumed, &out);
    queue_drop(&client->in, consumed <= in.length ? consumed : in.length);
    login_step(client, status, &out);
    writer_free(&out);
}

static void begin_login(struct client *client)
{
    struct writer out;
    struct secret password;
    if (!secret_from(&password, view_from_string(client->password))) {
        abort();
    }
    struct broker_login_params params = {
        .mechanism = client->mechanism,
        .username = client->user->name,
        .password = &password,
        .authenticate_version = rng_chance(&sim.rng, 500) ? -1 : (int16_t)rng_below(&sim.rng, 3),
        .client_id = book_client_id(client->book),
        .correlation_id = 1,
        .random = client_random,
    };
    client->login = broker_login_new(&params);
    secret_wipe(&password);
    writer_init_growing(&out, 128 * 1024);
    login_step(client, broker_login_start(client->login, &out), &out);
    writer_free(&out);
}

/* ---- events ---- */

static void on_change(struct end *end)
{
    struct client *client = end->owner;
    if (client->end != end || client->stalled) {
        return;
    }
    take(client);
    if (client->state == CLIENT_LOGIN) {
        login_answers(client);
    } else {
        client_answers(client);
    }
    if (client->end != end) {
        return;
    }
    client_flush(client);
    if (net_ended(end)) {
        ended(client);
    }
}

static void dial(struct client *client)
{
    uint16_t port = stage_port(client->node);
    client->end = net_dial(port, on_change, client);
    if (client->end == NULL) {
        sim_see(SEEN_CLIENT_REFUSED);
        client->node = -1;
        if (++client->dials >= DIALS_MAX || sim.ending) {
            client->state = CLIENT_GONE;
        } else {
            client_wake_after(client, rng_between(&sim.rng, 50 * SIM_MS, 400 * SIM_MS));
        }
        return;
    }
    if (client->pending != NULL) {
        sim_see(SEEN_CLIENT_RETRY);
    }
    client->connections--;
    client->book = book_new(client->user);
    client->book->refused = !stage_may_admit(client->user, client->password);
    client->misdeed = misdeed_draw();
    client->misdeed_after = (unsigned)rng_below(&sim.rng, 12);
    client->misdone = false;
    client->renews_as_another = false;
    client->proofs = 0;
    client->since_ns = sim.now_ns;
    client->next_id = (int32_t)rng_below(&sim.rng, 1000);
    client->state = CLIENT_LOGIN;
    if (client->misdeed != MISDEED_NONE && client->misdeed < MISDEED_FIRST_TALK &&
        client->misdeed != MISDEED_PIPELINE) {
        client->misdone = true;
        misdeed_at_login(client);
    } else {
        begin_login(client);
    }
}

static void wake(void *context)
{
    struct client *client = context;
    client->thinking = false;
    switch (client->state) {
    case CLIENT_IDLE:
        if (sim.ending) {
            client->state = CLIENT_GONE;
        } else {
            dial(client);
        }
        break;
    case CLIENT_TALK:
        client_talk(client);
        break;
    case CLIENT_LOGIN:
    case CLIENT_GONE:
        break;
    }
}

/* What every client library has: a limit to how long it waits. */
static void lose_patience(void *context)
{
    struct client *client = context;
    if (client->state == CLIENT_GONE) {
        return;
    }
    uint64_t waited_ns = 0;
    if (client->state == CLIENT_LOGIN) {
        waited_ns = (sim.now_ns - client->since_ns) * PATIENCE_S / LOGIN_PATIENCE_S;
    } else if (client->state == CLIENT_TALK && client->mute) {
        waited_ns = sim.now_ns - client->since_ns;
    } else if (client->state == CLIENT_TALK && client->flight_count > 0) {
        waited_ns = sim.now_ns - client->flights[client->flight_first].sent_ns;
    }
    if (waited_ns > PATIENCE_S * SIM_S) {
        client_leave(client, rng_chance(&sim.rng, 300));
    }
    sim_after(rng_between(&sim.rng, SIM_S, 5 * SIM_S), lose_patience, client);
}

/* ---- all of them ---- */

static void draw(struct client *client)
{
    static const char *const mechanisms[] = {"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"};
    static const unsigned depths[] = {1, 1, 2, 5, CLIENT_DEPTH_MAX};
    client->user = stage_user((size_t)rng_next(&sim.rng));
    client->password = rng_chance(&sim.rng, 30) ? "wrong" : client->user->password;
    client->mechanism = mechanisms[rng_below(&sim.rng, 3)];
    client->trade = (enum client_trade)rng_below(&sim.rng, TRADE_COUNT);
    client->acks = (int16_t)((int)rng_below(&sim.rng, 3) - 1);
    client->acks = client->trade == TRADE_IDEMPOTENT ? -1 : client->acks;
    client->depth = depths[rng_below(&sim.rng, sizeof depths / sizeof depths[0])];
    client->depth = client->trade == TRADE_IDEMPOTENT && client->depth > 5 ? 5 : client->depth;
    client->depth = client->trade == TRADE_FETCH ? CLIENT_DEPTH_MAX : client->depth;
    client->connections = 1 + (unsigned)rng_below(&sim.rng, 4);
    client->requests = 1 + (unsigned)rng_below(&sim.rng, 40);
    client->node = rng_chance(&sim.rng, 600) ? -1 : 1 + (int32_t)rng_below(&sim.rng, STAGE_NODES);
    client->partition = (int32_t)rng_below(&sim.rng, 3);
    client->producer_id = client->trade == TRADE_IDEMPOTENT ? (int64_t)client->index : -1;
}

void client_begin(size_t count)
{
    client_count = count;
    for (size_t i = 0; i < count; i++) {
        struct client *client = sim_alloc(sizeof *client);
        clients[i] = client;
        client->index = (uint32_t)i + 1;
        draw(client);
        client_wake_after(client, rng_between(&sim.rng, SIM_MS, 3 * SIM_S));
        sim_after(rng_between(&sim.rng, SIM_S, 5 * SIM_S), lose_patience, client);
    }
}

void client_end(void)
{
    for (size_t i = 0; i < client_count; i++) {
        broker_login_free(&clients[i]->login);
        broker_login_free(&clients[i]->renewal);
    }
    client_count = 0;
}

bool client_all_gone(void)
{
    for (size_t i = 0; i < client_count; i++) {
        if (clients[i]->state != CLIENT_GONE) {
            return false;
        }
    }
    return true;
}

bool client_talks(const struct end *end)
{
    const struct client *client = end->owner;
    return client != NULL && client->end == end && client->state == CLIENT_TALK &&
           !client->misdone && client->flight_count > 0;
}

struct book *client_book(const struct end *end)
{
    const struct client *client = end->owner;
    return client != NULL && client->end == end ? client->book : NULL;
}
