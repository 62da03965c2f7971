/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of setu-test-broker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/broker/fault.h"

enum { OPTIONS_NODES_MAX = 1024, OPTIONS_DOORS_MAX = 8, OPTIONS_TOPICS_MAX = 64 };

enum door_kind { DOOR_PLAIN, DOOR_SASL, DOOR_SSL, DOOR_SASL_SSL };

struct address {
    char host[256];
    int port;
};

/* Another broker of the cluster. */
struct node_option {
    int32_t id;
    struct address address;
};

struct door_option {
    enum door_kind kind;
    struct address address; /* port 0: any free one, printed */
};

struct topic_option {
    const char *name;
    int32_t partitions;  /* of a normal topic; a source has one a node */
    size_t source_bytes; /* 0: a normal topic; else what one Fetch of a partition gets, endlessly */
};

struct options {
    int32_t node_id;
    struct node_option nodes[OPTIONS_NODES_MAX];
    size_t node_count;
    struct door_option doors[OPTIONS_DOORS_MAX];
    size_t door_count;
    struct topic_option topics[OPTIONS_TOPICS_MAX];
    size_t topic_count;
    int32_t partitions;  /* of topics made on demand; 0: none are made */
    int32_t many_topics; /* so many more, t-00000… */
    size_t keep_bytes;   /* of each partition, for Fetch; 0: only offsets are kept */
    const char *profile;
    const char *users; /* a users file of Setu's form */
    const char *ca, *chain, *key;
    uint64_t slow_bytes_per_s; /* 0: as fast as it goes */
    uint64_t session_ms;       /* KIP-368: how long a SASL login lasts; 0: for ever */
    bool trace;
    bool control; /* commands on standard input */
    struct faults faults;
};

/*
 * Fills *options_r; its strings point into argv. False: *status_r is the exit status (0 after
 * --help, 2 after a message).
 */
bool options_parse(struct options *options_r, int argc, char **argv, int *status_r)
    __attribute__((warn_unused_result));

/* "plain", "sasl", "ssl", "sasl_ssl". Static. */
const char *options_kind_name(enum door_kind kind);
