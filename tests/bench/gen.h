/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setu-gen: makes load, on one thread.
 *
 *   options ──▶ login (each connection, blocking) ──▶ load (all connections, epoll) ──▶ report
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/histogram.h"

enum { GEN_CONNS_MAX = 4096, GEN_INFLIGHT_MAX = 1024 };

struct gen_options {
    struct sockaddr_in target;
    const char *topic;
    size_t conns;
    size_t inflight;    /* requests of one connection without an answer */
    size_t batch_bytes; /* of a Produce, or of what a Fetch is answered with */
    double rate;        /* records a second, all connections together; 0: as fast as answers come */
    double duration_s;
    double warmup_s;
    bool fetch;
    bool json;
    pid_t watch; /* whose CPU time is reported, too; 0: nobody's */
    const char *user;
    const char *password_file;
    const char *mechanism;
    const char *ca; /* NULL: no TLS */
    const char *chain;
    const char *key;
};

/* Prints help or what is wrong, and ends the process, unless all is well. */
void gen_options_parse(struct gen_options *options, int argc, char **argv);

/* One connection that has been logged in. */
struct gen_link {
    int fd;
    SSL *ssl; /* NULL: plaintext */
};

/* NULL without TLS. */
SSL_CTX *gen_tls(const struct gen_options *options);
/* Connects, secures, ApiVersions, SASL if there is a user, Metadata. Non-blocking afterwards. Dies
 * if any of it fails. */
struct gen_link gen_login(const struct gen_options *options, SSL_CTX *tls);

/* What the measured time, after the warm-up, brought. */
struct gen_result {
    double seconds;
    uint64_t batches; /* acknowledged */
    uint64_t records;
    uint64_t bytes;           /* of those batches */
    double cpu_s;             /* ours */
    double watched_cpu_s;     /* the watched process's */
    struct histogram latency; /* ns from the moment a request was due (--rate) or made */
};

/* Dies on the first error of any connection: an error code, a wrong correlation id, an end. */
void gen_load(const struct gen_options *options, struct gen_link *links,
              struct gen_result *result_r);
