/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/stage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/secret.h"
#include "conf/config.h"
#include "proxy/session/world.h"
#include "proxy/worker.h"
#include "tests/sim/book.h"
#include "tests/sim/broker.h"
#include "tests/sim/broker_private.h"
#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/fake_os.h"
#include "tests/sim/fake_uv.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage_files.h"

enum {
    CLIENTS_MAX = 8,
    LONGEST_S = 120,
    STOP_MS = 500, /* what the last callbacks may take */
    YEAR_DAYS = 365
};

static const int64_t wall_start_ns = 1900000000 * INT64_C(1000000000);

static struct credentials *users;
static const struct variant *variant;
static struct worker *worker;
static bool wall_stepped; /* certificates may have expired */

void stage_open(void)
{
    sim_begin(0, false);
    sim.wall_ns = wall_start_ns;
    users = stage_files_open();
    sim_end();
}

void stage_close(void)
{
    credentials_unref(&users);
    stage_files_close();
    fake_os_forget();
}

/* ---- for the actors ---- */

const struct user *stage_user(size_t drawn)
{
    static const size_t good = 3;
    return drawn % 10 < 8 ? &stage_users[drawn / 10 % good]
                          : &stage_users[drawn / 10 % stage_user_count];
}

bool stage_proves(const struct user *user, const char *password)
{
    return user->kind != USER_UNKNOWN &&
           secret_equal(view_from_string(user->password), view_from_string(password));
}

static bool is_mapped(const struct user *user)
{
    return user->kind != USER_UNMAPPED && user->kind != USER_AMBIGUOUS;
}

bool stage_may_admit(const struct user *user, const char *password)
{
    return stage_proves(user, password) && (is_mapped(user) || variant->passes_logins);
}

bool stage_must_admit(const struct user *user, const char *password)
{
    return stage_proves(user, password) && is_mapped(user) && !wall_stepped;
}

bool stage_is_shown_as(const struct user *user, const char *who)
{
    return strcmp(who, variant->passes_logins ? user->name : user->legacy) == 0;
}

bool stage_passes_logins(void)
{
    return variant->passes_logins;
}

bool stage_renews(void)
{
    return !variant->passes_logins && variant->shared->config->listeners[0].session_lifetime_ms > 0;
}

bool stage_flips(void)
{
    return variant->flips;
}

uint16_t stage_port(int32_t node_id)
{
    return (uint16_t)(node_id < 0 ? STAGE_PORT : STAGE_NODE_BASE_PORT + node_id);
}

struct wire_address stage_shown_address(void *context, int32_t node_id)
{
    (void)context;
    return (struct wire_address){view_from_string("setu.sim.invalid"), stage_port(node_id)};
}

bool stage_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    rng_fill(&sim.rng, at, length);
    return true;
}

/* ---- what happens to Setu's surroundings ---- */

static void faults_begin(void *unused)
{
    (void)unused;
    sim.faults = !sim.ending;
}

static void trouble(void *unused)
{
    (void)unused;
    if (!sim.ending) {
        broker_event(variant->flips);
        sim_after(rng_between(&sim.rng, SIM_MS, 15 * SIM_S), trouble, NULL);
    }
}

static void heal(void *unused)
{
    (void)unused;
    broker_heal();
    sim_after(rng_between(&sim.rng, SIM_S, 8 * SIM_S), heal, NULL);
}

static void freeze(void *unused)
{
    (void)unused;
    if (sim.ending) {
        return;
    }
    uint64_t for_ns = rng_chance(&sim.rng, 300) ? rng_between(&sim.rng, SIM_S, 30 * SIM_S)
                                                : rng_between(&sim.rng, SIM_MS, SIM_S);
    sim_see(SEEN_FROZEN);
    sim_note("Setu is stopped", for_ns / SIM_MS, 0);
    sim.frozen_until_ns = sim.now_ns + for_ns;
    sim_after(for_ns + rng_between(&sim.rng, SIM_MS, 20 * SIM_S), freeze, NULL);
}

static void step_wall(void *unused)
{
    (void)unused;
    int64_t day_ns = INT64_C(86400) * 1000000000;
    int64_t by_ns = (int64_t)rng_between(&sim.rng, 0, 2 * YEAR_DAYS) * day_ns - YEAR_DAYS * day_ns;
    sim_see(SEEN_WALL_STEP);
    sim_note("the wall clock is stepped", (uint64_t)(by_ns < 0), 0);
    sim.wall_ns += by_ns;
    wall_stepped = true;
}

/* ---- reloads ---- */

static struct worker_task reload_task, hand_over_task;
static bool reload_posted;
static bool serves_other; /* of the two snapshots */

static void run_reload(struct worker *of, struct worker_task *unused)
{
    struct shared *next = serves_other ? variant->shared : variant->other;
    (void)unused;
    reload_posted = false;
    if (sim.ending || !worker_prepare(of, next)) {
        return;
    }
    if (rng_chance(&sim.rng, 200)) {
        sim_see(SEEN_RELOAD_ABANDONED);
        worker_abandon(of);
        return;
    }
    sim_see(SEEN_RELOADED);
    serves_other = !serves_other;
    worker_commit(of);
}

