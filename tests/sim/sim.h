/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: one run: its clock, its randomness, what happens next, and what is told when an invariant breaks.
 *
 *   events by time ─▶ deliveries, actors, the thread pool, faults      sim.now_ns moves only here
 *                 └▶ a turn of Setu's loop (fake_uv)
 *
 * One run at a time, one thread. Every decision draws from sim.rng, so a seed is a run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/rng.h"

enum sim_mutation {
#define MUTATION(id, name, invariant, meaning) MUTATION_##id,
#include "tests/sim/mutations.def"
#undef MUTATION
    MUTATION_COUNT
};

enum sim_seen {
#define SEEN(id, name) SEEN_##id,
#include "tests/sim/seen.def"
#undef SEEN
    SEEN_COUNT
};

struct sim {
    uint64_t seed;
    struct rng rng;           /* what happens */
    struct rng os;            /* what the operating system's generator gives to Setu */
    uint64_t now_ns;          /* monotonic */
    int64_t wall_ns;          /* what the wall clock shows at now_ns == 0; may be stepped */
    uint64_t frozen_until_ns; /* Setu's loop does not turn before */
    bool faults;              /* things may go wrong by themselves */
    bool ending;              /* the run winds down: nobody begins anything new */
    uint64_t
        must_end_ns; /* Setu was told to end and has to have ended by then; UINT64_MAX: not told */
    bool trace;
    uint64_t digest; /* of everything that was noted */
    uint64_t steps;  /* events and turns */
    uint64_t turns;
};

extern struct sim sim;

/* Over all runs of the process. */
extern uint64_t sim_seen_total[SEEN_COUNT];
extern enum sim_mutation sim_mutation; /* MUTATION_NONE: Setu as it is */
/* A violation ends the process by SIGABRT and not with status 1: a fuzzer keeps the input of a crash only. */
extern bool sim_violation_aborts;

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

void sim_begin(uint64_t seed, bool trace);
/* Frees what sim_alloc gave and forgets what was to happen. */
void sim_end(void);

/* Zeroed, lives until sim_end. */
void *sim_alloc(size_t size);

typedef void (*sim_fn)(void *context);
/* fn is called delay_ns from now, outside of Setu's code. Things that are over check so themselves: nothing is taken
 * back. */
void sim_after(uint64_t delay_ns, sim_fn fn, void *context);
/* The time of the next event; UINT64_MAX: none. */
uint64_t sim_next_ns(void);
/* Runs it; there must be one. */
void sim_step(void);

/* Something happened: part of the digest, of the trace, and of the story told at a violation. `what` is static. */
void sim_note(const char *what, uint64_t a, uint64_t b);
void sim_see(enum sim_seen what);
/* True once a planted fault of this kind is due: the caller commits it. */
bool sim_mutates(enum sim_mutation mutation, unsigned per_mille);
bool sim_has_mutated(void);
const char *sim_mutation_name(enum sim_mutation mutation);
/* MUTATION_COUNT: no such name. */
enum sim_mutation sim_mutation_find(const char *name);

/* An invariant does not hold: tells the seed, the story and how to see it again, and ends the process: 1, or 0 when the
 * planted fault was to break just this. `invariant` is a word of invariants in README.md. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_violated(const char *invariant,
                                                                  const char *format, ...);
