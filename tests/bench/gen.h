/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setu-gen: makes load, on one thread.
 *
 *   options ──▶ login (many connections at a time) ─┬─▶ load   requests, as many or as fast as told
 *                                                   ├─▶ hold   nothing at all
 *                                                   └─▶ storm  drop all, log in again
 *                                                          └──▶ report
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/histogram.h"

enum { GEN_CONNS_MAX = 20000, GEN_INFLIGHT_MAX = 1024 };

enum gen_mode { GEN_LOAD, GEN_HOLD, GEN_STORM };

struct gen_options {
    struct sockaddr_in target;
    const char *topic;
    enum gen_mode mode;
    size_t conns;
    size_t at_once;     /* logins under way together; 0: 64, in a storm all */
    size_t inflight;    /* requests of one connection without an answer */
    size_t batch_bytes; /* of a Produce, or of what a Fetch is answered with */
    double rate;        /* records a second, all connections together; 0: as fast as answers come */
    double duration_s;
    double warmup_s;
    double pause_s; /* of a storm, between the drop and the return */
    bool fetch;
    bool json;
    bool on_request; /* measure for each line of standard input, on the same connections */
    bool histogram;  /* the whole of it in the report */
    pid_t watch;     /* whose CPU time is reported, too; 0: nobody's */
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
/* Makes options->conns connections, at most at_once under way together: connect, TLS handshake,
 * ApiVersions, SASL if there is a user (PBKDF2 once for all), Metadata, and in any mode but
 * GEN_LOAD one Produce. They are non-blocking. took, unless NULL, gets how long each was under way
 * since the first began. Dies if any of it fails, or if nothing happens for 30 s. */
void gen_login(const struct gen_options *options, SSL_CTX *tls, struct gen_link *links_r,
               struct histogram *took);
void gen_close(struct gen_link *links, size_t count);

/* What the measured time, after the warm-up, brought. */
struct gen_result {
    double seconds;
    uint64_t batches; /* acknowledged */
    uint64_t records;
    uint64_t bytes;           /* of those batches */
    uint64_t overlapped;      /* requests begun while another had no answer yet */
    double cpu_s;             /* ours */
    double watched_cpu_s;     /* the watched process's */
    double drop_cpu_s;        /* …while connections were dropped: GEN_STORM */
    struct histogram latency; /* ns from the moment a request was due (--rate) or made; in a storm
                                 from its beginning until a connection is back */
};

/* Requests, on connections that stay the caller's. Everything dies on the first error of any of
 * them: an error code, a wrong correlation id, an end. */
struct load;
struct load *gen_load_open(const struct gen_options *options, const struct gen_link *links);
/* Warms up and measures. */
void gen_load_once(struct load *load, struct gen_result *result_r);
/* Awaits all answers, so that the connections rest, and can be measured again. */
void gen_load_drain(struct load *load);
/* Frees; nulls. */
void gen_load_close(struct load **load);
/* Says on standard output how many connections are up, and keeps them for duration_s; dies if one
 * of them ends. */
void gen_hold(const struct gen_options *options, const struct gen_link *links);
/* Drops all connections, waits pause_s, and makes them again. */
void gen_storm(const struct gen_options *options, SSL_CTX *tls, struct gen_link *links,
               struct gen_result *result_r);
