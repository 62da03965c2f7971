/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check.h"

#include <stddef.h>
#include <string.h>

#include "conf/config.h"
#include "proxy/session/reauth.h"
#include "proxy/session/session.h"
#include "proxy/worker.h"
#include "tests/sim/fake_uv.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

enum {
    WATCHED_MAX = 4096, /* sessions of a run */
    STUCK_MS = 1500,
    STUCK_TURNS = 20,
    BACKLOG_MAX = 1024 * 1024, /* a read, and what rewriting and own answers add */
    SLACK_MS = 60,
    FROZEN_MS = 30000, /* stage.c: freeze */
    FINISH_MS = 5000,  /* session.c: DRAIN */
    LINGER_MS = 1000,  /* session.c: LINGER */
    DENY_MS = 8000     /* 16 times the configured delay, and 5 s to take the refusal */
};

/* What is remembered of a session from turn to turn. */
struct watched {
    enum session_state state;
    uint64_t since_ms;             /* it is in this state */
    uint64_t stuck_ms, stuck_turn; /* since when it could go on and does not; 0: it does */
    uint64_t holds_ms;             /* since when a renewal alone holds the client; 0: none does */
};

static const struct worker *worker;
static struct watched watched[WATCHED_MAX];
static uint64_t states_seen[SESSION_STATE_COUNT];
static uint64_t moves_seen[SESSION_STATE_COUNT][SESSION_STATE_COUNT];
static uint64_t reasons_seen[CLOSE_REASON_COUNT];

/* The linker's names: nobody includes a prototype of them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

void __real_session_enter(struct session *s, enum session_state state);

void __wrap_session_enter(struct session *s, enum session_state state)
{
    sim_note("state", s->id, state);
    states_seen[state]++;
    moves_seen[s->state][state]++;
    __real_session_enter(s, state);
}

static const struct world *world(void)
{
    const char *stats = (const char *)worker_stats(worker);
    return (const struct world *)(stats - offsetof(struct world, stats));
}

void check_begin(const struct worker *of)
{
    worker = of;
    memset(watched, 0, sizeof watched);
}

/* ---- one session ---- */

static uint64_t limit_ms(const struct session *s)
{
    const struct conf_limits *limits = &session_shared(s)->config->limits;
    switch (s->state) {
    case SESSION_SECURE:
    case SESSION_LOGIN:
    case SESSION_VERIFY:
    case SESSION_MAP:
        return limits->login_timeout_ms;
    case SESSION_DENY:
        return DENY_MS;
    case SESSION_DIAL:
    case SESSION_EXCHANGE:
        return limits->connect_timeout_ms;
    case SESSION_DRAIN:
        return FINISH_MS;
    case SESSION_LINGER:
        return LINGER_MS;
    default:
        return UINT64_MAX;
    }
}

static void check_deadline(const struct session *s, struct watched *w)
{
    uint64_t now_ms = fake_uv_now_ms();
    bool dials = w->state == SESSION_DIAL && s->state == SESSION_EXCHANGE;
    if (w->since_ms == 0 || (w->state != s->state && !dials)) {
        w->since_ms = now_ms;
        states_seen[s->state]++;
        if (w->state != s->state) {
            moves_seen[w->state][s->state]++;
        }
    }
    w->state = s->state;
    uint64_t limit = limit_ms(s);
    if (limit != UINT64_MAX && now_ms > w->since_ms + limit + SLACK_MS) {
        sim_violated("deadline", "session %llu is in %s for %llu ms", (unsigned long long)s->id,
                     session_state_name(s->state), (unsigned long long)(now_ms - w->since_ms));
    }
}

static bool could_send(const struct leg *leg)
{
    return leg->state == LEG_UP && leg->error == LEG_ERROR_NONE && leg_backlog(leg) > 0 &&
           net_room(leg->fd) > 0;
}

