/* SPDX-License-Identifier: Apache-2.0 */
/* client_renew: what a client does about a login that ends (KIP-368). */
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "proxy/cluster/broker_login.h"
#include "tests/sim/book.h"
#include "tests/sim/client_private.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

enum { OUT_MAX = 128 * 1024, RENEWAL_ID = 1 << 30 };

static bool renew_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    rng_fill(&sim.rng, at, length);
    return true;
}

/* Most renew in time, some late, some not at all: their libraries do not know how. */
void client_term(struct client *client, const struct broker_login *login)
{
    uint64_t lifetime_ns = (uint64_t)broker_login_lifetime_ms(login) * SIM_MS;
    uint64_t per_mille = rng_between(&sim.rng, 850, 950);
    client->renew_ns = client->ends_ns = UINT64_MAX;
    if (lifetime_ns == 0 || rng_chance(&sim.rng, 100)) {
        return;
    }
    client->ends_ns = sim.now_ns + lifetime_ns;
    per_mille = rng_chance(&sim.rng, 50) ? 1500 : per_mille;
    uint64_t after_ns = lifetime_ns / 1000 * per_mille;
    client->renew_ns = sim.now_ns + (after_ns > 1100 * SIM_MS ? after_ns : 1100 * SIM_MS);
}

static bool may_succeed(const struct client *client)
{
    return !client->renews_as_another;
}

static void send_requests(struct client *client, const struct writer *out)
{
    struct view frame = writer_view(out);
    struct flight flight = {0};
    if (frame.length == 0) {
        return;
    }
    flight.key = (int16_t)bytes_load_u16(frame.at + 4);
    flight.version = (int16_t)bytes_load_u16(frame.at + 6);
    flight.id = (int32_t)bytes_load_u32(frame.at + 8);
    /* Who says that it is somebody else is stopped by Setu, whoever judges. */
    flight.ours =
        !stage_passes_logins() || (flight.key == API_SASL_AUTHENTICATE && !may_succeed(client));
    client_send(client, frame, &flight);
    client_flush(client);
}

static void step(struct client *client, enum broker_login_status status, struct writer *out)
{
    if (status == BROKER_LOGIN_PENDING) {
        broker_login_work(client->renewal);
        status = broker_login_resume(client->renewal, out);
    }
    send_requests(client, out);
    if (status == BROKER_LOGIN_OK) {
        sim_see(SEEN_CLIENT_RENEWED);
        if (!may_succeed(client)) {
            sim_violated("login", "client %u renewed its login as another", client->index);
        }
        client_term(client, client->renewal);
        broker_login_free(&client->renewal);
    } else if (status == BROKER_LOGIN_FAILED) {
        sim_see(SEEN_CLIENT_NOT_RENEWED);
        if (stage_renews() && may_succeed(client) &&
            stage_must_admit(client->user, client->password)) {
            sim_violated("login", "client %u was refused its renewal: %s", client->index,
                         broker_login_reason_name(broker_login_reason(client->renewal)));
        }
        client_leave(client, rng_chance(&sim.rng, 100));
    }
}

static void begin(struct client *client, const struct user *user, const char *given)
{
    struct writer out;
    struct secret password;
    if (!secret_from(&password, view_from_string(given))) {
        abort();
    }
    struct broker_login_params params = {
        .mechanism = client->mechanism,
        .username = user->name,
        .password = &password,
        .authenticate_version = 1 + (int16_t)rng_below(&sim.rng, 2),
        .client_id = book_client_id(client->book),
        .correlation_id = RENEWAL_ID,
        .random = renew_random,
    };
    client->renews_as_another = user != client->user;
    sim_note("client renews", client->index, client->flight_count);
    client->renewal = broker_login_new(&params);
    secret_wipe(&password);
    writer_init_growing(&out, OUT_MAX);
    step(client, broker_login_start(client->renewal, &out), &out);
    writer_free(&out);
}

void client_renew(struct client *client)
{
    if (client->renewal != NULL || sim.now_ns < client->renew_ns) {
        return;
    }
    if (sim.now_ns > client->ends_ns) {
        sim_see(SEEN_CLIENT_RENEWS_LATE);
    }
    begin(client, client->user, client->password);
}

/* Its own password with another's name is a lie, another's with another's is too. */
void client_renew_as(struct client *client, const struct user *user)
{
    bool same = strcmp(user->name, client->user->name) == 0;
    if (client->renewal == NULL && !same) {
        begin(client, user, user->password);
    }
}

void client_renewal_answer(struct client *client, struct view frame)
{
    struct writer out;
    size_t consumed = 0;
    if (client->renewal == NULL) {
        return;
    }
    writer_init_growing(&out, OUT_MAX);
    step(client, broker_login_feed(client->renewal, frame, &consumed, &out), &out);
    writer_free(&out);
}
