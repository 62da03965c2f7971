/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SASL mechanisms Setu speaks: one const vtable each, one list. Callers outside auth/ need
 * mech_names, mech_known and mech_find's flags; the functions in the vtable are for exchange.c
 * only.
 *
 *     exchange.c ──▶ struct mech { name, limits, flags, server end, client end }
 *                                          ▲ filled in by mech_plain.c and mech_scram_*.c
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/exchange.h"
#include "protocol/bytes.h"

/* One end of a mechanism. The state is state_bytes of zeroed memory, owned by the exchange and
 * wiped by it after release, which frees only what the state points to. */
struct mech_end {
    size_t state_bytes;
    enum exchange_status (*step)(struct exchange *ex, void *state, struct view token,
                                 struct writer *reply);
    /* The slow part after EXCHANGE_PENDING: any thread, touches only the state. */
    void (*work)(struct exchange *ex, void *state);
    enum exchange_status (*resume)(struct exchange *ex, void *state, struct writer *reply);
    void (*release)(void *state);
};

struct mech {
    const char *name;       /* Kafka's spelling */
    size_t token_bytes_max; /* a longer token is denied unread */
    bool cleartext;         /* the password itself crosses the wire: wants TLS */
    struct mech_end server;
    struct mech_end client;
};

/* NULL: not a mechanism of ours. Exact spelling, as in Kafka. */
const struct mech *mech_find(const char *name);

/* All names, strongest first, NULL-terminated; *count_r (may be NULL) without the NULL. Static. */
const char *const *mech_names(size_t *count_r);

bool mech_known(const char *name);
