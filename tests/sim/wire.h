/* SPDX-License-Identifier: Apache-2.0 */
/* wire: the requests of simulated clients and the answers of simulated brokers, as bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

enum { WIRE_PARTITIONS = 3, WIRE_FRAME_MAX = 4 * 1024 * 1024 };

/* Where a node is said to be; the view lives as long as the run. */
struct wire_address {
    struct view host;
    int32_t port;
};
struct wire_nodes {
    const int32_t *ids;
    int32_t count;
    struct wire_address (*address)(void *context, int32_t node_id);
    void *context;
};

/* A batch with one number in it; the rest of its record is drawn. */
struct wire_batch {
    uint64_t number;
    uint32_t book; /* of the connection that made it */
    size_t value_bytes;
    int64_t producer_id; /* -1: not idempotent */
    int32_t sequence;
    bool bad_crc;
};
void wire_batch(struct writer *w, const struct wire_batch *batch);
/* The number and connection of a batch made above; false: it is not one. */
bool wire_batch_read(struct view batch, uint64_t *number_r, uint32_t *book_r);

/* ---- requests ---- */

void wire_produce(struct writer *w, int16_t version, int32_t id, struct view client, int16_t acks,
                  int32_t partition, struct view batch);
void wire_fetch(struct writer *w, int16_t version, int32_t id, struct view client,
                int32_t replica_id, int32_t partition, int64_t offset);
void wire_list_offsets(struct writer *w, int32_t id, struct view client, int32_t replica_id);
void wire_metadata(struct writer *w, int16_t version, int32_t id, struct view client);
void wire_find_coordinator(struct writer *w, int16_t version, int32_t id, struct view client);
void wire_describe_cluster(struct writer *w, int32_t id, struct view client);
void wire_heartbeat(struct writer *w, int32_t id, struct view client);
/* Header only, of an API that clients may not use. */
void wire_hidden(struct writer *w, int32_t id, struct view client);

/* Partition, acks and batch of a Produce request's body; false: not decodable. */
struct wire_produce_request {
    int16_t acks;
    int32_t partition;
    struct view batch;
};
bool wire_produce_read(int16_t version, struct view body, struct wire_produce_request *produced_r);
struct wire_fetch_request {
    int32_t partition;
    int64_t offset;
};
bool wire_fetch_read(int16_t version, struct view body, struct wire_fetch_request *fetched_r);

/* ---- answers ---- */

void wire_produced(struct writer *w, int16_t version, int32_t id, int32_t partition, int64_t base);
/* nodes: named as NodeEndpoints where the version can (v16); NULL: none. */
void wire_fetched(struct writer *w, int16_t version, int32_t id, int32_t partition,
                  struct view records, const struct wire_nodes *nodes);
void wire_offsets(struct writer *w, int32_t id);
/* `topics` more topics than the one, to be large. */
void wire_brokers(struct writer *w, int16_t version, int32_t id, const struct wire_nodes *nodes,
                  int32_t topics);
void wire_coordinator(struct writer *w, int16_t version, int32_t id,
                      const struct wire_nodes *nodes);
void wire_cluster(struct writer *w, int32_t id, const struct wire_nodes *nodes);
void wire_heartbeat_answer(struct writer *w, int32_t id);

/* The error code of a Produce answer made above. */
int16_t wire_produced_error(int16_t version, struct view frame);
