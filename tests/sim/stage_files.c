/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/stage_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/scram.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/audit_log.h"
#include "proxy/shared.h"
#include "proxy/visitors.h"
#include "tests/sim/sim.h"
#include "tests/unit/pki_kit.h"

enum { TEXT_MAX = 32 * 1024, ITERATIONS = 4096, DAY_S = 86400, VALID_DAYS = 90 };

#define SASL_GENERATION                                                                            \
    "      - {name: old, protocol: SASL_PLAINTEXT, login: sasl,\n"                                 \
    "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: %s}"

struct variant stage_variants[STAGE_VARIANTS] = {
    {"sasl", SASL_GENERATION "}\n", "", "observe", "intersection", ", session_lifetime_ms: 4000",
     STAGE_NODES, false, false, NULL, NULL},
    {"open", "      - {name: open, protocol: PLAINTEXT, login: none}\n", "", "observe", "broker",
     ", session_lifetime_ms: 2500", 0, false, false, NULL, NULL},
    {"passthrough", "      - {name: pass, protocol: SASL_PLAINTEXT, login: passthrough}\n", "",
     "off", "intersection", "", STAGE_NODES, true, false, NULL, NULL},
    {"mixed",
     SASL_GENERATION
     ", match: {probe: true}}\n"
     "      - {name: new, protocol: PLAINTEXT, login: none, match: {probe: true}}\n",
     "", "observe", "intersection", "", 2, false, true, NULL, NULL},
    {"strict", SASL_GENERATION "}\n", ", idle_timeout_ms: 4000", "enforce", "broker", "",
     STAGE_NODES, false, false, NULL, NULL},
};

const struct user stage_users[] = {
    {"ada", "pw-ada", "legacy-ada", USER_GOOD},      {"bob", "pw-bob", "legacy-bob", USER_GOOD},
    {"cyd", "pw-cyd", "legacy-cyd", USER_GOOD},      {"nil", "pw-nil", "legacy-nil", USER_UNMAPPED},
    {"two", "pw-two", "legacy-two", USER_AMBIGUOUS}, {"key", "pw-key", "legacy-key", USER_KEYLESS},
    {"old", "pw-old", "legacy-old", USER_STALE},     {"who", "pw-who", "legacy-who", USER_UNKNOWN},
};
const size_t stage_user_count = sizeof stage_users / sizeof stage_users[0];

static void refuse(const struct conf_errors *errors, const char *what)
{
    conf_errors_print(errors, stderr);
    fprintf(stderr, "setu-sim: %s was refused\n", what);
    exit(2);
}

/* ---- users ---- */

static void append_record(char *text, const char *key, enum scram_hash hash, const char *password)
{
    struct scram_record record;
    struct writer out;
    char line[SCRAM_RECORD_TEXT_MAX + 1];
    if (!scram_record_make(hash, view_from_string(password),
                           view_from_string("salt-of-the-simulator-001"), ITERATIONS, &record)) {
        abort();
    }
    writer_init_fixed(&out, line, sizeof line - 1);
    scram_record_print(&record, &out);
    line[out.length] = '\0';
    size_t at = strlen(text);
    snprintf(text + at, TEXT_MAX - at, "    %s: \"%s\"\n", key, line);
}

static void append_user(char *text, const char *name, const char *password)
{
    size_t at = strlen(text);
    snprintf(text + at, TEXT_MAX - at, "  - name: %s\n", name);
    append_record(text, "scram-sha-512", SCRAM_SHA_512, password);
    append_record(text, "scram-sha-256", SCRAM_SHA_256, password);
}

static void write_users(void)
{
    static char text[TEXT_MAX];
    snprintf(text, sizeof text, "users:\n");
    for (size_t i = 0; i < stage_user_count; i++) {
        if (stage_users[i].kind != USER_UNKNOWN) {
            append_user(text, stage_users[i].name, stage_users[i].password);
        }
    }
    pki_write_text("users.yaml", 0600, text);
}

/* What Setu shows to brokers with SASL; one of the passwords is not the broker's. */
static void write_credentials(void)
{
    static char text[TEXT_MAX];
    snprintf(text, sizeof text, "credentials:\n");
    for (size_t i = 0; i < stage_user_count; i++) {
        const struct user *user = &stage_users[i];
        char file[32];
        if (user->kind == USER_KEYLESS) {
            continue;
        }
        snprintf(file, sizeof file, "%s.password", user->name);
        pki_write_text(file, 0600, user->kind == USER_STALE ? "yesterday's" : user->legacy);
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at,
                 "  - {principal: %s, username: %s, password_file: %s}\n", user->name, user->legacy,
                 pki_path(file));
    }
    pki_write_text("credentials.yaml", 0600, text);
}

/* The brokers know everybody by both names. */
static struct credentials *broker_users(void)
{
    static char text[TEXT_MAX];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text, "users:\n");
    for (size_t i = 0; i < stage_user_count; i++) {
        append_user(text, stage_users[i].legacy, stage_users[i].legacy);
        if (stage_users[i].kind != USER_UNKNOWN) {
            append_user(text, stage_users[i].name, stage_users[i].password);
        }
    }
    append_user(text, "setu", "pw-setu");
    struct credentials *users = credentials_parse(view_from_string(text), "brokers", &errors);
    if (users == NULL) {
        refuse(&errors, "the brokers' users file");
    }
    conf_errors_deinit(&errors);
    return users;
}

/* ---- configurations ---- */

