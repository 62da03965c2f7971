/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/check.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

static const char usage[] =
    "Usage: setu-sim [--seeds A..B | --seed N] [--trace] [--repeat K] [--mutate NAME]\n"
    "\n"
    "  --seeds A..B   one run for each of them (1..1000)\n"
    "  --seed N       one run\n"
    "  --trace        tell everything that happens, and Setu's own log\n"
    "  --repeat K     every K-th seed once more, at the end: it must do the same again\n"
    "  --mutate NAME  plant a fault; the status is 0 when the invariant that it breaks tells so\n"
    "  --coverage     which states, moves, reasons and events were met, and which never\n";

struct options {
    uint64_t first, last, repeat;
    bool trace, coverage;
};

struct totals {
    uint64_t runs, steps, turns, simulated_ms;
};

static void refuse(const char *why)
{
    fprintf(stderr, "setu-sim: %s\n%s", why, usage);
    exit(2);
}

static void parse_seeds(struct options *options, const char *text)
{
    char *end = NULL;
    options->first = strtoull(text, &end, 10);
    options->last = options->first;
    if (strncmp(end, "..", 2) == 0) {
        options->last = strtoull(end + 2, &end, 10);
    }
    if (*end != '\0' || options->first > options->last) {
        refuse("seeds are a number or A..B");
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"seeds", required_argument, NULL, 's'},  {"seed", required_argument, NULL, 's'},
        {"trace", no_argument, NULL, 't'},        {"repeat", required_argument, NULL, 'r'},
        {"mutate", required_argument, NULL, 'm'}, {"coverage", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int found;
    while ((found = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (found) {
        case 's':
            parse_seeds(options, optarg);
            break;
        case 't':
            options->trace = true;
            break;
        case 'r':
            options->repeat = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            sim_mutation = sim_mutation_find(optarg);
            if (sim_mutation == MUTATION_COUNT) {
                refuse("no such mutation");
            }
            break;
        case 'c':
            options->coverage = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            refuse("not understood");
        }
    }
}

static uint64_t run(uint64_t seed, bool trace, struct totals *totals)
{
    uint64_t digest = stage_run(seed, trace);
    totals->runs++;
    totals->steps += sim.steps;
    totals->turns += sim.turns;
    totals->simulated_ms += (sim.now_ns - 1000 * SIM_S) / SIM_MS;
    return digest;
}

/* A run must depend on its seed alone, not on those before it. */
static void run_again(const struct options *options, const uint64_t *digests, struct totals *totals)
{
    for (uint64_t seed = options->first; seed <= options->last; seed += options->repeat) {
        uint64_t again = run(seed, false, totals);
        if (again != digests[seed - options->first]) {
            sim_violated("repeatable", "the digest was %016" PRIx64 ", and is %016" PRIx64,
                         digests[seed - options->first], again);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {.first = 1, .last = 1000};
    struct totals totals = {0};
    time_t began = time(NULL);
    parse(&options, argc, argv);
    uint64_t *digests = calloc(options.last - options.first + 1, sizeof *digests);
    if (digests == NULL) {
        abort();
    }
    stage_open();
    for (uint64_t seed = options.first; seed <= options.last; seed++) {
        digests[seed - options.first] = run(seed, options.trace, &totals);
    }
    if (options.repeat > 0) {
        run_again(&options, digests, &totals);
    }
    printf("setu-sim: %" PRIu64 " runs, %" PRIu64 " steps, %" PRIu64 " turns of the loop, %" PRIu64
           " s simulated in %ld s, last digest %016" PRIx64 "\n",
           totals.runs, totals.steps, totals.turns, totals.simulated_ms / 1000,
           (long)(time(NULL) - began), digests[options.last - options.first]);
    if (options.coverage) {
        check_print_coverage(stdout);
    }
    stage_close();
    free(digests);
    if (sim_mutation != MUTATION_NONE) {
        printf("setu-sim: %s: not caught\n", sim_mutation_name(sim_mutation));
        return 1;
    }
    return 0;
}