static void reload(void *unused)
{
    (void)unused;
    if (!sim.ending) {
        if (!reload_posted) {
            sim_note("Setu reloads", serves_other, 0);
            reload_posted = true;
            reload_task.run = run_reload;
            worker_post(worker, &reload_task);
        }
        sim_after(rng_between(&sim.rng, 10 * SIM_MS, 8 * SIM_S), reload, NULL);
    }
}

/* ---- the end of a run ---- */

static void on_idle(void *unused)
{
    (void)unused;
    worker_order(worker, WORKER_STOP);
}

static void run_hand_over(struct worker *of, struct worker_task *unused)
{
    (void)unused;
    worker_suspend(of);
    worker_hand_over(of);
}

static void hand_over(uint64_t ceiling_ns)
{
    sim_see(SEEN_HANDED_OVER);
    hand_over_task.run = run_hand_over;
    worker_post(worker, &hand_over_task);
    sim_after(ceiling_ns, on_idle, NULL);
}

static void order_end(void)
{
    const struct conf_limits *limits = &variant->shared->config->limits;
    bool stop = rng_chance(&sim.rng, 150);
    bool idle = worker_stats(worker)->client_active == 0;
    uint64_t began_ns = sim.frozen_until_ns > sim.now_ns ? sim.frozen_until_ns : sim.now_ns;
    uint64_t takes_ms = STOP_MS + (stop ? 0 : limits->drain_timeout_ms);
    sim_see(stop ? SEEN_STOPPED : idle ? SEEN_DRAIN_IDLE : SEEN_DRAIN_BUSY);
    sim_note(stop ? "Setu is stopped at once" : "Setu drains", 0, 0);
    sim.ending = true;
    sim.faults = false;
    sim.must_end_ns = began_ns + takes_ms * SIM_MS;
    if (!stop && rng_chance(&sim.rng, 300)) {
        hand_over(began_ns - sim.now_ns + limits->drain_timeout_ms * SIM_MS);
    } else {
        worker_order(worker, stop ? WORKER_STOP : WORKER_DRAIN);
    }
}

static uint64_t last_ns;

static void look_whether_over(void *unused)
{
    (void)unused;
    if (sim.ending) {
        return;
    }
    if (sim.now_ns >= last_ns || client_all_gone()) {
        order_end();
        return;
    }
    sim_after(100 * SIM_MS, look_whether_over, NULL);
}

/* ---- a run ---- */

static void begin(uint64_t seed, bool trace)
{
    sim_begin(seed, trace);
    sim.wall_ns = wall_start_ns;
    wall_stepped = serves_other = reload_posted = false;
    variant = &stage_variants[rng_below(&sim.rng, STAGE_VARIANTS)];
    sim_note(variant->name, 0, 0);
    net_begin();
    book_begin();
    broker_forget_producers();
    broker_begin(STAGE_NODES, variant->sasl_nodes, users);
    net_on_connect = broker_accept;
    net_on_resolve = broker_resolve;
    atomic_store(variant->shared->session_ids, 0);
    const struct worker_params params = {
        .shared = variant->shared, .count = 1, .events = {.on_idle = on_idle}};
    worker = worker_new(&params);
    if (worker == NULL) {
        fputs("setu-sim: no worker\n", stderr);
        exit(2);
    }
    check_begin(worker);
    fake_uv_after_turn = check_turn;
    client_begin(1 + rng_below(&sim.rng, CLIENTS_MAX));
}

/* Half of the runs are calm but for what the actors do. */
static void draw_trouble(void)
{
    last_ns = sim.now_ns + rng_between(&sim.rng, SIM_S, LONGEST_S * SIM_S);
    sim_after(rng_between(&sim.rng, SIM_MS, SIM_S), look_whether_over, NULL);
    if (rng_chance(&sim.rng, 700)) {
        sim_after(rng_between(&sim.rng, 100 * SIM_MS, 2 * SIM_S), faults_begin, NULL);
    }
    if (rng_chance(&sim.rng, 400) || variant->flips) {
        sim_after(rng_between(&sim.rng, SIM_MS, 10 * SIM_S), trouble, NULL);
        sim_after(SIM_S, heal, NULL);
    }
    if (rng_chance(&sim.rng, 300)) {
        sim_after(rng_between(&sim.rng, SIM_MS, 10 * SIM_S), freeze, NULL);
    }
    if (rng_chance(&sim.rng, 250)) {
        sim_after(rng_between(&sim.rng, SIM_MS, 8 * SIM_S), reload, NULL);
    }
    if (rng_chance(&sim.rng, 100)) {
        sim_after(rng_between(&sim.rng, SIM_MS, 10 * SIM_S), step_wall, NULL);
    }
}

uint64_t stage_run(uint64_t seed, bool trace)
{
    begin(seed, trace);
    draw_trouble();
    worker_run(worker);
    check_end();
    batch_check();
    worker_free(&worker);
    net_end();
    client_end();
    broker_end();
    uint64_t digest = sim.digest;
    fake_uv_reset();
    sim_end();
    return digest;
}
