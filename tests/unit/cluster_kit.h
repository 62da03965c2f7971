/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_kit: a cluster on a loop of its own, before up to three brokers in memory behind loopback sockets. One a
 * test: suites name kit_setup and kit_teardown, which sees to it that nothing is left behind.
 */
#pragma once

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "proxy/cluster/cluster.h"
#include "proxy/io/io.h"
#include "proxy/ops/stats.h"
#include "tests/unit/fake_server.h"

enum { SERVERS = 3 };

struct cluster_kit {
    uv_loop_t loop;
    struct io io;
    struct stats stats;
    struct fake_server servers[SERVERS];
    struct fake_node nodes[SERVERS + 1]; /* ids 1 to 3, at the servers; what all brokers name */
    size_t node_count;
    bool bootstrap_all; /* else the first server alone */
    int connect_timeout_ms;
    struct fake_bearer bearer; /* no token: passwords */
    struct config *config;
    struct cluster *cluster;
    bool ready, closed, expired;
    int32_t opened[16]; /* node ids, in the order they became known */
    size_t opened_count;
    enum route_status told; /* by kit_on_told */
    int told_count;
    char folder[32], password_file[64];
};

extern struct cluster_kit kit;

/* Lists of generations. */
extern const char kit_legacy_by_rule[], kit_by_look[], kit_legacy_stored[];

void kit_setup(void);
void kit_teardown(void);

void kit_write_password(const char *password);

/* password: of Setu's own identity "setu"; NULL: it has none. more: further keys of the cluster. With kit.bearer it is
 * a token, and all brokers want that one. */
void kit_start(const char *generations, const char *password, const char *more);

/* Runs the loop until it holds, at most so long. */
bool kit_run_until(bool (*holds)(void), uint64_t timeout_ms);
bool kit_never(void);
bool kit_is_ready(void);
bool kit_is_flipped(void);

/* It must be known. */
struct cluster_node_info kit_node(int32_t node_id);

/* For cluster_close and cluster_wait. */
void kit_on_closed(void *context);
void kit_on_told(struct cluster_waiter *waiter, enum route_status status);
bool kit_is_told(void);
