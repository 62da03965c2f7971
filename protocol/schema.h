/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/*
 * Message shapes as const data, one line a field, in Kafka's order and spelling (schema_tables.c),
 * and one walker over them. The walker checks everything it passes (lengths, counts, nulls, tagged
 * sections), skips unknown tagged fields, and tells a visitor about the fields that have a role.
 * Recursion is as deep as the tables, never as the input says.
 */

enum schema_type {
    SCHEMA_BOOL,
    SCHEMA_INT8,
    SCHEMA_INT16,
    SCHEMA_UINT16,
    SCHEMA_INT32,
    SCHEMA_INT64,
    SCHEMA_UUID,
    SCHEMA_STRING,
    SCHEMA_BYTES,
    SCHEMA_RECORDS, /* bytes that hold record batches */
    SCHEMA_STRUCT
};

/* Why Setu looks at a field; most have no role and are only stepped over. */
enum schema_role {
    SCHEMA_NO_ROLE,
    SCHEMA_NODE_ID,
    SCHEMA_HOST,
    SCHEMA_PORT,
    SCHEMA_RACK,
    SCHEMA_ENDPOINT_TYPE,
    SCHEMA_NODE_ENDPOINTS, /* the tagged array of Produce and Fetch (KIP-951) */
    SCHEMA_REPLICA_ID,
    SCHEMA_ACKS,
    SCHEMA_TOPIC,
    SCHEMA_TOPIC_ID,
    SCHEMA_PARTITION,
    SCHEMA_ERROR_CODE,
    SCHEMA_HIGH_WATERMARK,
    SCHEMA_LAST_STABLE_OFFSET,
    SCHEMA_LOG_START_OFFSET,
    SCHEMA_RECORD_SETS
};

/* Versions [since, past); all zero = none. */
struct schema_span {
    int16_t since;
    int16_t past;
};

struct schema;

struct schema_field {
    const char *name; /* Kafka's spelling */
    enum schema_type type;
    bool array;                  /* of type */
    struct schema_span versions; /* that have the field */
    struct schema_span nullable; /* that may have null there */
    bool tagged;                 /* in the tagged section, in all its versions */
    uint16_t tag;
    enum schema_role role;
    const struct schema *of; /* SCHEMA_STRUCT: its fields */
};

struct schema {
    const struct schema_field *fields; /* up to one without a name */
    bool endpoint;                     /* NODE_ID, HOST and PORT are among its own fields */
};

/* A request or response body. */
struct schema_message {
    int16_t key;
    bool request;
    const char *name; /* as Kafka's definition file: "MetadataResponse" */
    struct schema_span versions;
    struct schema of;
};

static inline bool schema_span_has(struct schema_span span, int16_t version)
{
    return version >= span.since && version < span.past;
}
/* Bytes of a fixed-size type, 0 for strings, bytes, records and structs. */
size_t schema_type_bytes(enum schema_type type);

/* A field met: where its bytes are in the body, and its value. */
struct schema_value {
    size_t start; /* [start, end) in the body, length prefix included */
    size_t end;
    int64_t number;   /* of scalar types */
    struct view text; /* of strings, uuids, bytes; points into the body */
    bool null;
};

/*
 * Each may be NULL; false stops the walk (SCHEMA_STOPPED).
 *   field       every field with a role that is neither array nor struct, in wire order
 *   struct_end  after the last field of each struct with `endpoint`
 *   tag_begin   before the content of a tagged field with a role; its size is at [start, end)
 *   tag_end     after that content, which ended at `end`
 */
struct schema_visitor {
    bool (*field)(void *context, const struct schema_field *field,
                  const struct schema_value *value);
    bool (*struct_end)(void *context);
    bool (*tag_begin)(void *context, const struct schema_field *field, size_t start, size_t end);
    bool (*tag_end)(void *context, const struct schema_field *field, size_t end);
};

enum schema_status { SCHEMA_OK, SCHEMA_BAD, SCHEMA_STOPPED };

/*
 * Walks a whole body. BAD: anything malformed or short, bytes left over after the last field,
 * tagged fields that do not ascend (Kafka's reader would let the last of two win), a known one
 * whose size is not that of its content (Kafka's reader does not look). The version must be one the
 * message has.
 */
enum schema_status schema_walk(const struct schema_message *message, int16_t version, bool flexible,
                               struct view body, const struct schema_visitor *visitor,
                               void *context) __attribute__((warn_unused_result));
