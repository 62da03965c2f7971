/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_broker: the broker's side of a login, in memory: takes the requests Setu wrote, gives the
 * responses a broker would give. Settings make it old, strict or hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct credentials;
struct exchange;

struct fake_node {
    int32_t node_id;
    const char *host;
    int32_t port;
    const char *rack; /* NULL: null */
};

struct fake_topic {
    const char *name;
    int16_t error_code;
    int32_t leaders[4], epochs[4]; /* of partitions 0 and up */
    int32_t partitions;
    int32_t second; /* the replica beside node 1; 0: node 3 */
};

struct fake_bearer {
    const char *token; /* the only one that is let in */
    size_t good, bad;  /* logins */
};

struct fake_broker {
    const char *const *mechanisms; /* offered; NULL-terminated; NULL: the listener does no SASL */
    struct credentials *users;
    int16_t versions_max;          /* of ApiVersions; asked above: error 35 */
    bool versions_list;            /* with error 35, name the range (2.4 and later) */
    int16_t authenticate_max;      /* advertised; -1: not at all */
    int16_t metadata_max;          /* advertised */
    int16_t produce_max;           /* advertised */
    const struct fake_node *nodes; /* in Metadata, which must be v5 to v8 then; NULL: nonsense */
    size_t node_count;
    const struct fake_topic *topics; /* those it is asked for are told, nothing of others */
    size_t topic_count;
    struct fake_bearer *bearer; /* of mechanism OAUTHBEARER; shared by all connections */
    int16_t token_error;    /* answer to every SaslAuthenticate; 0: judge */
    int16_t versions_error; /* answer to every ApiVersions v1+; 0: answer */
    int64_t lifetime_ms;
    /* What it saw. */
    size_t requests;
    int16_t keys[16], versions[16];
    char software[64];
    struct exchange *exchange;
};

/* One user "setu" with password "pencil"; iterations 4096. */
struct credentials *fake_broker_users(bool wrong_server_key);

void fake_broker_init(struct fake_broker *broker);
void fake_broker_free(struct fake_broker *broker);

/* Takes exactly one request frame, appends exactly one response frame. */
void fake_broker_answer(struct fake_broker *broker, struct view request, struct writer *out);

/* Always the same bytes: transcripts can be replayed. */
bool fake_random(void *context, uint8_t *at, size_t length);
