/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STORY_LENGTH = 60 };

struct event {
    uint64_t at_ns, order; /* of two at the same time the one that was made first */
    sim_fn fn;
    void *context;
};

struct block {
    struct block *next;
    max_align_t memory[];
};

struct told {
    uint64_t at_ns, a, b;
    const char *what;
};

struct sim sim;
uint64_t sim_seen_total[SEEN_COUNT];
enum sim_mutation sim_mutation;
bool sim_violation_aborts;

static struct event *heap;
static size_t heap_count, heap_capacity;
static uint64_t heap_order;
static struct block *blocks;
static struct told story[STORY_LENGTH];
static uint64_t told_count;
static bool mutated;

static const struct {
    const char *name, *invariant;
} mutations[] = {
#define MUTATION(id, name, invariant, meaning) {name, invariant},
#include "tests/sim/mutations.def"
#undef MUTATION
};

/* ---- memory ---- */

static void out_of_memory(void)
{
    fputs("setu-sim: no memory\n", stderr);
    abort();
}

void *sim_alloc(size_t size)
{
    struct block *block = calloc(1, sizeof *block + size);
    if (block == NULL) {
        out_of_memory();
    }
    block->next = blocks;
    blocks = block;
    return block->memory;
}

void sim_begin(uint64_t seed, bool trace)
{
    sim = (struct sim){.seed = seed, .trace = trace, .digest = 14695981039346656037u};
    rng_seed(&sim.rng, seed);
    rng_seed(&sim.os, ~seed);
    sim.now_ns = 1000 * SIM_S;
    sim.must_end_ns = UINT64_MAX;
    told_count = heap_order = 0;
    mutated = false;
}

void sim_end(void)
{
    while (blocks != NULL) {
        struct block *gone = blocks;
        blocks = gone->next;
        free(gone);
    }
    free(heap);
    heap = NULL;
    heap_count = heap_capacity = 0;
}

/* ---- what happens next: a binary heap ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void swap(struct event *a, struct event *b)
{
    struct event kept = *a;
    *a = *b;
    *b = kept;
}

void sim_after(uint64_t delay_ns, sim_fn fn, void *context)
{
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity == 0 ? 64 : heap_capacity * 2;
        heap = realloc(heap, heap_capacity * sizeof *heap);
        if (heap == NULL) {
            out_of_memory();
        }
    }
    size_t at = heap_count++;
    heap[at] = (struct event){sim.now_ns + delay_ns, heap_order++, fn, context};
    while (at > 0 && before(&heap[at], &heap[(at - 1) / 2])) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

uint64_t sim_next_ns(void)
{
    return heap_count > 0 ? heap[0].at_ns : UINT64_MAX;
}

static void sink(size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_count; child++) {
            least = before(&heap[child], &heap[least]) ? child : least;
        }
        if (least == at) {
            return;
        }
        swap(&heap[at], &heap[least]);
        at = least;
    }
}

void sim_step(void)
{
    struct event next = heap[0];
    heap[0] = heap[--heap_count];
    sink(0);
    if (next.at_ns > sim.now_ns) {
        sim.now_ns = next.at_ns;
    }
    sim.steps++;
    next.fn(next.context);
}

/* ---- what is told ---- */

static void digest(uint64_t value)
{
    sim.digest = (sim.digest ^ value) * 1099511628211u;
    sim.digest ^= sim.digest >> 29;
}

static void print_told(FILE *out, const struct told *told)
{
    fprintf(out, "%10.3f ms  %-24s %llu %llu\n",
            (double)(told->at_ns - 1000 * SIM_S) / (double)SIM_MS, told->what,
            (unsigned long long)told->a, (unsigned long long)told->b);
}

void sim_note(const char *what, uint64_t a, uint64_t b)
{
    struct told told = {sim.now_ns, a, b, what};
    story[told_count++ % STORY_LENGTH] = told;
    for (const char *at = what; *at != '\0'; at++) {
        digest((uint64_t)(unsigned char)*at);
    }
    digest(sim.now_ns);
    digest(a);
    digest(b);
    if (sim.trace) {
        print_told(stdout, &told);
    }
}

void sim_see(enum sim_seen what)
{
    sim_seen_total[what]++;
}

/* ---- planted faults ---- */

bool sim_mutates(enum sim_mutation mutation, unsigned per_mille)
{
    if (mutation != sim_mutation || mutated || !rng_chance(&sim.rng, per_mille)) {
        return false;
    }
    mutated = true;
    sim_note("MUTATION", mutation, 0);
    return true;
}

bool sim_has_mutated(void)
{
    return mutated;
}

const char *sim_mutation_name(enum sim_mutation mutation)
{
    return mutations[mutation].name;
}

enum sim_mutation sim_mutation_find(const char *name)
{
    size_t at = 0;
    while (at < MUTATION_COUNT && strcmp(mutations[at].name, name) != 0) {
        at++;
    }
    return (enum sim_mutation)at;
}

void sim_violated(const char *invariant, const char *format, ...)
{
    va_list arguments;
    bool wanted = mutated && strstr(mutations[sim_mutation].invariant, invariant) != NULL;
    printf("setu-sim: seed %llu: %s: ", (unsigned long long)sim.seed, invariant);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    if (wanted) {
        printf("setu-sim: %s: caught by '%s'\n", mutations[sim_mutation].name, invariant);
        fflush(NULL);
        _exit(0);
    }
    if (!sim.trace) {
        uint64_t first = told_count > STORY_LENGTH ? told_count - STORY_LENGTH : 0;
        for (uint64_t i = first; i < told_count; i++) {
            print_told(stdout, &story[i % STORY_LENGTH]);
        }
    }
    printf("setu-sim: again, with everything told: setu-sim --seed %llu --trace%s%s\n",
           (unsigned long long)sim.seed, sim_mutation != MUTATION_NONE ? " --mutate " : "",
           sim_mutation != MUTATION_NONE ? mutations[sim_mutation].name : "");
    fflush(NULL);
    if (sim_violation_aborts) {
        abort();
    }
    _exit(1);
}
