/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker does wrong, and when: a short list of rules, the first that fits is taken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULTS_MAX = 32, FAULT_ANY_API = -1, FAULT_ACCEPT = -2, FAULT_REFUSAL = -3 };

enum fault_action {
    FAULT_NONE,
    FAULT_CLOSE,
    FAULT_CUT,
    FAULT_RST,
    FAULT_STALL,
    FAULT_DELAY,
    FAULT_WRONG_ID,
    FAULT_TWICE,
    FAULT_EXTRA,
    FAULT_SWAP,
    FAULT_SIZE,
    FAULT_GARBAGE,
    FAULT_CORRUPT,
    FAULT_SASL_NONCE,
    FAULT_SASL_FOREIGN_NONCE,
    FAULT_SASL_ITERATIONS,
    FAULT_SASL_EXTENSION,
    FAULT_SASL_NO_VERIFIER,
    FAULT_SASL_WRONG_VERIFIER,
    FAULT_SASL_ERROR,
    FAULT_SASL_GARBAGE,
    FAULT_ACTION_COUNT
};

struct fault {
    int16_t api; /* a key, or one of the three above */
    char principal[64];
    uint32_t nth; /* 0: every time */
    uint32_t seen;
    enum fault_action action;
    int64_t number; /* the action's argument; 0 when not given */
};

struct faults {
    struct fault items[FAULTS_MAX];
    size_t count;
};

/* Reads one rule; error_r is filled when it is not one. */
bool faults_add(struct faults *faults, const char *spec, char *error_r, size_t error_size)
    __attribute__((warn_unused_result));
void faults_clear(struct faults *faults);

/*
 * The fault due now, or NULL. Counts: call once an event. principal may be "". sasl: only those of
 * a mechanism, which hostile.c commits; else only all others.
 */
const struct fault *faults_take(struct faults *faults, int16_t api, const char *principal,
                                bool sasl);
const char *fault_action_name(enum fault_action action);
/* The list of actions, for --help. Static. */
const char *faults_help(void);
