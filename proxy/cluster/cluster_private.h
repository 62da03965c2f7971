/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct cluster, for cluster.c (what is known) and cluster_look.c (how it gets
 * known).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "conf/config.h"
#include "proxy/cluster/broker.h"
#include "proxy/cluster/cluster.h"
#include "proxy/cluster/identity.h"

struct cluster {
    struct cluster_params params;
    struct config *config; /* our reference */
    struct conf_limits limits; /* of the configuration, or of a later one */
    struct identity identity;
    struct broker **nodes; /* ascending by node_id */
    size_t node_count, node_capacity;
    struct broker *seeds; /* one per bootstrap address */
    size_t seed_count;
    size_t cursor;    /* round robin over nodes, then seeds */
    size_t looking;   /* probes and resolutions under way */
    bool ours;        /* a bootstrap address is this machine itself, and says so */
    uv_timer_t timer; /* next look */
    uv_timer_t wake;  /* tells waiters, a turn later */
    uint64_t wake_ms; /* when, if it is active */
    struct cluster_waiter *waiters;
    struct api_versions advertised; /* intersection, admitted */
    bool advertised_known, advertised_stale;
    bool ready;
    uint64_t first_answer_ms; /* 0: none yet */
    struct leaders *leaders;  /* NULL: answers are passed on as they are */
    struct replicas *replicas; /* NULL when leaders is */
    uv_timer_t ask;           /* next question about leaders or replicas */
    uint64_t ask_ms, ask_after_ms; /* when that is; not before */
    struct probe *asking;     /* under way, or NULL */
    struct broker *asked;     /* of it, or of the last one */
    const void *asked_for;    /* the generation that wanted it */
    bool asking_own;          /* …and is asked: about replicas */
    size_t ask_cursor;        /* round robin over nodes */
    uint64_t ask_told_ms;     /* last line about a question that came to nothing; 0 none */
    unsigned naming;          /* the answer that is being looked at */
    uint32_t random_state;
    bool closing;
    size_t open; /* while closing: parts that have not gone yet */
    void (*on_closed)(void *context);
    void *on_closed_context;
};

/* cluster_look.c */
void cluster_look_start(struct cluster *cluster);
/* Looks at the broker no later than at_ms. */
void cluster_look_at(struct cluster *cluster, struct broker *broker, uint64_t at_ms);
/* An address in digits, where it may be dialled, is the endpoint's. False: a name. */
bool cluster_resolve_literal(struct cluster *cluster, struct broker *broker);
/* Gives up what is under way; cluster_part_gone follows for each part. */
void cluster_look_cancel(struct cluster *cluster, struct broker *broker);
/* A bootstrap address that is also a node's, or that no one needs because nodes answer. */
bool cluster_seed_is_retired(const struct cluster *cluster, const struct broker *seed);

/* cluster.c */
bool cluster_learn_from(struct cluster *cluster, int32_t node_id, struct view host, int32_t port,
                        struct view rack);
struct broker *cluster_find_node(const struct cluster *cluster, int32_t node_id);
/* Makes the advertised versions anew. */
void cluster_advertise(struct cluster *cluster);
void cluster_part_gone(void *cluster);
uint32_t cluster_random(struct cluster *cluster);
uint64_t cluster_now_ms(const struct cluster *cluster);

/* cluster_identity.c */
/* Whoever answered is asked who it is: ANOTHER takes the address from the broker. */
enum broker_identity cluster_check_identity(struct broker *broker, const char *host, uint16_t port,
                                            int16_t version, struct view metadata);

/* cluster_gaps.c */
bool cluster_gaps_start(struct cluster *cluster) __attribute__((warn_unused_result));
void cluster_gaps_free(struct cluster *cluster);

/* cluster_ask.c */
/* Another kind of broker may have no listener of the name that this one was asked under. Of its own
 * kind a broker knows best who is there. */
bool cluster_is_apart(const struct broker *broker, const struct conf_generation *kind);
/* Who leads its partitions is asked of another kind than this one. */
void cluster_ask_leaders(struct cluster *cluster, struct view topic,
                         const struct conf_generation *kind);
/* Has a broker of this kind said so? What is not known, or not lately, is asked for. node_id -1: not known yet. */
bool cluster_is_replica(struct cluster *cluster, const char *topic, int32_t partition,
                        int32_t node_id, const struct conf_generation *kind);
/* As cluster_look_cancel. */
void cluster_ask_cancel(struct cluster *cluster);

/* cluster_dials.c */
/* A dial found nobody at the broker, or somebody is there after all. */
void cluster_dials_refused(struct cluster *cluster, struct broker *broker);
void cluster_dials_welcome(struct cluster *cluster, struct broker *broker);
/* Whose turn it is, is told. */
void cluster_dials_admit(struct cluster *cluster);
/* Nobody is told any more. */
void cluster_dials_forget(struct cluster *cluster);

/* cluster_route.c */
/* The node, or the bootstrap address, of a route; NULL: none. */
struct broker *cluster_find_route(const struct cluster *cluster, const struct route *route);
/* nodes, then seeds */
struct broker *cluster_broker_at(const struct cluster *cluster, size_t i);
/* Something that waiters, readiness or the advertised versions depend on has changed. */
void cluster_changed(struct cluster *cluster);
/* Something will have changed at that time. */
void cluster_changes_at(struct cluster *cluster, uint64_t at_ms);