/* Something waits for Setu, and nothing that Setu would have to wait for. */
static bool could_go_on(const struct session *s)
{
    bool relays = s->state == SESSION_RELAY && !s->draining;
    bool requests = relays && !reauth_holds(s) && net_unread(s->client.fd) > 0 &&
                    leg_backlog(&s->broker) == 0 && s->relay.inflight.count < INFLIGHT_FULL / 2;
    bool responses = relays && net_unread(s->broker.fd) > 0 && leg_backlog(&s->client) == 0;
    bool login = s->state == SESSION_LOGIN && net_unread(s->client.fd) > 0;
    return requests || responses || login || could_send(&s->client) || could_send(&s->broker);
}

static void check_progress(const struct session *s, struct watched *w)
{
    uint64_t now_ms = fake_uv_now_ms();
    if (!could_go_on(s)) {
        w->stuck_turn = 0;
        return;
    }
    if (w->stuck_turn == 0) {
        w->stuck_turn = sim.turns;
        w->stuck_ms = now_ms;
    }
    if (now_ms - w->stuck_ms > STUCK_MS && sim.turns - w->stuck_turn > STUCK_TURNS) {
        sim_violated("progress",
                     "session %llu in %s could go on and does not (unread %zu and %zu, unsent %zu "
                     "and %zu)",
                     (unsigned long long)s->id, session_state_name(s->state),
                     net_unread(s->client.fd), net_unread(s->broker.fd), leg_backlog(&s->client),
                     leg_backlog(&s->broker));
    }
}

/* A renewal waits for what was asked before; then it has its time. */
static void check_renewal(const struct session *s, struct watched *w)
{
    const struct conf_limits *limits = &session_shared(s)->config->limits;
    const struct inflight_entry *oldest = inflight_front(&s->relay.inflight);
    uint64_t now_ms = fake_uv_now_ms();
    bool alone = s->state == SESSION_RELAY && !s->draining && reauth_holds(s) &&
                 (oldest == NULL || oldest->own);
    if (!alone) {
        w->holds_ms = 0;
        return;
    }
    w->holds_ms = w->holds_ms != 0 ? w->holds_ms : now_ms;
    /* three requests, each told late at most once that it is the oldest, and Setu may be stopped meanwhile */
    if (now_ms - w->holds_ms > 6 * limits->connect_timeout_ms + FROZEN_MS + SLACK_MS) {
        sim_violated("deadline", "session %llu renews a login for %llu ms",
                     (unsigned long long)s->id, (unsigned long long)(now_ms - w->holds_ms));
    }
}

static void check_memory(const struct session *s)
{
    const struct conf_limits *limits = &session_shared(s)->config->limits;
    size_t held_max = 2 * (limits->rewrite_max_bytes + FLOW_HEAD_BYTES_MAX);
    const struct relay *relay = &s->relay;
    if (leg_backlog(&s->client) > BACKLOG_MAX || leg_backlog(&s->broker) > BACKLOG_MAX ||
        relay->requests.held_capacity > held_max || relay->responses.held_capacity > held_max ||
        relay->inflight.count > INFLIGHT_MAX || relay->inflight.answers > INFLIGHT_ANSWERS_MAX) {
        sim_violated(
            "memory", "session %llu holds %zu and %zu unsent, %zu and %zu held, %u in flight",
            (unsigned long long)s->id, leg_backlog(&s->client), leg_backlog(&s->broker),
            relay->requests.held_capacity, relay->responses.held_capacity, relay->inflight.count);
    }
}

static void check_order_of_life(const struct session *s)
{
    bool early = s->state < SESSION_DIAL || s->state == SESSION_DENY;
    if (early && !leg_is_gone(&s->broker) && s->broker.state != LEG_CLOSING) {
        sim_violated("admission", "session %llu has a broker in %s", (unsigned long long)s->id,
                     session_state_name(s->state));
    }
    if (s->state == SESSION_RELAY && (s->principal == NULL || s->handshake != NULL)) {
        sim_violated("admission", "session %llu relays without a principal",
                     (unsigned long long)s->id);
    }
    if (!s->passthrough && s->state >= SESSION_DIAL && s->state < SESSION_CLOSED &&
        s->certificate == NULL) {
        sim_violated("admission", "session %llu dials for nobody that is mapped",
                     (unsigned long long)s->id);
    }
}

