/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The users file: who may log in at the client leg, as SCRAM verifiers. Immutable once loaded,
 * reference-counted, shared by all workers. There is no password in it, and no way to get one out.
 *
 *     phantom_key: "<base64, 16 to 64 bytes>" # optional, see below
 *     users:
 *       - name: orders
 *         scram-sha-512: "salt=…,stored_key=…,server_key=…,iterations=4096"
 *         scram-sha-256: "…"                  # optional
 *         plain: "…"                          # optional: another record, for PLAIN only
 *         mechanisms: [SCRAM-SHA-512]         # optional: this user may use no other SASL mechanism
 *       - name: reports
 *         mechanisms: [OAUTHBEARER]           # needs no record
 *
 * A PLAIN password is verified against `plain` (the length of its keys tells the hash), else
 * scram-sha-512, else scram-sha-256.
 *
 * Phantoms. A lookup never fails: an unknown user, or one without a record for the mechanism, gets
 * a phantom record, made by HMAC-SHA-256 from the phantom key and the name. Its iterations and its
 * salt's length and alphabet are those of a real record of that mechanism, drawn in proportion to
 * how common they are; its keys match no password. Both kinds of lookup do the same work, every
 * time: one keyed tag of the name, a binary search among tags, the phantom, and a selection without
 * a branch. The phantom key decides the salts; give all instances the same `phantom_key`, and keep
 * it when users come and go, or phantoms give themselves away by changing. Without one it is
 * derived from the records, which keeps salts stable over restarts but not over edits of the file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/reason.h"
#include "auth/scram.h"
#include "protocol/bytes.h"

struct conf_errors;
struct credentials;

enum { CREDENTIALS_FILE_BYTES_MAX = 4194304, CREDENTIALS_USERS_MAX = 10000 };

/* Reads, checks permissions (secret_read_file) and builds. NULL with at least one error added
 * otherwise; a warning may be added either way. The reference is the caller's. */
struct credentials *credentials_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* The same from text; `file` is the name errors carry. */
struct credentials *credentials_parse(struct view text, const char *file,
                                      struct conf_errors *errors)
    __attribute__((warn_unused_result));

/* Thread-safe. credentials_unref nulls the pointer, accepts NULL, and wipes with the last
 * reference. */
struct credentials *credentials_ref(const struct credentials *users);
void credentials_unref(struct credentials **users);

size_t credentials_count(const struct credentials *users);

/* The name of user i < count, in the file's order; lives as long as users. */
const char *credentials_name(const struct credentials *users, size_t i);

/* True if some user has a record for this mechanism: what `check` warns about. */
bool credentials_serve(const struct credentials *users, const char *mechanism);

/* Whether a client that has proved to be this principal may have done so by this SASL mechanism: false
 * only for a user whose `mechanisms` do not name it. */
bool credentials_permit(const struct credentials *users, struct view principal,
                        const char *mechanism);

struct credentials_match {
    struct scram_record record; /* real or phantom; wipe with scram_record_wipe */
    bool user_known;            /* the name is in the file */
    bool record_real;           /* …and may use this mechanism; false: never accept */
};

/* The record against which a SCRAM client, or a PLAIN password, of this name is to be judged. False
 * only when the crypto library fails, or the name is longer than 255 bytes; then *match_r is zero.
 */
bool credentials_find_scram(const struct credentials *users, enum scram_hash hash, struct view name,
                            struct credentials_match *match_r) __attribute__((warn_unused_result));
bool credentials_find_plain(const struct credentials *users, struct view name,
                            struct credentials_match *match_r) __attribute__((warn_unused_result));

/* What a lookup and a proof come to: NONE (let in) only for a real record whose proof holds. */
enum auth_reason credentials_judge(const struct credentials_match *match, bool proof_holds)
    __attribute__((warn_unused_result));
