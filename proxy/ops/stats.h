/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of one worker, made from stats.def.
 *
 * Each worker owns one struct stats and alone writes it, with the helpers below: plain loads and
 * stores that compile to what `+=` compiles to, but that another thread may read at any time. Sums
 * are taken when somebody looks.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    STATS_APIS = 128, /* API keys 0..126; the last slot counts every other key */
    STATS_CLOSE_REASONS = 96,
};

struct stats {
#define STAT(field, kind, metric, label, help) uint64_t field;
#define STAT_BY(field, size, metric, label, help) uint64_t field[size];
#include "proxy/ops/stats.def"
#undef STAT
#undef STAT_BY
};

/* Names of the values of a STAT_BY: NULL for an index without a name (its count is then shown by
 * number when not 0). */
typedef const char *(*stats_name_fn)(size_t index);

struct audit_log;
struct ledger;

/* The mapping's hash, which one thread changes (a reload) and another writes down. */
struct stats_hash {
    pthread_mutex_t lock;
    char text[72];
};

void stats_hash_init(struct stats_hash *hash);
void stats_hash_set(struct stats_hash *hash, const char *text); /* cut at 71 bytes */

/* Lines that somebody else keeps up to date, while another thread writes them down. */
struct stats_page {
    pthread_mutex_t lock;
    char *text; /* owned; NULL: nothing */
};

void stats_page_init(struct stats_page *page);
void stats_page_set(struct stats_page *page, char *text); /* takes text */

struct stats_names {
    stats_name_fn close_reason;    /* NULL: by number */
    const struct audit_log *audit; /* its own numbers join the page; NULL: left out */
    struct ledger *ledger;         /* the same */
    struct stats_hash *mapping;    /* shown as mapping_info; NULL: left out */
    struct stats_page *certificates; /* as they are; NULL: left out */
    const char *aes;               /* whose AES-GCM protects TLS records; NULL: left out */
};

static inline void stats_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void stats_sub(uint64_t *gauge, uint64_t n)
{
    __atomic_store_n(gauge, __atomic_load_n(gauge, __ATOMIC_RELAXED) - n, __ATOMIC_RELAXED);
}

static inline void stats_set(uint64_t *gauge, uint64_t n)
{
    __atomic_store_n(gauge, n, __ATOMIC_RELAXED);
}

/* Counts one request of an API. */
static inline void stats_api(struct stats *stats, int16_t api_key)
{
    size_t at = api_key >= 0 && api_key < STATS_APIS - 1 ? (size_t)api_key : STATS_APIS - 1;
    stats_add(&stats->requests_by_api[at], 1);
}

/* *sum_r = the sum of the counters of `count` workers, which may be running. */
void stats_sum(struct stats *sum_r, const struct stats *const *workers, size_t count);

/* Prometheus text exposition 0.0.4 of one snapshot, each name with `setu_` in front. Zero elements
 * of a STAT_BY are left out. Returns false when the stream reports an error. */
bool stats_prometheus(const struct stats *stats, const struct stats_names *names, FILE *out)
    __attribute__((warn_unused_result));

/* Writes every counter that is not zero to the log, a few lines with event "stats". */
void stats_log(const struct stats *stats, const struct stats_names *names);
