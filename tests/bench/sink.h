/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setu-sink: a broker that costs next to nothing, on one thread. Produce is acknowledged, Fetch
 * gets one prebuilt answer; what Setu and setu-gen ask before is answered honestly.
 *
 *   sink ── accept ──▶ conn ── plaintext, or how much of it there is ──▶ frames ──▶ answer
 *                        ◀──────────────────── answers ─────────────────────┘
 *
 * Unless told to --decrypt, a TLS connection goes blind at its first Produce: records are then
 * counted by the length in their heads and never decrypted, so that the sink does not do the
 * proxy's work over again. It takes every frame from there on for one like the first, with the next
 * correlation id, which is what setu-gen sends, and needs TLS 1.3 without padding.
 *
 * With a --topic it serves clients of Kafka's own: everything is decrypted and walked, every CRC
 * checked, and each batch gets the next offsets of its partition. Nothing is kept: who reads gets
 * the same batch at every offset, without end.
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/frame.h"
#include "protocol/records.h"
#include "tests/bench/payload.h"

enum {
    SINK_INFLIGHT_MAX = 1024, /* Fetch requests waiting on one connection */
    SINK_SCRATCH_BYTES = 256 * 1024,
    SINK_FRAME_BYTES_MAX = 64 * 1024, /* of anything but Produce */
    SINK_OUT_BYTES_MAX = 16 * 1024 * 1024,
    SINK_RECORD_HEAD_BYTES = 5,
    SINK_PARTITIONS_MAX = 64
};

/* APIs of Kafka's own consumer that Setu only passes on. */
enum {
    SINK_OFFSET_COMMIT = 8,
    SINK_OFFSET_FETCH = 9,
    SINK_JOIN_GROUP = 11,
    SINK_HEARTBEAT = 12,
    SINK_LEAVE_GROUP = 13,
    SINK_SYNC_GROUP = 14
};

/* What --topic names. */
struct sink_topic {
    const char *name; /* NULL: there is none */
    int32_t partitions;
    int64_t ends[SINK_PARTITIONS_MAX]; /* the offset each partition gives out next */
};

/* One partition of a Produce under way. */
struct sink_produced {
    int32_t partition;
    int16_t error;
    int64_t base_offset;
};

struct sink {
    bool decrypt;
    struct sink_topic topic;
    int epoll;
    struct payload produce_answer;
    struct payload fetch_answer;
    uint64_t batches, bytes, batches_wrong; /* Produce; wrong: only known with decrypt */
    uint64_t connections;                   /* accepted */
    struct sink_conn *conns;                /* those that live */
    uint64_t handshakes_full, handshakes_resumed;
    uint64_t records; /* with a topic */
    uint8_t scratch[SINK_SCRATCH_BYTES];
    uint8_t plain[SINK_SCRATCH_BYTES];
};

/* The first member of all that epoll points at. */
enum sink_kind { SINK_DOOR, SINK_CONN, SINK_BELL };

/* Signals. */
struct sink_bell {
    enum sink_kind kind;
    int fd;
};

struct sink_door {
    enum sink_kind kind;
    struct sink *sink;
    int fd;
    struct sockaddr_in address;
    SSL_CTX *tls; /* NULL: plaintext */
};

struct sink_conn {
    enum sink_kind kind;
    struct sink *sink;
    struct sink_conn *next, **from; /* from: what points at this one */
    const struct sink_door *door;
    int fd;
    bool broken; /* to be closed */
    bool blocked;

    /* TLS: records are cut here, so that blindness begins between two of them. */
    SSL *ssl;
    BIO *records; /* what SSL reads from; belongs to it */
    uint8_t record_head[SINK_RECORD_HEAD_BYTES];
    size_t record_have;
    size_t record_left;
    bool blind;

    /* The frame under way. */
    uint8_t head[FRAME_HEAD_BYTES];
    size_t head_have;
    size_t left;
    int16_t key;
    int32_t id;
    size_t produce_bytes; /* whole size of the last Produce frame; 0: there was none */
    struct records_walk walk;
    struct writer small; /* anything but Produce, collected */
    int16_t acks;        /* with a topic: of the Produce under way, and where it goes */
    struct sink_produced produced[SINK_PARTITIONS_MAX];
    size_t produced_count;

    /* What is to be sent: first out, then an answer for each Fetch waiting. */
    struct writer out;
    size_t out_at;
    size_t fetch_at; /* of the answer to the first of those */
    int32_t waiting[SINK_INFLIGHT_MAX];
    size_t waiting_first, waiting_count;
};

/* ---- sink_conn.c ---- */

/* Takes over fd. */
void sink_conn_start(struct sink_door *door, int fd);
/* Reads, answers, writes; frees the connection when it has ended. */
void sink_conn_turn(struct sink_conn *conn);
/* Ends all that live. */
void sink_conn_end_all(struct sink *sink);

/* ---- sink_frames.c ---- */

/* Bytes of plaintext. */
void sink_frames_take(struct sink_conn *conn, uint8_t *at, size_t n);
/* May the connection go blind now? */
bool sink_frames_may_skip(const struct sink_conn *conn);
/* n bytes of Produce frames like the last one. */
void sink_frames_skip(struct sink_conn *conn, size_t n);
/* Counts and tells of a batch that did not come as it should. */
void sink_frames_wrong(struct sink_conn *conn, const struct batch_head *head,
                       enum batch_verdict verdict);

/* ---- sink_answer.c ---- */

/* The answer to a whole Produce frame. */
void sink_answer_produce(struct sink_conn *conn);
/* …and to any other, its payload being in conn->small. */
void sink_answer_small(struct sink_conn *conn);
/* This door as a node: id, host, port. */
void sink_answer_node(struct sink_conn *conn, bool compact);

/* ---- sink_topic.c ---- */

/* From NAME:PARTITIONS, which it cuts and keeps; dies of anything else. */
void sink_topic_from(struct sink_topic *topic, char *text);
/* For the walk of a Produce; the context is its connection. */
extern const struct records_events sink_topic_events;
/* The answer to that Produce, unless it wants none. */
void sink_topic_answer_produce(struct sink_conn *conn);
/* The answer to a Fetch v12: the prebuilt batch for each partition, at the offset it asks for. */
bool sink_topic_answer_fetch(struct sink_conn *conn, const struct request_header *header)
    __attribute__((warn_unused_result));
/* The topics of a Metadata answer. */
void sink_topic_metadata(const struct sink_topic *topic, struct writer *out);

/* ---- sink_group.c ---- */

/* The answer to whatever else a consumer asks; the version is one that was offered. */
bool sink_group_answer(struct sink_conn *conn, const struct request_header *header)
    __attribute__((warn_unused_result));
