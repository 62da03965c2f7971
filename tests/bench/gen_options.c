/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/mech.h"
#include "tests/bench/common.h"
#include "tests/bench/gen.h"

static const char help[] =
    "Usage: setu-gen --target IPV4:PORT [OPTION]…\n"
    "Makes Produce (or Fetch) load for the benchmark of Setu, and counts what is acknowledged.\n"
    "\n"
    "  --target IPV4:PORT   broker or proxy\n"
    "  --topic NAME         partition 0 of it is used (default " BENCH_TOPIC ")\n"
    "  --conns N            connections (default 4)\n"
    "  --inflight N         requests in flight on each (default 5)\n"
    "  --batch-bytes N      size of a batch of 100-byte records (default 65536)\n"
    "  --rate N             records a second in all, sent when due whether or not answers come\n"
    "                       (default: as fast as they come)\n"
    "  --fetch              Fetch, not Produce\n"
    "  --duration S         seconds measured (default 5)\n"
    "  --warmup S           seconds before that (default 0.5)\n"
    "  --user NAME --password-file FILE [--mechanism NAME]   log in (default SCRAM-SHA-512)\n"
    "  --ca FILE            speak TLS; --chain FILE --key FILE: and show this certificate\n"
    "  --at-once N          logins under way together (default 64; in a storm all)\n"
    "  --on-request         prints \"ready\", then measures once for each line on standard input\n"
    "  --hold               one Produce on each connection, then nothing for --duration; prints a\n"
    "                       line when all are up\n"
    "  --storm              one Produce on each connection; then all are dropped, and after "
    "--pause\n"
    "                       come back at once: what is reported is their return, up to the answer\n"
    "                       to the last one's Produce\n"
    "  --pause S            seconds between drop and return (default 0.5)\n"
    "  --watch PID          report the CPU time of this process over the measured time, too\n"
    "  --json               one JSON object\n"
    "  --histogram          with --json: all latencies, as pairs of nanoseconds and how many\n"
    "  --help\n"
    "\n"
    "Exit status 2 and a line on standard error for any error, however late.\n";

enum option_id {
    OPTION_TARGET,
    OPTION_TOPIC,
    OPTION_CONNS,
    OPTION_INFLIGHT,
    OPTION_BATCH_BYTES,
    OPTION_RATE,
    OPTION_FETCH,
    OPTION_DURATION,
    OPTION_WARMUP,
    OPTION_USER,
    OPTION_PASSWORD_FILE,
    OPTION_MECHANISM,
    OPTION_CA,
    OPTION_CHAIN,
    OPTION_KEY,
    OPTION_AT_ONCE,
    OPTION_ON_REQUEST,
    OPTION_HOLD,
    OPTION_STORM,
    OPTION_PAUSE,
    OPTION_HISTOGRAM,
    OPTION_WATCH,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"target", required_argument, NULL, OPTION_TARGET},
    {"topic", required_argument, NULL, OPTION_TOPIC},
    {"conns", required_argument, NULL, OPTION_CONNS},
    {"inflight", required_argument, NULL, OPTION_INFLIGHT},
    {"batch-bytes", required_argument, NULL, OPTION_BATCH_BYTES},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"fetch", no_argument, NULL, OPTION_FETCH},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"user", required_argument, NULL, OPTION_USER},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"mechanism", required_argument, NULL, OPTION_MECHANISM},
    {"ca", required_argument, NULL, OPTION_CA},
    {"chain", required_argument, NULL, OPTION_CHAIN},
    {"key", required_argument, NULL, OPTION_KEY},
    {"at-once", required_argument, NULL, OPTION_AT_ONCE},
    {"on-request", no_argument, NULL, OPTION_ON_REQUEST},
    {"hold", no_argument, NULL, OPTION_HOLD},
    {"storm", no_argument, NULL, OPTION_STORM},
    {"pause", required_argument, NULL, OPTION_PAUSE},
    {"histogram", no_argument, NULL, OPTION_HISTOGRAM},
    {"watch", required_argument, NULL, OPTION_WATCH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static void take(struct gen_options *o, int id, const char *value)
{
    switch (id) {
    case OPTION_TARGET:
        o->target = address_of(value);
        break;
    case OPTION_TOPIC:
        o->topic = value;
        break;
    case OPTION_CONNS:
        o->conns = (size_t)number_of("conns", value, 1, GEN_CONNS_MAX);
        break;
    case OPTION_INFLIGHT:
        o->inflight = (size_t)number_of("inflight", value, 1, GEN_INFLIGHT_MAX);
        break;
    case OPTION_BATCH_BYTES:
        o->batch_bytes = (size_t)number_of("batch-bytes", value, 1, 64 * 1024 * 1024);
        break;
    case OPTION_RATE:
        o->rate = number_of("rate", value, 0, 1e9);
        break;
    case OPTION_FETCH:
        o->fetch = true;
        break;
    case OPTION_DURATION:
        o->duration_s = number_of("duration", value, 0.01, 3600);
        break;
    case OPTION_WARMUP:
        o->warmup_s = number_of("warmup", value, 0, 600);
        break;
    case OPTION_USER:
        o->user = value;
        break;
    case OPTION_PASSWORD_FILE:
        o->password_file = value;
        break;
    case OPTION_MECHANISM:
        o->mechanism = value;
        break;
    case OPTION_CA:
        o->ca = value;
        break;
    case OPTION_CHAIN:
        o->chain = value;
        break;
    case OPTION_KEY:
        o->key = value;
        break;
    case OPTION_AT_ONCE:
        o->at_once = (size_t)number_of("at-once", value, 1, GEN_CONNS_MAX);
        break;
    case OPTION_ON_REQUEST:
        o->on_request = true;
        break;
    case OPTION_HOLD:
        o->mode = GEN_HOLD;
        break;
    case OPTION_STORM:
        o->mode = GEN_STORM;
        break;
    case OPTION_PAUSE:
        o->pause_s = number_of("pause", value, 0, 600);
        break;
    case OPTION_HISTOGRAM:
        o->histogram = true;
        break;
    case OPTION_WATCH:
        o->watch = (pid_t)number_of("watch", value, 1, 1 << 22);
        break;
    case OPTION_JSON:
        o->json = true;
        break;
    case OPTION_HELP:
        fputs(help, stdout);
        exit(0);
    default:
        exit(2); /* getopt has spoken */
    }
}

void gen_options_parse(struct gen_options *o, int argc, char **argv)
{
    *o = (struct gen_options){
        .topic = BENCH_TOPIC,
        .conns = 4,
        .inflight = 5,
        .batch_bytes = 65536,
        .duration_s = 5,
        .warmup_s = 0.5,
        .pause_s = 0.5,
        .mechanism = "SCRAM-SHA-512",
    };
    for (int id = 0; (id = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        take(o, id, optarg);
    }
    if (optind != argc) {
        die("unexpected argument %s", argv[optind]);
    }
    if (o->target.sin_port == 0) {
        die("--target is missing (see --help)");
    }
    if ((o->user == NULL) != (o->password_file == NULL) || !mech_known(o->mechanism)) {
        die("a login takes --user, --password-file, and a mechanism that exists");
    }
    if ((o->chain == NULL) != (o->key == NULL) || (o->chain != NULL && o->ca == NULL)) {
        die("a client certificate takes --ca, --chain and --key");
    }
}
