/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay.h"

#include "conf/config.h"
#include "proxy/ops/log.h"
#include "proxy/session/reauth.h"
#include "proxy/session/relay_ledger.h"
#include "proxy/session/relay_request.h"
#include "proxy/session/relay_response.h"
#include "proxy/session/session.h"
#include "proxy/session/session_private.h"

/* Reads of one leg in one turn: then the others get theirs. */
enum { RELAY_TURNS_MAX = 8 };

static bool relay_is_up(const struct session *s)
{
    return s->state == SESSION_RELAY;
}

/* One side of the pump: the two directions differ in data only. */
struct side {
    struct leg *from, *to;
    struct flow *flow;
    const struct flow_direction *direction;
    uint64_t *bytes_in, *bytes_out, *paused;
    enum close_reason ended;
    void (*from_failed)(struct session *s);
};

static struct side relay_side_requests(struct session *s)
{
    struct stats *stats = &s->world->stats;
    return (struct side){&s->client,
                         &s->broker,
                         &s->relay.requests,
                         &relay_request_direction,
                         &stats->client_bytes_in,
                         &stats->broker_bytes_out,
                         &stats->paused_client,
                         CLOSE_CLIENT_CLOSED,
                         session_client_failed};
}

static struct side relay_side_responses(struct session *s)
{
    struct stats *stats = &s->world->stats;
    return (struct side){&s->broker,
                         &s->client,
                         &s->relay.responses,
                         &relay_response_direction,
                         &stats->broker_bytes_in,
                         &stats->client_bytes_out,
                         &stats->paused_broker,
                         CLOSE_BROKER_CLOSED,
                         session_broker_failed};
}

static bool relay_must_wait(struct session *s, const struct side *side)
{
    return leg_backlog(side->to) > 0 ||
           (side->from == &s->client && (inflight_full(&s->relay.inflight) || reauth_holds(s)));
}

/*
 * While the session drains, only the rest of the request that has begun is taken: a client that never waits for its
 * answers would otherwise never rest.
 */
static size_t relay_wanted(struct session *s, const struct side *side)
{
    if (side->from != &s->client || !(s->draining || reauth_is_due(s))) {
        return IO_SCRATCH_BYTES;
    }
    size_t wanted = flow_missing(side->flow, side->direction);
    if (!s->draining) {
        wanted = reauth_wanted(s, wanted);
    }
    return wanted < IO_SCRATCH_BYTES ? wanted : IO_SCRATCH_BYTES;
}

/* One read and what follows from it. false: nothing more to do in this turn. */
static bool relay_read(struct session *s, const struct side *side)
{
    uint8_t *scratch = s->world->io.scratch;
    size_t length = 0;
    if (relay_must_wait(s, side)) {
        stats_add(side->paused, 1);
        if (side->from == &s->client) {
            leg_pause_heeding(
                side->from); /* a broker's last answers are still owed; a client's place is not */
        } else {
            leg_pause(side->from);
        }
        return false;
    }
    size_t wanted = relay_wanted(s, side);
    if (!relay_is_up(s)) {
        return false;
    }
    if (wanted == 0) {
        leg_pause(side->from);
        return false;
    }
    switch (leg_read(side->from, scratch, wanted, &length)) {
    case LEG_READ_SOME:
        break;
    case LEG_READ_BLOCKED:
        return false;
    case LEG_READ_END:
        session_finish(s, side->from, side->ended);
        return false;
    case LEG_READ_FAILED:
        side->from_failed(s);
        return false;
    }
    s->active_ms = uv_now(s->world->io.loop);
    stats_add(side->bytes_in, length);
    bool open = flow_bytes(s, side->flow, side->direction, scratch, length);
    stats_add(side->bytes_out, side->flow->sent_bytes);
    side->flow->sent_bytes = 0;
    if (!open || !relay_is_up(s)) {
        return false;
    }
    if (!leg_flush(side->to)) {
        side->direction->to_failed(s);
        return false;
    }
    return length == wanted;
}

static void relay_pump(struct session *s, const struct side *side)
{
    for (int turn = 0; turn < RELAY_TURNS_MAX; turn++) {
        if (!relay_read(s, side)) {
            return;
        }
    }
    leg_again(side->from);
}

void relay_requests(struct session *s)
{
    struct side side = relay_side_requests(s);
    relay_pump(s, &side);
    if (s->draining) {
        session_rest(s);
    }
}

void relay_responses(struct session *s)
{
    struct side side = relay_side_responses(s);
    relay_pump(s, &side);
    if (relay_is_up(s) && !s->client.reading && leg_backlog(&s->broker) == 0 &&
        s->relay.inflight.count < INFLIGHT_FULL / 2 && !reauth_holds(s)) {
        leg_resume(&s->client);
    }
    if (s->draining) {
        session_rest(s);
    }
}

void relay_client_drained(struct session *s)
{
    if (!relay_send_answers(s)) {
        return;
    }
    leg_resume(&s->broker);
    if (s->draining) {
        session_rest(s);
    }
}

void relay_broker_drained(struct session *s)
{
    if (!inflight_full(&s->relay.inflight) && !reauth_holds(s)) {
        leg_resume(&s->client);
    }
    if (s->draining) {
        session_rest(s);
    }
}

void relay_start(struct session *s)
{
    if (s->client.ssl != NULL) {
        SSL_clear_options(s->client.ssl, SSL_OP_CLEANSE_PLAINTEXT);
    }
    leg_resume(&s->broker);
    if (s->draining) {
        session_rest(s);
    }
}

bool relay_rests(const struct session *s)
{
    return s->relay.inflight.count == 0 && flow_rests(&s->relay.requests) &&
           flow_rests(&s->relay.responses);
}

void relay_free(struct relay *relay)
{
    relay_ledger_free(&relay->ledger);
    inflight_clear(&relay->inflight);
    flow_free(&relay->requests);
    flow_free(&relay->responses);
}
