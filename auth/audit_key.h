/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_key: an Ed25519 key of the audit log: one that signs checkpoints and evidence, or the public
 * half that verifies them. Made by `setu audit keygen` or `openssl genpkey -algorithm ed25519`.
 * Files are read when it is loaded, never afterwards. Thread-safe: immutable and counted.
 */
#pragma once

#include "auth/audit.h"
#include "auth/pem.h"

struct audit_key;

enum { AUDIT_KEYS_MAX = 32 };

/* The private key in a file that is safe by secret.h's rules. One reference, the caller's. NULL and
 * *fault_r on any fault, also when it is a key of another kind. */
__attribute__((warn_unused_result)) struct audit_key *audit_key_load(const char *path,
                                                                     struct pem_fault *fault_r);

/* Public keys in PEM, one to AUDIT_KEYS_MAX; anybody may be able to read the file. Returns how many,
 * 0 and *fault_r on any fault. Each is the caller's reference. */
__attribute__((warn_unused_result)) size_t
audit_key_load_public(const char *path, struct audit_key *keys_r[AUDIT_KEYS_MAX],
                      struct pem_fault *fault_r);

/* The same from text, of `length` bytes; `name` is for the fault. */
__attribute__((warn_unused_result)) size_t
audit_key_read_public(const char *name, struct view text, struct audit_key *keys_r[AUDIT_KEYS_MAX],
                      struct pem_fault *fault_r);

/* A key of 32 secret bytes, for tests and fuzzing. */
struct audit_key *audit_key_of(const uint8_t bytes[32]);

/* A new private key, written to a new file (0400). false and *fault_r: it exists, or cannot be made. */
__attribute__((warn_unused_result)) bool audit_key_generate(const char *path,
                                                            struct pem_fault *fault_r);

struct audit_key *audit_key_ref(struct audit_key *key);
void audit_key_unref(struct audit_key **key); /* nulls, accepts NULL; the last one wipes */

/* SHA-256 of the public key's DER: `openssl pkey -pubout -outform DER | sha256sum` says the same. */
const char *audit_key_id(const struct audit_key *key);

/* The public half in PEM, at most `size` bytes with its NUL. false: it does not fit. */
__attribute__((warn_unused_result)) bool audit_key_public_pem(const struct audit_key *key,
                                                              char *out, size_t size);

/* false: it has no private half. */
__attribute__((warn_unused_result)) bool audit_key_sign(const struct audit_key *key,
                                                        struct view message,
                                                        uint8_t signature_r[AUDIT_SIGNATURE_BYTES]);
__attribute__((warn_unused_result)) bool
audit_key_verify(const struct audit_key *key, struct view message, struct view signature);
