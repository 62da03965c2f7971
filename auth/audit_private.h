/* SPDX-License-Identifier: Apache-2.0 */
/* audit_private: what the audit_*.c share: the strings of an event, and how a record is laid out. */
#pragma once

#include "auth/audit.h"

/* Every string of an event, which are also those of a record. */
#define EACH_STRING(DO)                                                                            \
    DO(listener)                                                                                   \
    DO(client_address)                                                                             \
    DO(mechanism)                                                                                  \
    DO(principal)                                                                                  \
    DO(rule)                                                                                       \
    DO(certificate)                                                                                \
    DO(certificate_subject)                                                                        \
    DO(certificate_fingerprint)                                                                    \
    DO(cluster)                                                                                    \
    DO(broker_address)                                                                             \
    DO(generation)                                                                                 \
    DO(generation_before)                                                                          \
    DO(reason)                                                                                     \
    DO(detail)                                                                                     \
    DO(mapping_hash)                                                                               \
    DO(config_hash)

enum {
    AUDIT_HASH_FIELD_BYTES = 3 + AUDIT_HASH_BYTES,
    AUDIT_SIGNATURE_FIELD_BYTES = 3 + AUDIT_SIGNATURE_BYTES,
};

/* Tag of field 1000 (hash) or 901 (signature) with a length, then the length: how these begin. */
extern const uint8_t audit_hash_field[3];
extern const uint8_t audit_signature_field[3];

/* Bytes of the text once clean, without its NUL; written to `out` unless that is NULL. */
size_t audit_clean(const char *text, size_t max, char *out);

/* 0: not in the table. */
enum audit_code audit_code_find(const char *text);

void audit_hash(const uint8_t prev_hash[AUDIT_HASH_BYTES], struct view body,
                uint8_t hash[AUDIT_HASH_BYTES]);

/* Cuts one record off the front, its length prefix aside; the rest is untouched unless AUDIT_OK. */
__attribute__((warn_unused_result)) enum audit_status audit_frame(struct view *rest,
                                                                  struct view *record_r);

/* Is there, at the front, a whole record that its own hash confirms? */
__attribute__((warn_unused_result)) bool audit_starts_here(struct view bytes);
