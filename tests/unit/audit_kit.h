/* SPDX-License-Identifier: Apache-2.0 */
/* audit_kit: an audit log made in memory, with the places where its records end. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/audit_key.h"

enum { KIT_BYTES = 1 << 20, KIT_RECORDS = 512 };

struct kit {
    uint8_t *at;
    struct writer out;
    struct audit_chain chain;
    size_t ends[KIT_RECORDS]; /* where record i (from 0) ends */
    size_t count;
};

static inline void kit_note(struct kit *kit, bool good)
{
    if (!good || kit->count == KIT_RECORDS) {
        abort();
    }
    kit->ends[kit->count++] = kit->out.length;
}

static inline void kit_append(struct kit *kit, const struct audit_event *event)
{
    kit_note(kit, audit_encode(&kit->chain, event, (int64_t)(1000 + kit->count), &kit->out));
}

static inline void kit_sign(struct kit *kit, const struct audit_key *key)
{
    kit_note(kit, audit_encode_checkpoint(&kit->chain, key, NULL, NULL,
                                          (int64_t)(1000 + kit->count), &kit->out));
}

static inline void kit_users(struct kit *kit, size_t records)
{
    for (size_t i = 0; i < records; i++) {
        char principal[32];
        struct audit_event event = audit_event_init(AUDIT_LOGIN_ACCEPTED);
        snprintf(principal, sizeof principal, "user-%zu", i);
        event.principal = principal;
        event.session_id = i + 1;
        event.outcome = AUDIT_ALLOWED;
        kit_append(kit, &event);
    }
}

static inline struct kit *kit_new(const char *instance, size_t records)
{
    struct kit *kit = calloc(1, sizeof *kit);
    kit->at = malloc(KIT_BYTES);
    writer_init_fixed(&kit->out, kit->at, KIT_BYTES);
    audit_chain_init(&kit->chain, instance);
    kit_users(kit, records);
    return kit;
}

static inline void kit_free(struct kit *kit)
{
    free(kit->at);
    free(kit);
}

/* The bytes of records from..to, both counted from 0, `to` not included. */
static inline struct view kit_part(const struct kit *kit, size_t from, size_t to)
{
    const size_t start = from == 0 ? 0 : kit->ends[from - 1];
    return view_of(kit->at + start, (to == 0 ? 0 : kit->ends[to - 1]) - start);
}

static inline struct audit_key *kit_key(uint8_t number)
{
    uint8_t bytes[32];
    memset(bytes, number, sizeof bytes);
    return audit_key_of(bytes);
}