static void write_certificate(const char *name)
{
    char chain[32], key[32];
    int64_t now_s = (int64_t)(sim.now_ns / SIM_S) + sim.wall_ns / (int64_t)SIM_S;
    const struct pki_options options = {
        .common_name = name, .from_s = now_s - DAY_S, .to_s = now_s + VALID_DAYS * (int64_t)DAY_S};
    struct pki_cert pair = pki_make(&options, NULL);
    snprintf(chain, sizeof chain, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    pki_write_cert(chain, pair.cert);
    pki_write_key(key, 0400, pair.key, NULL);
    pki_free(&pair);
}

static const char yaml[] =
    "audit: {file: \"\"}\nusers: {file: %s}\n"
    "limits: {login_timeout_ms: 5000, connect_timeout_ms: 3000, drain_timeout_ms: 8000,\n"
    "  login_frame_max_bytes: 16384, frame_max_bytes: 4194304, rewrite_max_bytes: 200000,\n"
    "  login_failure_delay_ms: 100%s}\n"
    "integrity: {crc: %s}\n"
    "certificates:\n  - {name: a, chain: %s, key: %s}\n  - {name: b, chain: %s, key: %s}\n"
    "mapping:\n  - {principal_regex: \"ada|bob|key|old\", certificate: a}\n"
    "  - {principal: cyd, certificate: b}\n"
    "  - {principal_glob: \"tw*\", certificate: a}\n  - {principal_glob: \"t?o\", certificate: b}\n"
    "clusters:\n  - name: main\n    bootstrap: [\"b1.real.invalid:9092\", \"10.9.0.2:9092\"]\n"
    "    api_versions: %s\n    refresh_ms: 2000\n"
    "    identity: {sasl: {mechanism: SCRAM-SHA-512, username: setu, password_file: %s}}\n"
    "    generations:\n";
static const char yaml_listeners[] =
    "listeners:\n  - {name: clients, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: setu.sim.invalid, node_base_port: 19100, node_ports_max: 50,\n"
    "     mechanisms: [SCRAM-SHA-512, SCRAM-SHA-256, PLAIN], allow_plain_without_tls: true%s}\n";

/* Another snapshot: one user is shown with another certificate; of open brokers another cluster, too. */
static void make_other(char *text, const struct variant *variant)
{
    static const char user[] = "{principal: cyd, certificate: ", refresh[] = "refresh_ms: ";
    strstr(text, user)[sizeof user - 1] = 'a';
    if (variant->sasl_nodes < STAGE_NODES) {
        strstr(text, refresh)[sizeof refresh - 1] = '3';
    }
}

static void write_configuration(const struct variant *variant, const char *name, bool other)
{
    static char text[TEXT_MAX];
    char path[8][256];
    static const char *const files[] = {"users.yaml", "a.pem",         "a.key",           "b.pem",
                                        "b.key",      "setu.password", "credentials.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path[i], sizeof path[i], "%s", pki_path(files[i]));
    }
    snprintf(text, sizeof text, yaml, path[0], variant->limits, variant->crc, path[1], path[2],
             path[3], path[4], variant->api_versions, path[5]);
    size_t at = strlen(text);
    const char *mark = strstr(variant->generations, "%s");
    if (mark != NULL) {
        snprintf(text + at, sizeof text - at, "%.*s%s%s", (int)(mark - variant->generations),
                 variant->generations, path[6], mark + 2);
    } else {
        snprintf(text + at, sizeof text - at, "%s", variant->generations);
    }
    at = strlen(text);
    snprintf(text + at, sizeof text - at, yaml_listeners, variant->listener);
    if (other) {
        make_other(text, variant);
    }
    pki_write_text(name, 0600, text);
}

static atomic_uint_fast64_t session_ids; /* one run at a time */

static struct shared *load_snapshot(const struct variant *variant, bool other)
{
    struct conf_errors errors;
    char name[64];
    snprintf(name, sizeof name, "%s%s.yaml", variant->name, other ? "-other" : "");
    write_configuration(variant, name, other);
    conf_errors_init(&errors);
    struct shared *shared = shared_load(pki_path(name), &errors);
    if (shared == NULL) {
        refuse(&errors, name);
    }
    conf_errors_deinit(&errors);
    shared->session_ids = &session_ids;
    return shared;
}

static void load(struct variant *variant)
{
    const struct audit_log_params no_audit = {.file = ""};
    char error[200];
    variant->shared = load_snapshot(variant, false);
    variant->other = load_snapshot(variant, true);
    const struct conf_limits *limits = &variant->shared->config->limits;
    variant->shared->audit = audit_log_open(&no_audit, error, sizeof error);
    variant->shared->visitors = visitors_new(limits->connections, limits->connections_per_address);
    if (variant->shared->audit == NULL || variant->shared->visitors == NULL) {
        abort();
    }
    variant->other->audit = variant->shared->audit;
    variant->other->visitors = variant->shared->visitors;
}

struct credentials *stage_files_open(void)
{
    pki_open();
    write_certificate("a");
    write_certificate("b");
    write_users();
    write_credentials();
    pki_write_text("setu.password", 0600, "pw-setu");
    for (size_t i = 0; i < STAGE_VARIANTS; i++) {
        load(&stage_variants[i]);
    }
    return broker_users();
}

void stage_files_close(void)
{
    for (size_t i = 0; i < STAGE_VARIANTS; i++) {
        audit_log_close(&stage_variants[i].shared->audit);
        visitors_free(&stage_variants[i].shared->visitors);
        shared_unref(&stage_variants[i].shared);
        shared_unref(&stage_variants[i].other);
    }
    pki_close();
}