void check_turn(void)
{
    if (sim.now_ns > sim.must_end_ns) {
        sim_violated("end", "Setu was told to end and has not: %zu sessions, %zu handles",
                     world()->session_count, fake_uv_alive());
    }
    for (const struct session *s = world()->sessions; s != NULL; s = s->next) {
        if (s->state == SESSION_CLOSED || s->id >= WATCHED_MAX) {
            continue;
        }
        struct watched *w = &watched[s->id];
        check_deadline(s, w);
        check_progress(s, w);
        check_renewal(s, w);
        check_memory(s);
        check_order_of_life(s);
    }
}

/* ---- the end ---- */

void check_end(void)
{
    const struct stats *stats = worker_stats(worker);
    uint64_t closed = sim_mutates(MUTATION_CLOSE_TWICE, 1000) ? 1 : 0;
    for (size_t i = 0; i < STATS_CLOSE_REASONS; i++) {
        closed += stats->client_closed[i];
        if (i < CLOSE_REASON_COUNT) {
            reasons_seen[i] += stats->client_closed[i];
        }
    }
    if (closed != stats->client_accepted) {
        sim_violated("reasons", "%llu sessions began, %llu reasons were counted",
                     (unsigned long long)stats->client_accepted, (unsigned long long)closed);
    }
    if (world()->session_count != 0 || world()->sessions != NULL || world()->io.spill_bytes != 0 ||
        stats->client_active != 0 || stats->client_login != 0 || stats->broker_active != 0) {
        sim_violated("leftovers", "%zu sessions, %llu bytes unsent, gauges %llu %llu %llu",
                     world()->session_count, (unsigned long long)world()->io.spill_bytes,
                     (unsigned long long)stats->client_active,
                     (unsigned long long)stats->client_login,
                     (unsigned long long)stats->broker_active);
    }
}

/* ---- what was met ---- */

static void print_never(FILE *out, const char *what, const char *name, uint64_t count,
                        unsigned *met, unsigned *all)
{
    ++*all;
    if (count > 0) {
        ++*met;
    } else {
        fprintf(out, "never met: %s %s\n", what, name);
    }
}

static void print_moves(FILE *out)
{
    unsigned met = 0, all = 0;
    for (size_t from = 0; from < SESSION_CLOSED; from++) {
        for (size_t to = 0; to < SESSION_CLOSED; to++) {
            char name[64];
            if (session_may((enum session_state)from, (enum session_state)to)) {
                snprintf(name, sizeof name, "%s → %s", session_state_name((enum session_state)from),
                         session_state_name((enum session_state)to));
                print_never(out, "move", name, moves_seen[from][to], &met, &all);
            }
        }
    }
    fprintf(out, "moves between states: %u of %u\n", met, all);
}

void check_print_coverage(FILE *out)
{
    static const char *const seen[] = {
#define SEEN(id, name) name,
#include "tests/sim/seen.def"
#undef SEEN
    };
    unsigned met = 0, all = 0;
    for (size_t i = 0; i < SESSION_CLOSED; i++) {
        print_never(out, "state", session_state_name((enum session_state)i), states_seen[i], &met,
                    &all);
    }
    fprintf(out, "states: %u of %u\n", met, all);
    print_moves(out);
    met = all = 0;
    for (size_t i = 0; i < CLOSE_REASON_COUNT; i++) {
        print_never(out, "reason", close_reason_name(i), reasons_seen[i], &met, &all);
    }
    fprintf(out, "reasons: %u of %u\n", met, all);
    met = all = 0;
    for (size_t i = 0; i < SEEN_COUNT; i++) {
        print_never(out, "event:", seen[i], sim_seen_total[i], &met, &all);
    }
    fprintf(out, "events: %u of %u\n", met, all);
}
