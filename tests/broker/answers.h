/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function an API: reads the request's body and writes the answer's, its header being there
 * already. ANSWER_CLOSE for a body that cannot be decoded.
 */
#pragma once

#include "protocol/bytes.h"
#include "tests/broker/session.h"

struct door;
struct node;
struct topic;

enum answer_error {
    ERROR_NONE = 0,
    ERROR_OFFSET_OUT_OF_RANGE = 1,
    ERROR_CORRUPT_MESSAGE = 2,
    ERROR_UNKNOWN_TOPIC_OR_PARTITION = 3,
    ERROR_NOT_LEADER_OR_FOLLOWER = 6,
    ERROR_INVALID_TOPIC = 17,
    ERROR_INVALID_REQUIRED_ACKS = 21,
    ERROR_UNSUPPORTED_VERSION = 35,
    ERROR_INVALID_REQUEST = 42,
    ERROR_UNSUPPORTED_FORMAT = 43,
    ERROR_UNKNOWN_TOPIC_ID = 100
};

enum answer answer_produce(struct request *request, struct writer *out);
enum answer answer_fetch(struct request *request, struct writer *out);
enum answer answer_metadata(struct request *request, struct writer *out);
enum answer answer_list_offsets(struct request *request, struct writer *out);
enum answer answer_find_coordinator(struct request *request, struct writer *out);
enum answer answer_init_producer_id(struct request *request, struct writer *out);
enum answer answer_end_txn(struct request *request, struct writer *out);
enum answer answer_describe_cluster(struct request *request, struct writer *out);

/* SASL, in login.c: the whole frame is theirs. */
enum answer login_handshake(struct request *request, struct writer *out);
enum answer login_authenticate(struct request *request, struct writer *out);
enum answer login_token(struct conn *conn, struct view token, struct writer *out);

/* ---- leader.c: who leads, and how an answer says so ---- */

/* A topic by name (before `ids_since`) or by id, as Produce and Fetch name them. topic_r NULL:
 * there is none; the name or id is still what the answer repeats. */
struct topic_ref {
    struct view name;
    uint8_t id[16];
    bool by_id;
    struct topic *topic;
};

bool topic_ref_read(struct request *request, bool by_id, struct topic_ref *ref_r)
    __attribute__((warn_unused_result));
void topic_ref_write(const struct request *request, const struct topic_ref *ref,
                     struct writer *out);
/* Error of a partition before its content is looked at; ERROR_NONE: it is here. */
int16_t topic_ref_error(const struct request *request, const struct topic_ref *ref,
                        int32_t partition);

/* A partition's tagged section with CurrentLeader at `tag`. */
void leader_write_tag(const struct request *request, uint32_t tag, int32_t partition,
                      struct writer *out);
/* An answer's tagged section with NodeEndpoints of all nodes. */
void leader_write_endpoints(const struct request *request, struct writer *out);

/* An empty tagged section of a flexible answer; skips one of a flexible request. */
void answer_no_tags(const struct request *request, struct writer *out);
bool answer_skip_tags(struct request *request) __attribute__((warn_unused_result));
