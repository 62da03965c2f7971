/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_map: what the verbs `setu map …` share: a configuration with what it takes to audit its
 * mapping. Files only; nothing is connected to, and no process is asked.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "auth/mapping_context.h"
#include "auth/mapping_facts.h"
#include "conf/errors.h"
#include "proxy/cli/cli.h"

struct credentials;
struct mapping_usages;
struct rules;

struct map_input {
    struct config *config;
    struct mapping *mapping;
    char config_hash[65]; /* SHA-256 of the file, as audit records have it */
    /* The rest by map_load_facts(): */
    struct mapping_facts *facts;
    struct credentials *users; /* NULL: there is no users file, or it cannot be read */
};

/* NULL file: the call's. false: every problem is on standard error: CLI_BAD_CONFIG. */
bool map_load(const struct cli_call *call, const char *file, struct map_input *input_r)
    __attribute__((warn_unused_result));
/* Certificates and users, as far as they can be read. */
void map_load_facts(struct map_input *input);
void map_free(struct map_input *input);

/*
 * The decisions in the audit log: the files named, or else the configured one with those it was
 * rotated to. NULL: *why_r says why there are none; a broken chain counts as none.
 */
struct mapping_usages *map_load_usages(const struct map_input *input, char *const *files,
                                       int file_count, char *why_r, size_t size);

/* "2026-01-31T12:00:00Z"; "" for 0. */
void map_time_text(int64_t seconds, char out[32]);

/* What every report begins with: version, host, time, configuration, hashes. */
json_t *map_header_json(const struct cli_call *call, const struct map_input *input);

/* "name (file:line)" or "file:line". */
void map_rule_text(const struct conf_mapping *rule, char *out, size_t size);
/* name, file, line, kind, pattern, when, certificate, owner, ticket … */
json_t *map_rule_json(const struct map_input *input, size_t rule);

/* ---- where a question is asked ---- */

/* Situations the mapping may be asked in, as options narrow them. */
struct map_places {
    struct mapping_context *items;
    size_t count;
};

/* The options --cluster, --generation, --listener, --mechanism, --broker by their values, NULL = not
 * given. false: a name that there is not; told. */
bool map_places(const struct cli_call *call, const struct map_input *input,
                const struct mapping_query *only, const char *broker, struct map_places *places_r)
    __attribute__((warn_unused_result));
void map_places_free(struct map_places *places);
/* "cluster=a generation=b listener=c mechanism=d" */
void map_place_text(const struct mapping_context *place, char *out, size_t size);
json_t *map_place_json(const struct mapping_context *place);

/* As whom brokers of a generation take a certificate; NULL with *why_r when nobody can tell. The
 * text lives in `memory`. */
const char *map_predict(const struct map_input *input, const struct conf_generation *generation,
                        const char *certificate, char *memory, size_t size, const char **why_r);
