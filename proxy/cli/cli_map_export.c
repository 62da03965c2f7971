/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/dn.h"
#include "auth/mapping_lint.h"
#include "auth/mapping_usage.h"
#include "conf/config.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

/* A finding of the lint, kept for the rows it concerns. */
struct risk {
    const char *id;
    int line, column;
};

struct export
{
    const struct map_input *input;
    struct mapping_usages *usages; /* NULL: the audit log cannot be read */
    struct risk *risks;
    size_t risk_count;
    int64_t now_s;
    json_t *rows;
};

static void set_text(json_t *row, const char *key, const char *text)
{
    json_object_set_new(row, key, cli_out_string(text));
}

static void set_time(json_t *row, const char *key, int64_t seconds)
{
    char text[32];
    map_time_text(seconds, text);
    set_text(row, key, text);
}

/* ---- risks ---- */

static void on_found(void *context, const struct mapping_finding *finding)
{
    struct export *export = context;
    export->risks = realloc(export->risks, (export->risk_count + 1) * sizeof *export->risks);
    if (export->risks == NULL) {
        abort();
    }
    export->risks[export->risk_count++] =
        (struct risk){mapping_lint_name(finding->id), finding->place.line, finding->place.column};
}

static void on_not_judged(void *context, enum mapping_lint_id id, const char *why)
{
    (void)context;
    (void)id;
    (void)why;
}

static void find_risks(struct export *export)
{
    const struct mapping_lint_params params = {
        .config = export->input->config,
        .mapping = export->input->mapping,
        .facts = export->input->facts,
        .users = export->input->users,
        .usages = export->usages,
        .no_usages = "",
        .now_s = export->now_s,
        .unused_days = 90,
    };
    const struct mapping_lint_events events = {on_found, on_not_judged, export};
    mapping_lint(&params, &events);
}

static bool is_at(const struct risk *risk, struct conf_place place)
{
    return risk->line == place.line && risk->column == place.column;
}

static void set_risks(json_t *row, const struct export *export, const struct conf_mapping *rule)
{
    const struct config *config = export->input->config;
    const struct conf_certificate *certificate = config_certificate(config, rule->certificate);
    char text[256] = "";
    for (size_t i = 0; i < export->risk_count; i++) {
        const struct risk *risk = &export->risks[i];
        const bool concerns = is_at(risk, rule->place) ||
                              is_at(risk, config_place(config, &certificate->chain)) ||
                              is_at(risk, config_place(config, &certificate->key));
        if (concerns && strstr(text, risk->id) == NULL) {
            const size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "", risk->id);
        }
    }
    set_text(row, "risks", text);
}

/* ---- a row ---- */

static void add_word(char *words, size_t size, const char *word)
{
    const size_t used = strlen(words), length = strlen(word);
    for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word)) {
        const bool begins = at == words || at[-1] == ' ';
        if (begins && (at[length] == ' ' || at[length] == '\0')) {
            return;
        }
    }
    snprintf(words + used, size - used, "%s%s", used > 0 ? " " : "", word);
}

/* By what, and by where, one comes under the rule; NULL generation: anywhere. */
static bool set_ways(json_t *row, const struct map_input *input, size_t rule,
                     const struct conf_cluster *cluster, const struct conf_generation *generation)
{
    char mechanisms[1024] = "", listeners[8192] = "";
    const struct mapping_query only = {
        .cluster = cluster != NULL ? cluster->name : NULL,
        .generation = generation != NULL ? generation->name : NULL,
    };
    struct mapping_context context;
    bool any = false;
    mapping_context_begin(&context, input->config, &only);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, NULL);
        if (mapping_holds(input->mapping, rule, &query)) {
            add_word(mechanisms, sizeof mechanisms, context.mechanism);
            add_word(listeners, sizeof listeners, context.listener->name);
            any = true;
        }
    }
    if (row != NULL) {
        set_text(row, "mechanisms", mechanisms);
        set_text(row, "listeners", listeners);
        set_text(row, "cluster", cluster != NULL ? cluster->name : "");
        set_text(row, "generation", generation != NULL ? generation->name : "");
    }
    return any;
}

