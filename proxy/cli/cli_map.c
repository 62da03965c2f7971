/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_map.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "auth/dn.h"
#include "auth/mapping_predict.h"
#include "auth/mapping_usage.h"
#include "conf/config.h"
#include "proxy/cli/audit_set.h"
#include "proxy/cli/cli_out.h"

/* ---- loading ---- */

/* Read again by its name, as for the running process's hash. */
static void hash_file(const char *path, char hex[65])
{
    unsigned char block[4096], digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        abort();
    }
    FILE *file = fopen(path, "rbe");
    for (size_t n = 1; file != NULL && n > 0;) {
        n = fread(block, 1, sizeof block, file);
        EVP_DigestUpdate(md, block, n);
    }
    if (file != NULL) {
        fclose(file);
    }
    EVP_DigestFinal_ex(md, digest, &length);
    EVP_MD_CTX_free(md);
    for (unsigned i = 0; i < length && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

bool map_load(const struct cli_call *call, const char *file, struct map_input *input_r)
{
    struct conf_errors errors;
    *input_r = (struct map_input){0};
    conf_errors_init(&errors);
    file = file != NULL ? file : call->config_file;
    input_r->config = config_load(file, &errors);
    if (input_r->config != NULL) {
        hash_file(file, input_r->config_hash);
        input_r->mapping = mapping_build(input_r->config, &errors);
    }
    const bool good = input_r->mapping != NULL;
    if (!good) {
        cli_problems(&errors);
        map_free(input_r);
    }
    conf_errors_deinit(&errors);
    return good;
}

void map_load_facts(struct map_input *input)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    input->facts = mapping_facts_new(input->config);
    if (input->config->users.file[0] != '\0') {
        input->users = credentials_load(input->config->users.file, &errors);
    }
    conf_errors_deinit(&errors);
}

void map_free(struct map_input *input)
{
    credentials_unref(&input->users);
    mapping_facts_free(&input->facts);
    mapping_unref(&input->mapping);
    config_unref(&input->config);
}

/* ---- the audit log ---- */

static bool take_set(struct mapping_usages *usages, const struct map_input *input,
                     const struct audit_set *set, char *why_r, size_t size)
{
    struct audit_signatures signatures = {0};
    struct audit_set_verdict verdict;
    uint64_t seq = 0;
    audit_set_verify(set, NULL, NULL, &signatures, &verdict);
    if (!verdict.holds) {
        snprintf(why_r, size, "%s: the chain is broken at record %" PRIu64 ": %s",
                 verdict.bad_file != NULL ? verdict.bad_file->path : "the audit log",
                 verdict.bad_seq, verdict.why);
        return false;
    }
    for (size_t i = 0; i < set->count; i++) {
        (void)mapping_usages_read(usages, input->config, input->mapping, set->files[i].bytes, &seq);
    }
    return true;
}

struct mapping_usages *map_load_usages(const struct map_input *input, char *const *files,
                                       int file_count, char *why_r, size_t size)
{
    char *configured[] = {(char *)(uintptr_t)input->config->audit.file};
    const bool given = file_count > 0;
    struct audit_set set;
    if (!given && configured[0][0] == '\0') {
        snprintf(why_r, size, "there is no audit log: 'audit.file' is not set");
        return NULL;
    }
    if (!audit_set_open(&set, given ? files : configured, given ? (size_t)file_count : 1, why_r,
                        size)) {
        return NULL;
    }
    struct mapping_usages *usages = mapping_usages_new(input->mapping);
    if (!take_set(usages, input, &set, why_r, size)) {
        mapping_usages_free(&usages);
    }
    audit_set_close(&set);
    return usages;
}

/* ---- texts ---- */

