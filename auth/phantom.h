/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of users who do not exist, made so that nobody can tell: the same name always gives the
 * same record, of a shape that real records have.
 *
 *     shapes of the real records, counted ──▶ one is drawn by HMAC(key, name) ──▶ salt by HMAC
 *
 * A salt as Kafka's tools make it is the base-36 spelling of a number of 130 bits; where the real
 * ones are such, the phantom's are drawn from the same numbers, so that neither length nor first
 * character stands out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/scram.h"
#include "protocol/bytes.h"

enum { PHANTOM_KEY_BYTES = 32, PHANTOM_SHAPES_MAX = 64 };

struct phantom_shape {
    enum scram_hash hash;
    uint32_t iterations;
    size_t salt_length; /* 0: as Kafka's tools make it */
    uint32_t count;     /* real records of this shape */
};

/* The shapes of one kind of record, sorted, so that a few users more or less move few phantoms.
 * Start with {0}. */
struct phantom_shapes {
    size_t length;
    uint32_t total;
    struct phantom_shape at[PHANTOM_SHAPES_MAX];
};

/* Counts a real record. Beyond PHANTOM_SHAPES_MAX different shapes further ones are not counted. */
void phantom_shapes_add(struct phantom_shapes *shapes, const struct scram_record *record);

/* The phantom of this name. kind keeps the phantoms of one name apart by mechanism. Without any
 * shape: `fallback`, 4096 iterations, Kafka's salt. False only when the crypto library fails. */
bool phantom_make(const struct phantom_shapes *shapes, enum scram_hash fallback,
                  const uint8_t key[PHANTOM_KEY_BYTES], uint8_t kind, struct view name,
                  struct scram_record *record_r) __attribute__((warn_unused_result));
