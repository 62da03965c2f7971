/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct probe, for probe.c (what to try next) and probe_attempt.c (one connection
 * and a login over it).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/cluster/probe.h"
#include "proxy/cluster/token_read.h"
#include "proxy/io/leg.h"

enum { PROBE_TEXT_SIZE = 256, PROBE_RACK_SIZE = 256, PROBE_MECHANISM_SIZE = 32 };

/* What one connection is for. */
enum probe_attempt {
    PROBE_ATTEMPT_LOGIN,    /* as the generation says, with the identity */
    PROBE_ATTEMPT_VERSIONS, /* as the generation says, ApiVersions only */
    PROBE_ATTEMPT_LOOK_PLAIN,
    PROBE_ATTEMPT_LOOK_TLS /* with the trust of candidate `generation` */
};

enum probe_attempt_end {
    PROBE_END_NONE,      /* it runs */
    PROBE_END_OK,        /* login says what came out */
    PROBE_END_LOGIN,     /* the broker or we refused: login says why */
    PROBE_END_CONNECT,   /* no connection at this address */
    PROBE_END_LOCAL,     /* no socket to be had here */
    PROBE_END_REJECTED,  /* TLS: it does not accept our certificate, or wants one */
    PROBE_END_UNTRUSTED, /* TLS: we do not accept its certificate */
    PROBE_END_NOT_TLS,
    PROBE_END_BROKEN, /* TLS or socket failed otherwise */
    PROBE_END_TIMEOUT,
    PROBE_END_INTERNAL
};

struct probe {
    struct leg leg;
    uv_timer_t timer; /* 0 ms: begin the next attempt; else the limit of the attempt */
    struct slow_work work;
    struct token_read *reading; /* before the attempt has its leg; NULL: nothing */
    probe_fn done; /* NULL: cancelled */
    void (*gone)(void *context);
    void *context;
    struct io *io;
    const struct conf_cluster *conf;
    struct identity *identity;
    struct generation_subject subject;
    struct resolve_result addresses;
    size_t address;
    enum probe_attempt attempt;
    enum probe_attempt_end end;
    const struct conf_generation *generation;
    size_t next_trust; /* first generation whose TLS trust was not tried yet in this look */
    bool begun;        /* the first attempt was chosen */
    bool running;      /* an attempt has the leg */
    bool relook, timer_open, working, finished;
    struct broker_login *login;
    struct writer out;
    struct writer topics;
    size_t frame_max;
    uint64_t timeout_ms, started_ms;
    struct api_versions versions;
    struct probe_result result;
    char host[ROUTE_HOST_MAX], rack[PROBE_RACK_SIZE], text[PROBE_TEXT_SIZE];
    char tls_version[32], tls_cipher[64];
    int extended_master_secret;
    const char *mechanisms[SASL_MECHANISMS_MAX];
    char mechanism_names[SASL_MECHANISMS_MAX][PROBE_MECHANISM_SIZE];
};

/* probe_attempt.c */
/* Prepares the parts that an attempt uses. False: libuv refuses. */
bool probe_attempt_init(struct probe *probe) __attribute__((warn_unused_result));
/* The next turn of the loop begins: the plan at first, then `attempt`. */
void probe_attempt_soon(struct probe *probe);
void probe_attempt_next(struct probe *probe, enum probe_attempt attempt);
/* Ends what runs at once; nothing is concluded. */
void probe_attempt_abort(struct probe *probe);
/* Closes and frees the probe once neither the loop nor a thread holds a part of it. */
void probe_release_if_idle(struct probe *probe);
void probe_say(struct probe *probe, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* probe.c */
void probe_begin(struct probe *probe);
/* An attempt has ended as probe->end says, and its connection is gone. */
void probe_conclude(struct probe *probe);