static void set_certificate(json_t *row, const struct mapping_certificate *facts, int64_t now_s)
{
    char mode[8] = "";
    if (facts->key_found) {
        snprintf(mode, sizeof mode, "%04o", facts->key_mode);
    }
    const bool known = facts->problem[0] == '\0';
    set_text(row, "certificate", facts->conf->name);
    set_text(row, "certificate_file", facts->conf->chain);
    set_text(row, "certificate_problem", facts->problem);
    set_text(row, "subject", facts->subject);
    set_text(row, "names", facts->names);
    set_text(row, "issuer", facts->issuer);
    set_text(row, "serial", facts->serial);
    set_text(row, "fingerprint", facts->fingerprint);
    set_text(row, "spki_fingerprint", facts->spki_fingerprint);
    set_time(row, "not_before", facts->not_before_s);
    set_time(row, "not_after", facts->not_after_s);
    json_object_set_new(row, "days_left",
                        known ? json_integer((facts->not_after_s - now_s) / 86400) : json_null());
    set_text(row, "key_type", facts->key_type);
    json_object_set_new(row, "key_bits", known ? json_integer(facts->key_bits) : json_null());
    set_text(row, "key_file", facts->conf->key);
    set_text(row, "key_mode", mode);
    set_text(row, "extended_key_usage", facts->usages);
    set_text(row, "signature_digest", facts->signature);
}

static void set_revocation(json_t *row, const struct mapping_certificate *facts,
                           const struct conf_generation *generation, int64_t now_s)
{
    struct mapping_revocation_facts revocation = {0};
    if (generation != NULL) {
        mapping_facts_revocation(facts, &generation->tls, &revocation);
    }
    set_text(row, "revocation", mapping_revocation_name(revocation.state));
    json_object_set_new(row, "crl_age_days",
                        revocation.list_from_s != 0
                            ? json_integer((now_s - revocation.list_from_s) / 86400)
                            : json_null());
}

static void set_prediction(json_t *row, const struct map_input *input,
                           const struct conf_mapping *rule,
                           const struct conf_generation *generation)
{
    char memory[DN_BYTES_MAX];
    const char *why = "", *predicted = NULL, *intended = rule->intended_principal;
    if (generation != NULL) {
        predicted = map_predict(input, generation, rule->certificate, memory, sizeof memory, &why);
    }
    intended += strncmp(intended, "User:", 5) == 0 ? 5 : 0;
    set_text(row, "predicted_principal", predicted != NULL ? predicted : "");
    set_text(row, "intended_principal", intended);
    set_text(row, "predicted_is_intended",
             intended[0] == '\0' || generation == NULL               ? ""
             : predicted != NULL && strcmp(predicted, intended) == 0 ? "yes"
                                                                     : "no");
}

static void set_usage(json_t *row, const struct export *export, size_t rule)
{
    const struct mapping_usage none = {0};
    const struct mapping_usage *usage =
        export->usages != NULL ? &export->usages->rules[rule] : &none;
    set_time(row, "first_used", usage->first_ns / 1000000000);
    set_time(row, "last_used", usage->last_ns / 1000000000);
    json_object_set_new(
        row, "uses", export->usages != NULL ? json_integer((json_int_t)usage->count) : json_null());
    set_text(row, "last_source", usage->last_source);
}

