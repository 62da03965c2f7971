/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes SCRAM credentials over from what Kafka's own tools print, so that no password changes when
 * a user moves to Setu.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/scram.h"
#include "protocol/bytes.h"

/* One credential found in text that Kafka's tools print; views borrow from that text. */
struct scram_import {
    struct view user;
    enum scram_hash hash;
    struct scram_record record;
};

/* Called per credential found; the record is wiped afterwards. False stops the import. */
typedef bool (*scram_import_fn)(void *context, const struct scram_import *found);

enum scram_import_status {
    SCRAM_IMPORT_OK,      /* at least one credential was found and all were given out */
    SCRAM_IMPORT_NONE,    /* no line speaks of a user's SCRAM credential */
    SCRAM_IMPORT_NO_KEYS, /* some or all are iteration counts only: --bootstrap-server never shows
                             keys (KIP-554) */
    SCRAM_IMPORT_BAD,     /* a line that names a credential does not parse: *line_r */
    SCRAM_IMPORT_STOPPED  /* the callback said so */
};

/* Reads the output of `kafka-configs --zookeeper … --describe --entity-type users`, lines such as
 *     Configs for user-principal 'orders' are SCRAM-SHA-512=salt=…,stored_key=…,…
 * Lines about other things (quotas) are passed over. *line_r is the 1-based line the status speaks
 * of. */
enum scram_import_status scram_import(struct view text, scram_import_fn found, void *context,
                                      size_t *line_r) __attribute__((warn_unused_result));
