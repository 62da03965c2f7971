/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * Broker addresses in responses: the one thing Setu must change in what brokers say.
 * Node ids, racks, cluster id and every byte that is not a host or a port stay as they are.
 */

struct endpoint {
    int32_t node_id;
    struct view host; /* as on the wire, not validated */
    int32_t port;     /* as on the wire, any value */
    struct view rack;
    bool rack_null; /* also where the message has no rack (FindCoordinator, Metadata v0) */
};

/*
 * Called for each address, in wire order. *to_r arrives as a copy of *from; set host and port (only
 * these two are used). to_r->host must stay valid until the call after this one, or the end of
 * endpoint_rewrite. false = this address must not be shown: refuse the frame. Empty entries (NodeId
 * below 0 and an empty Host: FindCoordinator's errors) are not mapped.
 */
typedef bool (*endpoint_map_fn)(void *context, const struct endpoint *from, struct endpoint *to_r);
/* false stops (ENDPOINT_REFUSED). */
typedef bool (*endpoint_visit_fn)(void *context, const struct endpoint *endpoint);

enum endpoint_status {
    ENDPOINT_OK,
    ENDPOINT_BAD,       /* not decodable as this (key, version), or bytes left over */
    ENDPOINT_REFUSED,   /* the map said no */
    ENDPOINT_TOO_LARGE, /* does not fit the writer, or a mapped host above 255 bytes */
    ENDPOINT_FORBIDDEN  /* carries addresses Setu does not serve: DescribeCluster of controllers */
};

/*
 * Responses of this version may carry addresses. False for what Setu does not know: it refuses that
 * elsewhere.
 */
bool endpoint_in(int16_t key, int16_t version);

/*
 * Rewrites one response. `payload` is the frame without its size; `out` receives the whole new
 * frame, size included, after whatever it already held. On anything but OK the writer's content is
 * meaningless. Unknown tagged fields are kept. Precondition: endpoint_in(key, version); otherwise
 * BAD.
 */
enum endpoint_status endpoint_rewrite(int16_t key, int16_t version, struct view payload,
                                      endpoint_map_fn map, void *context, struct writer *out)
    __attribute__((warn_unused_result));

/* The same walk, only looking: how a probe learns brokers from Metadata. */
enum endpoint_status endpoint_visit(int16_t key, int16_t version, struct view payload,
                                    endpoint_visit_fn visit, void *context)
    __attribute__((warn_unused_result));

/*
 * Who a request claims to be: ReplicaId of Fetch (v15+: ReplicaState, a tagged field at the end),
 * ListOffsets and OffsetForLeaderEpoch (v3+). -1 where the request has no such field or leaves it
 * out. A client says -1 (or -2, the debugging consumer); >= 0 poses as that broker and must be
 * refused. `payload` is the whole request without its size, header included. BAD when not
 * decodable, or another key.
 */
enum endpoint_status request_replica_id(int16_t key, int16_t version, struct view payload,
                                        int32_t *replica_id_r) __attribute__((warn_unused_result));