static void add_row(struct export *export, size_t rule, const struct conf_cluster *cluster,
                    const struct conf_generation *generation)
{
    const struct conf_mapping *conf = mapping_rule(export->input->mapping, rule);
    const struct mapping_certificate *facts =
        mapping_facts_find(export->input->facts, conf->certificate);
    json_t *row = json_object();
    set_text(row, "rule", conf->name);
    set_text(row, "file", conf->place.file);
    json_object_set_new(row, "line", json_integer(conf->place.line));
    set_text(row, "kind", mapping_kind_name((enum mapping_kind)conf->kind));
    set_text(row, "principal", conf->pattern);
    set_text(row, "when", mapping_when(export->input->mapping, rule));
    (void)set_ways(row, export->input, rule, cluster, generation);
    set_certificate(row, facts, export->now_s);
    set_revocation(row, facts, generation, export->now_s);
    set_prediction(row, export->input, conf, generation);
    set_text(row, "owner", conf->owner);
    set_text(row, "ticket", conf->ticket);
    set_text(row, "approver", conf->approver);
    set_text(row, "review_by", conf->review_by);
    set_text(row, "break_glass", conf->break_glass ? "yes" : "no");
    set_usage(row, export, rule);
    set_risks(row, export, conf);
    json_array_append_new(export->rows, row);
}

/* One for each generation that is shown the certificate; one for a rule that none is. */
static void add_rows(struct export *export, size_t rule)
{
    const struct config *config = export->input->config;
    bool any = false;
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            const struct conf_generation *generation = &cluster->generations[k];
            if (generation->login == CONF_LOGIN_MAPPED_CERTIFICATE &&
                set_ways(NULL, export->input, rule, cluster, generation)) {
                add_row(export, rule, cluster, generation);
                any = true;
            }
        }
    }
    if (!any) {
        add_row(export, rule, NULL, NULL);
    }
}

/* ---- CSV (RFC 4180) ---- */

/* A cell that begins like a formula would be one to a spreadsheet. */
static void print_cell(const char *text)
{
    putchar('"');
    if (text[0] != '\0' && strchr("=+-@", text[0]) != NULL) {
        putchar('\'');
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"') {
            putchar('"');
        }
        putchar(*at);
    }
    putchar('"');
}

static void print_value(const json_t *value)
{
    if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_string(value)) {
        print_cell(json_string_value(value));
    }
}

static void print_names(json_t *row)
{
    const char *key = NULL, *gap = "";
    json_t *value = NULL;
    json_object_foreach(row, key, value)
    {
        printf("%s%s", gap, key);
        gap = ",";
    }
    printf("\r\n");
}

static void print_row(json_t *row)
{
    const char *key = NULL, *gap = "";
    json_t *value = NULL;
    json_object_foreach(row, key, value)
    {
        fputs(gap, stdout);
        print_value(value);
        gap = ",";
    }
    printf("\r\n");
}

static void print_comment(json_t *header)
{
    const char *key = NULL;
    json_t *value = NULL;
    printf("#");
    json_object_foreach(header, key, value)
    {
        printf(" %s=%s;", key, json_string_value(value));
    }
    printf("\r\n");
}

static void print_csv(json_t *rows)
{
    json_t *row = NULL;
    size_t i = 0;
    json_array_foreach(rows, i, row)
    {
        if (i == 0) {
            print_names(row);
        }
        print_row(row);
    }
}

int cli_map_export(const struct cli_call *call)
{
    struct map_input input;
    char why[1024] = "";
    if (!map_load(call, NULL, &input)) {
        return CLI_BAD_CONFIG;
    }
    map_load_facts(&input);
    struct export export = {
        .input = &input,
        .usages = map_load_usages(&input, NULL, 0, why, sizeof why),
        .now_s = (int64_t)time(NULL),
        .rows = json_array(),
    };
    find_risks(&export);
    for (size_t i = 0; i < mapping_count(input.mapping); i++) {
        add_rows(&export, i);
    }
    json_t *root = map_header_json(call, &input);
    set_text(root, "usage", export.usages != NULL ? "from the audit log" : why);
    if (call->json) {
        json_object_set(root, "rows", export.rows);
        cli_out_answer(call, json_incref(root));
    } else {
        if (!call->csv) {
            print_comment(root);
        }
        print_csv(export.rows);
    }
    json_decref(root);
    json_decref(export.rows);
    mapping_usages_free(&export.usages);
    free(export.risks);
    map_free(&input);
    return CLI_OK;
}
