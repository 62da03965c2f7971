/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setu-replay: Setu's relay between peers of its own, in one thread and in lock-step, so that every run does the same.
 *
 *   burst from the clients ─▶ turns of the loop until the brokers have it ─▶ answers ─▶ turns until the clients have it
 *
 * stand_turn runs the loop; callgrind counts what happens inside that function, from replay_begin on, and nothing else.
 */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/bytes.h"
#include "proxy/ops/ledger_lane.h"
#include "tests/bench/common.h"
#include "tests/bench/payload.h"
#include "tests/gate/stand.h"
#include "tests/gate/waste.h"

enum { CONNS_MAX = 4, TURNS_MAX = 10000, SLOW_BYTES = 48 * 1024, SLOW_BUFFER_BYTES = 32 * 1024 };

struct scenario {
    const char *name;
    bool client_tls, broker_tls, fetch;
    int conns, burst;
    size_t batch_bytes;
    int bursts;
    bool slow, ledger;
};

static const struct scenario scenarios[] = {
#define SCENARIO(...) {__VA_ARGS__},
#include "tests/gate/scenarios.def"
#undef SCENARIO
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

struct frames {
    uint8_t *at; /* count of the same, one after the other */
    size_t length, id_at;
    int count;
};

struct replay {
    const struct scenario *scenario;
    struct stand stand;
    struct pair_of_peers pairs[CONNS_MAX];
    struct frames requests, responses;
    uint32_t id; /* of the first frame of the burst under way */
};

/* ---- what is measured ---- */

static uint64_t openssl_heap_calls;

/* Not static, not inlined: here callgrind starts from zero. */
void replay_begin(void);

__attribute__((noinline)) void replay_begin(void)
{
    openssl_heap_calls = 0;
}

/* OpenSSL serves the peers too: callgrind's counts of calls would be those of both. */
static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_heap_calls += stand_is_turning() ? 1 : 0;
    return malloc(size);
}

static void *openssl_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_heap_calls += stand_is_turning() ? 1 : 0;
    return realloc(block, size);
}

static void openssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_heap_calls += stand_is_turning() && block != NULL ? 1 : 0;
    free(block);
}

/* ---- frames ---- */

static struct frames repeat(struct payload payload, size_t id_at, int count)
{
    struct view frame = writer_view(&payload.frame);
    struct frames frames = {allocate(frame.length * (size_t)count), frame.length, id_at, count};
    for (int i = 0; i < count; i++) {
        memcpy(frames.at + (size_t)i * frame.length, frame.at, frame.length);
    }
    writer_free(&payload.frame);
    return frames;
}

static void number(struct frames *frames, uint32_t id)
{
    for (int i = 0; i < frames->count; i++) {
        bytes_store_u32(frames->at + (size_t)i * frames->length + frames->id_at, id + (uint32_t)i);
    }
}

static void make_frames(struct replay *r)
{
    const struct scenario *sc = r->scenario;
    r->requests = repeat(sc->fetch ? payload_fetch(BENCH_TOPIC, sc->batch_bytes)
                                   : payload_produce(BENCH_TOPIC, sc->batch_bytes),
                         PAYLOAD_ID_AT, sc->burst);
    r->responses = repeat(sc->fetch ? payload_fetch_answer(BENCH_TOPIC, sc->batch_bytes)
                                    : payload_produce_answer(BENCH_TOPIC),
                          PAYLOAD_ANSWER_ID_AT, sc->burst);
}

/* All frames from one side to the other. */
static void pass(struct replay *r, struct frames *frames, bool to_broker)
{
    const struct scenario *sc = r->scenario;
    size_t wanted = frames->length * (size_t)frames->count;
    size_t at_once = sc->slow && to_broker != sc->fetch ? SLOW_BYTES : SIZE_MAX;
    int arrived = 0;
    number(frames, r->id);
    for (int i = 0; i < sc->conns; i++) {
        struct pair_of_peers *pair = &r->pairs[i];
        pair->client.taken = pair->broker.taken = 0;
        peer_send(to_broker ? &pair->client : &pair->broker, frames->at, frames->length,
                  (size_t)frames->count);
    }
    for (int turn = 0; arrived < sc->conns; turn++) {
        if (turn == TURNS_MAX) {
            die("%s: frames do not arrive", sc->name);
        }
        stand_turn(&r->stand);
        arrived = 0;
        for (int i = 0; i < sc->conns; i++) {
            struct peer *to = to_broker ? &r->pairs[i].broker : &r->pairs[i].client;
            peer_take(to, at_once);
            arrived += to->taken == wanted ? 1 : 0;
        }
    }
}

