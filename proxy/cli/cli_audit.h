/* SPDX-License-Identifier: Apache-2.0 */
/* cli_audit: what the `setu audit` verbs share. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "auth/audit_key.h"
#include "proxy/cli/audit_set.h"
#include "proxy/cli/cli.h"

/* The files of the operands. False: it has been said why. */
bool cli_audit_open(const struct cli_call *call, struct audit_set *set)
    __attribute__((warn_unused_result));

/* What is asked of a log beyond its chain. */
struct cli_audit_demand {
    struct audit_key *keys[AUDIT_KEYS_MAX]; /* owned */
    size_t key_count;                       /* 0: signatures are not looked at */
    bool signed_to_the_end;                 /* no record may stand behind the last checkpoint */
    struct audit_head from; /* the record that the log begins behind; all zero: with record 1 */
    const struct audit_head *expected;      /* NULL: none */
};

enum { CLI_AUDIT_HEAD_SIZE = 20 + 1 + 2 * AUDIT_HASH_BYTES + 1 };

/* "4711:<64 hexadecimal digits>". False: it is not one. */
bool cli_audit_take_head(const char *text, struct audit_head *head_r)
    __attribute__((warn_unused_result));
const char *cli_audit_head_text(const struct audit_head *head, char out[CLI_AUDIT_HEAD_SIZE]);

struct cli_audit_judgement {
    struct audit_set_verdict chain;
    struct audit_signatures signatures; /* its keys are those of the demand */
    uint64_t unsigned_records;
    bool good;
    const char *complaint; /* what the demand misses, where the chain holds; "" none */
};

void cli_audit_judge(const struct audit_set *set, const struct cli_audit_demand *demand,
                     struct cli_audit_judgement *judgement_r);
json_t *cli_audit_judgement_json(const struct audit_set *set, const struct cli_audit_demand *demand,
                                 const struct cli_audit_judgement *judgement);
void cli_audit_judgement_text(const struct audit_set *set, const struct cli_audit_demand *demand,
                              const struct cli_audit_judgement *judgement, FILE *out);
void cli_audit_demand_free(struct cli_audit_demand *demand);
