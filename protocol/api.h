/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every Kafka API Setu knows, and what it does with it: api.def on one screen. What is not in the
 * table, or has API_HIDE there, is trimmed from ApiVersions and refused when a client sends it
 * anyway (design law 3).
 *
 *            request_action                         response_action
 *  FORWARD   stream                                 stream
 *  WATCH     stream, and feed to records_walk       the same
 *  INSPECT   hold, look at it (request_replica_id)  -
 *  REWRITE   -                                      hold, endpoint_rewrite, send
 *  ANSWER    never forwarded: Setu answers          never seen: Setu asked, Setu reads
 *  HIDE      close                                  close
 */
enum api_action { API_HIDE, API_FORWARD, API_WATCH, API_INSPECT, API_REWRITE, API_ANSWER };

enum api_key {
    API_PRODUCE = 0,
    API_FETCH = 1,
    API_LIST_OFFSETS = 2,
    API_METADATA = 3,
    API_CONTROLLED_SHUTDOWN = 7,
    API_FIND_COORDINATOR = 10,
    API_SASL_HANDSHAKE = 17,
    API_API_VERSIONS = 18,
    API_INIT_PRODUCER_ID = 22,
    API_OFFSET_FOR_LEADER_EPOCH = 23,
    API_SASL_AUTHENTICATE = 36,
    API_DESCRIBE_QUORUM = 55,
    API_DESCRIBE_CLUSTER = 60,
    API_SHARE_FETCH = 78,
    API_SHARE_ACKNOWLEDGE = 79
};

struct api {
    int16_t key;
    const char *name;    /* Kafka's spelling */
    int16_t version_min; /* inclusive range Setu understands */
    int16_t version_max;
    int16_t flexible_since;          /* first version with tagged sections (KIP-482); -1 = never */
    enum api_action request_action;  /* on a `clients` listener */
    enum api_action response_action; /* by key; api_response_action() knows the versions */
    bool inter_broker;               /* hidden from clients, but brokers speak it to each other */
};

/* The row of a key, or NULL when Setu does not know it. */
const struct api *api_find(int16_t key);
/* Rows in ascending order of key; i < api_count(). */
const struct api *api_at(size_t i);
size_t api_count(void);
/* Kafka's name of the key, "unknown" for keys not in the table. Never NULL, static. */
const char *api_name(int16_t key);

/* A `clients` listener accepts this request: known, not hidden, version in range. */
bool api_admits(int16_t key, int16_t version);
/* API_HIDE for everything api_admits refuses. */
enum api_action api_request_action(int16_t key, int16_t version);
/*
 * REWRITE only for versions that may carry an address (endpoint_in), FORWARD for older ones. Fetch
 * stays WATCH: where endpoint_in is true the caller holds small frames for endpoint_rewrite and
 * lets records_walk neutralise large ones.
 */
enum api_action api_response_action(int16_t key, int16_t version);

/*
 * Versions of the headers around a message: request 0 (no client id: ControlledShutdown v0 only),
 * 1, or 2 (flexible); response 0 or 1 (flexible), and always 0 for ApiVersions. The version may lie
 * beyond the table's range (a broker reads the header of an ApiVersions request from the future,
 * too). -1 when the key is unknown.
 */
int api_request_header_version(int16_t key, int16_t version);
int api_response_header_version(int16_t key, int16_t version);
/* The message itself uses compact forms and tagged sections. False for unknown keys. */
bool api_is_flexible(int16_t key, int16_t version);