void map_time_text(int64_t seconds, char out[32])
{
    const time_t when = (time_t)seconds;
    struct tm tm;
    out[0] = '\0';
    if (seconds != 0 && gmtime_r(&when, &tm) != NULL) {
        (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
}

json_t *map_header_json(const struct cli_call *call, const struct map_input *input)
{
    char host[256] = "", now[32];
    (void)gethostname(host, sizeof host - 1);
    map_time_text((int64_t)time(NULL), now);
    json_t *header = json_object();
    json_object_set_new(header, "generator", json_string("setu " SETU_VERSION));
    json_object_set_new(header, "report", json_string(call->verb->name));
    json_object_set_new(header, "host", cli_out_string(host));
    json_object_set_new(header, "time", json_string(now));
    json_object_set_new(header, "config", cli_out_string(input->config->file));
    json_object_set_new(header, "config_hash", json_string(input->config_hash));
    json_object_set_new(header, "mapping_hash", json_string(mapping_hash(input->mapping)));
    return header;
}

void map_rule_text(const struct conf_mapping *rule, char *out, size_t size)
{
    if (rule->name[0] != '\0') {
        snprintf(out, size, "%s (%s:%d)", rule->name, rule->place.file, rule->place.line);
    } else {
        snprintf(out, size, "%s:%d", rule->place.file, rule->place.line);
    }
}

json_t *map_rule_json(const struct map_input *input, size_t rule)
{
    const struct conf_mapping *conf = mapping_rule(input->mapping, rule);
    json_t *row = json_object();
    json_object_set_new(row, "name", cli_out_string(conf->name));
    json_object_set_new(row, "file", cli_out_string(conf->place.file));
    json_object_set_new(row, "line", json_integer(conf->place.line));
    json_object_set_new(row, "kind", json_string(mapping_kind_name((enum mapping_kind)conf->kind)));
    json_object_set_new(row, "pattern", cli_out_string(conf->pattern));
    json_object_set_new(row, "when", cli_out_string(mapping_when(input->mapping, rule)));
    json_object_set_new(row, "certificate", cli_out_string(conf->certificate));
    json_object_set_new(row, "intended_principal", cli_out_string(conf->intended_principal));
    json_object_set_new(row, "owner", cli_out_string(conf->owner));
    json_object_set_new(row, "ticket", cli_out_string(conf->ticket));
    json_object_set_new(row, "approver", cli_out_string(conf->approver));
    json_object_set_new(row, "review_by", cli_out_string(conf->review_by));
    json_object_set_new(row, "break_glass", json_boolean(conf->break_glass));
    return row;
}

/* ---- places ---- */

void map_place_text(const struct mapping_context *place, char *out, size_t size)
{
    snprintf(out, size, "cluster=%s generation=%s listener=%s mechanism=%s", place->cluster->name,
             place->generation->name, place->listener->name, place->mechanism);
}

json_t *map_place_json(const struct mapping_context *place)
{
    json_t *row = json_object();
    json_object_set_new(row, "cluster", cli_out_string(place->cluster->name));
    json_object_set_new(row, "generation", cli_out_string(place->generation->name));
    json_object_set_new(row, "listener", cli_out_string(place->listener->name));
    json_object_set_new(row, "mechanism", cli_out_string(place->mechanism));
    return row;
}

/* What a node id alone says: a generation that asks for more, or has to be seen, is possible. */
enum match { MATCH_NO, MATCH_PERHAPS, MATCH_YES };

static enum match matches_node(const struct conf_match *match, int32_t node_id)
{
    bool found = match->node_ids_count == 0;
    for (size_t i = 0; i < match->node_ids_count; i++) {
        found =
            found || (node_id >= match->node_ids[i].first && node_id <= match->node_ids[i].last);
    }
    const bool more =
        match->host[0] != '\0' || match->port != 0 || match->rack[0] != '\0' || match->probe;
    return !found ? MATCH_NO : more ? MATCH_PERHAPS : MATCH_YES;
}

/* Whether a node may be taken for the generation: those before it come first. */
static bool may_be(const struct conf_cluster *cluster, const struct conf_generation *generation,
                   int32_t node_id)
{
    for (const struct conf_generation *it = cluster->generations; it != generation; it++) {
        if (matches_node(&it->match, node_id) == MATCH_YES) {
            return false;
        }
    }
    return matches_node(&generation->match, node_id) != MATCH_NO;
}

static void gather(const struct map_input *input, const struct mapping_query *only,
                   bool passthrough, long node_id, struct map_places *places)
{
    struct mapping_context context;
    mapping_context_begin(&context, input->config, only);
    while (mapping_context_next(&context)) {
        if ((context.generation->login == CONF_LOGIN_PASSTHROUGH) != passthrough ||
            (node_id >= 0 && !may_be(context.cluster, context.generation, (int32_t)node_id))) {
            continue;
        }
        places->items = realloc(places->items, (places->count + 1) * sizeof *places->items);
        if (places->items == NULL) {
            abort();
        }
        places->items[places->count++] = context;
    }
}

static bool is_named(const struct cli_call *call, const struct map_input *input, const char *what,
                     const struct mapping_query *only)
{
    struct mapping_context context;
    mapping_context_begin(&context, input->config, only);
    if (mapping_context_next(&context)) {
        return true;
    }
    const char *name = only->cluster != NULL      ? only->cluster
                       : only->generation != NULL ? only->generation
                       : only->listener != NULL   ? only->listener
                                                  : only->mechanism;
    (void)cli_usage_error(call->verb, "there is no %s `%s`", what, name);
    return false;
}

/* Each name alone first, so that the one that is wrong is told. */
static bool check_names(const struct cli_call *call, const struct map_input *input,
                        const struct mapping_query *only)
{
    const struct mapping_query cluster = {.cluster = only->cluster};
    const struct mapping_query generation = {.generation = only->generation};
    const struct mapping_query listener = {.listener = only->listener};
    const struct mapping_query mechanism = {.mechanism = only->mechanism};
    return (only->cluster == NULL || is_named(call, input, "cluster", &cluster)) &&
           (only->generation == NULL || is_named(call, input, "generation", &generation)) &&
           (only->listener == NULL || is_named(call, input, "listener", &listener)) &&
           (only->mechanism == NULL || is_named(call, input, "mechanism", &mechanism));
}

bool map_places(const struct cli_call *call, const struct map_input *input,
                const struct mapping_query *only, const char *broker, struct map_places *places_r)
{
    unsigned long node_id = 0;
    *places_r = (struct map_places){NULL, 0};
    if (broker != NULL && !cli_number(broker, 0, INT32_MAX, &node_id)) {
        (void)cli_usage_error(call->verb, "--broker is a node id");
        return false;
    }
    if (!check_names(call, input, only)) {
        return false;
    }
    const long wanted = broker != NULL ? (long)node_id : -1;
    gather(input, only, false, wanted, places_r);
    if (places_r->count == 0) {
        gather(input, only, true, wanted,
               places_r); /* brokers judge there; still it can be asked */
    }
    if (places_r->count == 0) {
        (void)cli_usage_error(call->verb, "no connection has all of what is asked for");
    }
    return places_r->count > 0;
}

void map_places_free(struct map_places *places)
{
    free(places->items);
    *places = (struct map_places){NULL, 0};
}

/* ---- prediction ---- */

const char *map_predict(const struct map_input *input, const struct conf_generation *generation,
                        const char *certificate, char *memory, size_t size, const char **why_r)
{
    const struct mapping_certificate *facts = mapping_facts_find(input->facts, certificate);
    struct rule_fault error;
    if (facts == NULL || facts->problem[0] != '\0') {
        *why_r = "the certificate cannot be read";
        return NULL;
    }
    struct rules *rules =
        rules_parse(view_from_string(generation->ssl_principal_mapping_rules), &error);
    if (rules == NULL) {
        *why_r = "the brokers' rules cannot be read";
        return NULL;
    }
    struct mapping_prediction prediction;
    mapping_predict_one(rules, generation, facts->subject, &prediction);
    rules_free(&rules);
    snprintf(memory, size, "%s", prediction.principal);
    *why_r = prediction.status == RULES_NO_MATCH ? "no rule of theirs matches: they refuse it"
                                                 : "their rules fail on it: they refuse it";
    return prediction.status == RULES_OK ? memory : NULL;
}
