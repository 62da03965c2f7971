/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: is this machine, with this configuration, fit for Setu? Nothing is changed, nothing is
 * connected to, and no running Setu is needed.
 *
 *   facts (what the machine says) ─┐
 *   configuration, or its faults ──┼─▶ judges ─▶ findings ─▶ text or JSON, exit status
 *   measurements ──────────────────┘
 *
 * The judges of facts are pure, so that each finding can be tested.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct certificates;
struct conf_errors;
struct config;

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

enum { DOCTOR_WHAT_SIZE = 512 };

struct doctor_finding {
    const char *check; /* "descriptors": the same for every outcome of one check */
    enum doctor_status status;
    char what[DOCTOR_WHAT_SIZE]; /* what was seen */
    const char *why;             /* why it matters */
    const char *fix;             /* what to do, when it is not ok */
    json_t *values;              /* numbers for machines; owned; NULL: none */
};

/* All zero is an empty one. Every finding is kept: there are as many as the configuration is long. */
struct doctor {
    struct doctor_finding *findings; /* owned */
    size_t count, capacity;
    size_t statuses[3]; /* how many of each */
};

/* Texts are borrowed for the process's life, but for what is formatted, which is cut when long.
 * Returns the finding for its values, never NULL; it may move when the next one is added. */
struct doctor_finding *doctor_add(struct doctor *doctor, const char *check,
                                  enum doctor_status status, const char *why, const char *fix,
                                  const char *format, ...) __attribute__((format(printf, 6, 7)));
void doctor_free(struct doctor *doctor); /* leaves it empty */

/* "ok", "warn", "fail". */
const char *doctor_status_name(enum doctor_status status);

struct doctor_range {
    int64_t low, high; /* inclusive; high < low: unknown */
};

enum { DOCTOR_RESERVED_MAX = 64 };

/* What the machine says. -1, or an empty range: it does not say. */
struct doctor_facts {
    int64_t descriptors_hard;
    int64_t somaxconn;
    struct doctor_range local_ports; /* the kernel takes ports of these for connecting */
    struct doctor_range reserved[DOCTOR_RESERVED_MAX]; /* but not of these */
    size_t reserved_count;
    int64_t unprivileged_port_start;
    int64_t tcp_rmem_max_bytes, tcp_wmem_max_bytes;
    int64_t tcp_mem_bytes; /* of all sockets together */
    int64_t cpus;
    int64_t now_s;         /* seconds since 1970 UTC */
    int64_t config_time_s; /* when the configuration file was written */
    int64_t entropy;       /* 1: the kernel's random numbers are ready */
    int64_t fips;          /* 1: the kernel is in FIPS mode */
    int64_t synchronised;  /* 1: the kernel knows the clock to be so */
    int64_t bind_service;  /* 1: we hold CAP_NET_BIND_SERVICE */
    int64_t landlock;      /* the version that the kernel speaks; 0: none */
    bool root;             /* the effective user */
    bool cpu_known; /* these four are those of this architecture */
    bool cpu_aes, cpu_pclmul, cpu_vaes, cpu_avx512;
};

void doctor_gather(struct doctor_facts *facts_r, const char *config_file);

/* `synchronised` from what adjtimex() returned and the status it gave. */
int64_t doctor_synchronised(int state, int status);

/* doctor_machine.c: without a configuration. */
void doctor_judge_machine(struct doctor *doctor, const struct doctor_facts *facts);

enum { DOCTOR_MISSING_SIZE = 160 };

/* What OpenSSL says of itself. */
struct doctor_fips {
    bool by_default; /* its default properties demand fips=yes */
    bool provider;   /* the fips provider is active */
    /* what Setu uses and the default properties do not leave; "" nothing */
    char missing[DOCTOR_MISSING_SIZE];
};

/* doctor_fips.c: FIPS mode, and with a configuration who of the peers may suffer from it. `kernel`:
 * it is in FIPS mode. */
void doctor_gather_fips(struct doctor_fips *fips_r);
void doctor_judge_fips(struct doctor *doctor, const struct doctor_fips *fips, bool kernel);
void doctor_judge_ems(struct doctor *doctor, const struct doctor_fips *fips,
                      const struct config *config);

/* doctor_limits.c: what the configuration wants against what the machine gives. */
void doctor_judge_limits(struct doctor *doctor, const struct doctor_facts *facts,
                         const struct config *config);

/* doctor_files.c: what `setu check` finds; then certificates; then files that are written to. */
void doctor_judge_config(struct doctor *doctor, const struct conf_errors *errors, bool good);
void doctor_judge_certificates(struct doctor *doctor, const struct certificates *certificates,
                               int64_t now_s);
void doctor_judge_files(struct doctor *doctor, const struct config *config, const char *stats_file);

/* doctor_files.c: what Landlock opens more of than was meant; as this user, in this environment. */
void doctor_judge_landlock(struct doctor *doctor, const struct config *config,
                           const char *config_file, const char *stats_file);

/* doctor_trust.c: when the certificates of listeners, the authorities and the revocation lists of
 * every tls block end. Files that cannot be read are left to doctor_judge_config. */
void doctor_judge_trust(struct doctor *doctor, const struct config *config, int64_t now_s);

/* doctor_keytab.c: has each host of a listener's tickets its key, how new and of what kind? */
void doctor_judge_keytabs(struct doctor *doctor, const struct config *config);

/* doctor_speed.c: measures for about a fifth of a second. `config` NULL: as if nothing was
 * configured. */
void doctor_judge_speed(struct doctor *doctor, const struct config *config);

/* Speeds in bytes a second; 0: there is no such code. */
struct doctor_aes {
    double openssl_128, openssl_256, fast_128, fast_256;
};

struct fast_aes_decision;

/* The judgement alone. `wanted`: the configuration does not say off. */
void doctor_judge_aes(struct doctor *doctor, const struct doctor_aes *speeds,
                      const struct fast_aes_decision *decision, bool wanted);
