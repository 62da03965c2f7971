/* SPDX-License-Identifier: Apache-2.0 */
/*
 * horizon: when what a snapshot shows and believes ends: certificates of identities and listeners, authorities,
 * revocation lists. For `setu certs`, the metrics and the log, nearest end first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_t;
struct tls_material;

enum {
    HORIZON_ROWS_MAX = 500, /* the nearest ends; more are counted only */
    HORIZON_DAYS_FAR = 30,
    HORIZON_DAYS_NEAR = 14,
    HORIZON_DAYS_NOW = 3,
};

enum horizon_alert {
    HORIZON_FINE,
    HORIZON_30_DAYS,
    HORIZON_14_DAYS,
    HORIZON_3_DAYS,
    HORIZON_ENDED
};

struct horizon_row {
    const char *role; /* "identity", "listener", "authority", "revocation_list" */
    const char *name; /* configured name; "" for files that have none */
    const char *file, *subject, *fingerprint; /* "" where there is none */
    int64_t not_before_s, ends_s; /* seconds since 1970 UTC; not_before_s 0: not known */
    enum horizon_alert alert;     /* as last told */
};

/* Its texts are of the material it was made of, on which it holds a reference. */
struct horizon {
    struct tls_material *material;
    struct horizon_row *rows;
    size_t count, more; /* rows; ends that are farther than these */
};

void horizon_make(struct horizon *horizon_r, struct tls_material *material);
void horizon_free(struct horizon *horizon); /* leaves it empty; empty is fine */

enum horizon_alert horizon_judge(int64_t ends_s, int64_t now_s);

/* "fine", "30_days", …: stable. */
const char *horizon_alert_name(enum horizon_alert alert);

/* Logs each row whose alert is another than it was when it was asked last. */
void horizon_look(struct horizon *horizon, int64_t now_s);

/* {"certificates": [...], "more": n}; the caller's. */
struct json_t *horizon_json(const struct horizon *horizon, int64_t now_s);

/* Prometheus' text. */
void horizon_metrics(const struct horizon *horizon, FILE *out);