/* In place of the ledger's thread, whose work is not a worker's. Every batch must have come. */
static void take_records(struct replay *r)
{
    struct ledger_lane *lane = r->stand.world.ledger;
    int left = r->scenario->ledger ? r->scenario->conns * r->scenario->burst : 0;
    for (const struct ledger_entry *entry = NULL;
         lane != NULL && (entry = ledger_lane_front(lane)) != NULL; ledger_lane_drop(lane)) {
        left -= entry->record.kind != LEDGER_MARK ? 1 : 0;
    }
    if (left != 0) {
        die("%s: %d batches are missing in the ledger", r->scenario->name, left);
    }
}

static void run_bursts(struct replay *r)
{
    for (int i = 0; i < r->scenario->bursts; i++) {
        pass(r, &r->requests, true);
        pass(r, &r->responses, false);
        take_records(r);
        r->id += (uint32_t)r->scenario->burst;
    }
}

static void narrow(const struct leg *leg)
{
    int bytes = SLOW_BUFFER_BYTES;
    (void)setsockopt(leg->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static void connect_all(struct replay *r, const char *waste)
{
    const struct scenario *sc = r->scenario;
    static const uint8_t key[SIPHASH_KEY_BYTES];
    stand_start(&r->stand, sc->client_tls, sc->broker_tls);
    if (sc->ledger && (r->stand.world.ledger = ledger_lane_new(key, NULL)) == NULL) {
        die("no memory for the ledger");
    }
    for (int i = 0; i < sc->conns; i++) {
        stand_connect(&r->stand, &r->pairs[i]);
        struct session *s = r->pairs[i].session;
        if (sc->slow) {
            narrow(sc->fetch ? &s->client : &s->broker);
        }
        if (waste != NULL && !waste_in(s, waste)) {
            die("--waste %s: heap, syscalls or instructions", waste);
        }
    }
}

/* ---- command line ---- */

static void run(const struct scenario *scenario, const char *waste)
{
    struct replay r = {.scenario = scenario};
    connect_all(&r, waste);
    make_frames(&r);
    run_bursts(&r);
    replay_begin();
    run_bursts(&r);
    size_t frames = (size_t)scenario->conns * (size_t)scenario->burst * (size_t)scenario->bursts;
    size_t length = scenario->fetch ? r.responses.length : r.requests.length;
    printf("{\"frames\": %zu, \"bytes\": %zu, \"openssl_heap_calls\": %llu}\n", frames,
           frames * length, (unsigned long long)openssl_heap_calls);
    fflush(stdout);
    _exit(0); /* what libraries do at the end is not to be counted */
}

static int usage(FILE *out, int status)
{
    fprintf(out, "Usage: setu-replay --list | [--waste heap|syscalls|instructions] SCENARIO\n");
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"list", no_argument, NULL, 'l'},
                                            {"waste", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *waste = NULL;
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
        die("OpenSSL has allocated already");
    }
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'l':
            for (int i = 0; i < SCENARIOS; i++) {
                puts(scenarios[i].name);
            }
            return 0;
        case 'w':
            waste = optarg;
            break;
        default:
            return usage(c == 'h' ? stdout : stderr, c == 'h' ? 0 : 2);
        }
    }
    for (int i = 0; optind + 1 == argc && i < SCENARIOS; i++) {
        if (strcmp(scenarios[i].name, argv[optind]) == 0) {
            run(&scenarios[i], waste);
            return 0;
        }
    }
    return usage(stderr, 2);
}
