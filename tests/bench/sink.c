/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/common.h"

enum { DOORS_MAX = 8, EVENTS = 256, BACKLOG = 4096 };

static const char help[] =
    "Usage: setu-sink (--plain|--mtls) IPV4:PORT… [OPTION]…\n"
    "The broker of the benchmark of Setu: acknowledges Produce, has one answer to every Fetch.\n"
    "\n"
    "  --plain IPV4:PORT    listen in plaintext\n"
    "  --mtls IPV4:PORT     listen with TLS 1.3; the peer must show a certificate of --ca\n"
    "  --ca FILE --chain FILE --key FILE   PEM files for --mtls\n"
    "  --batch-bytes N      size of the batch in a Fetch answer (default 65536)\n"
    "  --tickets N          session tickets after each handshake (default OpenSSL's, 2); 0: none\n"
    "  --decrypt            decrypt everything and check the CRC of every batch; without it TLS\n"
    "                       is counted by its record lengths, which only suits setu-gen\n"
    "  --topic NAME:N       serve Kafka's own clients a topic of N partitions: as --decrypt, and\n"
    "                       batches get offsets\n"
    "  --help\n"
    "\n"
    "Prints \"ready\"; on SIGUSR1, and at the end (SIGTERM), one JSON object of what came so far.\n"
    "Exit status 1 if a batch was wrong.\n";

struct arguments {
    const char *ca, *chain, *key;
    size_t batch_bytes;
    int tickets; /* after each handshake; -1: as many as OpenSSL likes */
    struct sink_door doors[DOORS_MAX];
    bool mutual[DOORS_MAX];
    size_t door_count;
};

/* ---- options ---- */

static void take_door(struct arguments *a, const char *text, bool mutual)
{
    if (a->door_count == DOORS_MAX) {
        die("more than %d listeners", DOORS_MAX);
    }
    a->mutual[a->door_count] = mutual;
    a->doors[a->door_count++].address = address_of(text);
}

static void parse(struct arguments *a, struct sink *sink, int argc, char **argv)
{
    static const struct option options[] = {
        {"plain", required_argument, NULL, 'p'},
        {"mtls", required_argument, NULL, 'm'},
        {"ca", required_argument, NULL, 'a'},
        {"chain", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"decrypt", no_argument, NULL, 'd'},
        {"batch-bytes", required_argument, NULL, 'b'},
        {"topic", required_argument, NULL, 't'},
        {"tickets", required_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int id = 0; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (id) {
        case 'p':
        case 'm':
            take_door(a, optarg, id == 'm');
            break;
        case 'a':
            a->ca = optarg;
            break;
        case 'c':
            a->chain = optarg;
            break;
        case 'k':
            a->key = optarg;
            break;
        case 'd':
            sink->decrypt = true;
            break;
        case 'b':
            a->batch_bytes = (size_t)number_of("batch-bytes", optarg, 1, 64 * 1024 * 1024);
            break;
        case 't':
            sink_topic_from(&sink->topic, optarg);
            sink->decrypt = true;
            break;
        case 'T':
            a->tickets = (int)number_of("tickets", optarg, 0, 16);
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            exit(2); /* getopt has spoken */
        }
    }
    if (a->door_count == 0 || optind != argc) {
        die("nothing to listen on, or too many arguments (see --help)");
    }
}

/* ---- doors ---- */

static SSL_CTX *mutual_tls(const struct arguments *a)
{
    if (a->ca == NULL || a->chain == NULL || a->key == NULL) {
        die("--mtls needs --ca, --chain and --key");
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(ctx, a->chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, a->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(ctx, a->ca, NULL) != 1) {
        die_tls("--ca, --chain, --key");
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets carry all of it */
    if (SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"setu-sink", 9) != 1) {
        die_tls("session id context");
    }
    if (a->tickets >= 0) {
        SSL_CTX_set_num_tickets(ctx, (size_t)a->tickets);
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static void door_open(struct sink_door *door, struct sink *sink)
{
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = door};
    door->kind = SINK_DOOR;
    door->sink = sink;
    door->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door->fd < 0 || setsockopt(door->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(door->fd, (const struct sockaddr *)&door->address, sizeof door->address) != 0 ||
        listen(door->fd, BACKLOG) != 0 ||
        epoll_ctl(sink->epoll, EPOLL_CTL_ADD, door->fd, &event) != 0) {
        die("port %d: %s", ntohs(door->address.sin_port), strerror(errno));
    }
}

static void door_accept(struct sink_door *door)
{
    int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        sink_conn_start(door, fd);
    }
}

static void report(const struct sink *sink)
{
    printf("{\"batches\": %llu, \"bytes\": %llu, \"wrong\": %llu, \"records\": %llu, "
           "\"connections\": %llu, \"handshakes_full\": %llu, \"handshakes_resumed\": %llu}\n",
           (unsigned long long)sink->batches, (unsigned long long)sink->bytes,
           (unsigned long long)sink->batches_wrong, (unsigned long long)sink->records,
           (unsigned long long)sink->connections, (unsigned long long)sink->handshakes_full,
           (unsigned long long)sink->handshakes_resumed);
    fflush(stdout);
}

/* ---- the loop ---- */

/* Signals come as events: none is missed between two waits. */
static void bell_hang(struct sink_bell *bell, struct sink *sink)
{
    sigset_t set;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = bell};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    bell->kind = SINK_BELL;
    bell->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (bell->fd < 0 || epoll_ctl(sink->epoll, EPOLL_CTL_ADD, bell->fd, &event) != 0) {
        die("signalfd: %s", strerror(errno));
    }
}

/* False: it is time to end. */
static bool bell_answer(const struct sink_bell *bell, const struct sink *sink)
{
    struct signalfd_siginfo signal;
    while (read(bell->fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        if (signal.ssi_signo != SIGUSR1) {
            return false;
        }
        report(sink);
    }
    return true;
}

static void sink_run(struct sink *sink)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(sink->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            const enum sink_kind *kind = events[i].data.ptr;
            if (*kind == SINK_DOOR) {
                door_accept(events[i].data.ptr);
            } else if (*kind == SINK_CONN) {
                sink_conn_turn(events[i].data.ptr);
            } else if (!bell_answer(events[i].data.ptr, sink)) {
                return;
            }
        }
    }
}

int main(int argc, char **argv)
{
    static struct sink sink;
    static struct arguments arguments = {.batch_bytes = 65536, .tickets = -1};
    struct sink_bell bell;
    parse(&arguments, &sink, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(0);
    sink.epoll = epoll_create1(EPOLL_CLOEXEC);
    bell_hang(&bell, &sink);
    sink.produce_answer = payload_produce_answer(BENCH_TOPIC);
    sink.fetch_answer = payload_fetch_answer(BENCH_TOPIC, arguments.batch_bytes);
    for (size_t i = 0; i < arguments.door_count; i++) {
        struct sink_door *door = &arguments.doors[i];
        door->tls = arguments.mutual[i] ? mutual_tls(&arguments) : NULL;
        door_open(door, &sink);
    }
    puts("ready");
    fflush(stdout);
    sink_run(&sink);
    report(&sink);
    sink_conn_end_all(&sink);
    for (size_t i = 0; i < arguments.door_count; i++) {
        close(arguments.doors[i].fd);
        SSL_CTX_free(arguments.doors[i].tls);
    }
    close(bell.fd);
    writer_free(&sink.produce_answer.frame);
    writer_free(&sink.fetch_answer.frame);
    return sink.batches_wrong == 0 ? 0 : 1;
}
