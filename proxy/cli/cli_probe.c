/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "auth/tls_material.h"
#include "conf/config.h"
#include "conf/credential.h"
#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "proxy/cli/cli_failure.h"
#include "proxy/cli/cli_out.h"
#include "proxy/cluster/broker.h"
#include "proxy/cluster/identity.h"
#include "proxy/cluster/probe.h"
#include "proxy/cluster/resolve.h"
#include "proxy/io/io.h"
#include "proxy/ops/log_line.h"

enum { CLUSTER, GENERATION, NODE, VERSIONS, TIMEOUT };

const struct cli_option cli_probe_options[] = {
    [CLUSTER] = {"cluster", "NAME", "whose identity and generations (default: the first)"},
    [GENERATION] = {"generation", "NAME", "log in as to this generation, do not look"},
    [NODE] = {"node", "ID", "the broker's node id, for generations matched by it"},
    [VERSIONS] = {"versions", NULL, "list the API versions as well"},
    [TIMEOUT] = {"timeout-ms", "MS", "for each connection (default: connect_timeout_ms)"},
    {NULL, NULL, NULL},
};

enum { PORT_SIZE = 8 };

struct inquiry {
    const struct cli_call *call;
    const struct config *config;
    const struct conf_cluster *cluster;
    struct tls_material *material;
    struct identity identity;
    char host[ROUTE_HOST_MAX];
    uint16_t port;
    int status;
};

/* ---- printing ---- */

static void print_line(const char *name, const char *value)
{
    char safe[CLI_OUT_TEXT_SIZE];
    if (value[0] != '\0') {
        printf("%-12s %s\n", name, cli_out_safe(value, safe));
    }
}

static void print_look(const struct probe_result *result)
{
    if (!result->looked) {
        return;
    }
    printf("%-12s %s%s%s\n", "speaks", result->look.sasl ? "SASL_" : "",
           result->look.tls ? "SSL" : "PLAINTEXT",
           result->look.certificate_wanted ? ", wants a client certificate" : "");
    for (size_t i = 0; i < result->look.mechanism_count; i++) {
        print_line("mechanism", result->look.mechanisms[i]);
    }
}

static bool print_broker(void *context, const struct endpoint *endpoint)
{
    (void)context;
    char host[CLI_OUT_TEXT_SIZE];
    char rack[CLI_OUT_TEXT_SIZE];
    size_t host_length = log_escape(host, sizeof host - 1, endpoint->host);
    size_t rack_length = log_escape(rack, sizeof rack - 1, endpoint->rack);
    host[host_length] = '\0';
    rack[rack_length] = '\0';
    printf("%-12s %" PRId32 " %s:%" PRId32 "%s%s\n", "broker", endpoint->node_id, host,
           endpoint->port, rack_length > 0 ? " rack " : "", rack);
    return true;
}

static void print_versions(const struct api_versions *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        const struct api_range *range = &versions->ranges[i];
        printf("%-12s %s (%d) %d-%d\n", "api", api_name(range->key), range->key, range->min,
               range->max);
    }
}

static void print_text(const struct inquiry *inquiry, const struct probe_result *result)
{
    printf("%-12s %s:%u\n", "broker at", inquiry->host, inquiry->port);
    print_line("outcome", probe_outcome_name(result->outcome));
    print_line("generation", result->generation != NULL ? result->generation->name : "");
    print_look(result);
    print_line("tls", result->tls_version);
    print_line("cipher", result->tls_cipher);
    if (result->extended_master_secret >= 0) {
        print_line("ext. master", result->extended_master_secret == 1
                                      ? "yes"
                                      : "no: a Setu in FIPS mode could not connect (RFC 7627)");
    }
    printf("%-12s %" PRIu64 " ms\n", "took", result->elapsed_ms);
    if (result->login_failed) {
        print_line("login", "Setu's identity was refused");
    }
    if (result->reason != BROKER_LOGIN_NO_REASON) {
        print_line("reason", broker_login_reason_name(result->reason));
    }
    print_line("says", result->text);
    if (result->versions != NULL) {
        printf("%-12s %zu known to Setu, %zu unknown\n", "apis", result->versions->count,
               result->versions->unknown);
    }
    if (result->metadata.at != NULL &&
        endpoint_visit(API_METADATA, result->metadata_version, result->metadata, print_broker,
                       NULL) != ENDPOINT_OK) {
        print_line("broker", "the Metadata response is not decodable");
    }
    if (result->versions != NULL && inquiry->call->values[VERSIONS] != NULL) {
        print_versions(result->versions);
    }
}

static json_t *view_json(struct view text)
{
    json_t *string = json_stringn((const char *)text.at, text.length);
    char safe[CLI_OUT_TEXT_SIZE];
    if (string != NULL) {
        return string;
    }
    return json_stringn(safe, log_escape(safe, sizeof safe, text));
}

static bool collect_broker(void *context, const struct endpoint *endpoint)
{
    json_t *row = json_object();
    json_object_set_new(row, "node", json_integer(endpoint->node_id));
    json_object_set_new(row, "host", view_json(endpoint->host));
    json_object_set_new(row, "port", json_integer(endpoint->port));
    json_object_set_new(row, "rack", endpoint->rack_null ? json_null() : view_json(endpoint->rack));
    json_array_append_new(context, row);
    return true;
}

static json_t *versions_json(const struct api_versions *versions)
{
    json_t *list = json_array();
    for (size_t i = 0; i < versions->count; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "key", json_integer(versions->ranges[i].key));
        json_object_set_new(row, "name", json_string(api_name(versions->ranges[i].key)));
        json_object_set_new(row, "min", json_integer(versions->ranges[i].min));
        json_object_set_new(row, "max", json_integer(versions->ranges[i].max));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *look_json(const struct generation_look *look)
{
    json_t *row = json_object();
    json_t *mechanisms = json_array();
    for (size_t i = 0; i < look->mechanism_count; i++) {
        json_array_append_new(mechanisms, cli_out_string(look->mechanisms[i]));
    }
    json_object_set_new(row, "tls", json_boolean(look->tls));
    json_object_set_new(row, "sasl", json_boolean(look->sasl));
    json_object_set_new(row, "certificate_wanted", json_boolean(look->certificate_wanted));
    json_object_set_new(row, "mechanisms", mechanisms);
    return row;
}

static void print_json(const struct inquiry *inquiry, const struct probe_result *result)
{
    json_t *root = json_object();
    json_object_set_new(root, "host", cli_out_string(inquiry->host));
    json_object_set_new(root, "port", json_integer(inquiry->port));
    json_object_set_new(root, "outcome", json_string(probe_outcome_name(result->outcome)));
    json_object_set_new(
        root, "generation",
        result->generation != NULL ? cli_out_string(result->generation->name) : json_null());
    json_object_set_new(root, "look", result->looked ? look_json(&result->look) : json_null());
    json_object_set_new(root, "tls", cli_out_string(result->tls_version));
    json_object_set_new(root, "cipher", cli_out_string(result->tls_cipher));
    json_object_set_new(root, "extended_master_secret",
                        result->extended_master_secret < 0
                            ? json_null()
                            : json_boolean(result->extended_master_secret == 1));
    json_object_set_new(root, "elapsed_ms", json_integer((json_int_t)result->elapsed_ms));
    json_object_set_new(root, "identity_refused", json_boolean(result->login_failed));
    json_object_set_new(root, "reason", json_string(broker_login_reason_name(result->reason)));
    json_object_set_new(root, "error_code", json_integer(result->error_code));
    json_object_set_new(root, "text", cli_out_string(result->text));
    json_object_set_new(root, "versions",
                        result->versions != NULL ? versions_json(result->versions) : json_null());
    json_t *brokers = json_array();
    if (result->metadata.at != NULL &&
        endpoint_visit(API_METADATA, result->metadata_version, result->metadata, collect_broker,
                       brokers) != ENDPOINT_OK) {
        json_object_set_new(root, "metadata", json_string("undecodable"));
    }
    json_object_set_new(root, "brokers", brokers);
    cli_out_json(root);
}

/* ---- asking ---- */

static void on_probed(void *context, const struct probe_result *result)
{
    struct inquiry *inquiry = context;
    inquiry->status = result->outcome == PROBE_OK ? CLI_OK : CLI_NEGATIVE;
    if (inquiry->call->json) {
        if (inquiry->status != CLI_OK) {
            cli_failure_keep(NULL, 0, result->text);
        }
        print_json(inquiry, result);
    } else {
        print_text(inquiry, result);
    }
}

/* "host:port", "[v6]:port". */
static bool split_address(struct inquiry *inquiry, const char *text)
{
    const char *colon = strrchr(text, ':');
    unsigned long port = 0;
    if (colon == NULL || !cli_number(colon + 1, 1, 65535, &port)) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return false;
    }
    if (!broker_host_valid(view_of(text, length))) {
        return false;
    }
    memcpy(inquiry->host, text, length);
    inquiry->host[length] = '\0';
    inquiry->port = (uint16_t)port;
    return true;
}

/* Blocking: there is nothing else to do meanwhile. */
static bool resolve(const struct inquiry *inquiry, struct resolve_result *result_r)
{
    if (resolve_literal(inquiry->host, inquiry->port, result_r)) {
        return true;
    }
    char service[PORT_SIZE];
    snprintf(service, sizeof service, "%u", inquiry->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(inquiry->host, service, &hints, &list);
    if (error != 0) {
        cli_error(inquiry->call->verb, "%s: %s", inquiry->host, gai_strerror(error));
        return false;
    }
    for (const struct addrinfo *at = list; at != NULL && result_r->count < RESOLVE_MAX;
         at = at->ai_next) {
        memcpy(&result_r->addresses[result_r->count++], at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(list);
    return result_r->count > 0;
}

static int ask(struct inquiry *inquiry, const struct conf_generation *generation, int32_t node_id,
               uint64_t timeout_ms)
{
    struct probe_params params = {
        .conf = inquiry->cluster,
        .identity = &inquiry->identity,
        .subject = {.node_id = node_id, .host = inquiry->host, .port = inquiry->port},
        .generation = generation,
        .timeout_ms = timeout_ms,
    };
    if (!resolve(inquiry, &params.addresses)) {
        return CLI_NEGATIVE;
    }
    bool look = false;
    if (generation == NULL) {
        params.generation = generation_by_rule(inquiry->cluster, &params.subject, &look);
    }
    uv_loop_t loop;
    struct io io;
    if (uv_loop_init(&loop) != 0) {
        return CLI_NEGATIVE;
    }
    signal(SIGPIPE, SIG_IGN);
    io_init(&io, &loop);
    params.io = &io;
    inquiry->status = CLI_NEGATIVE;
    struct probe *probe = probe_start(&params, on_probed, inquiry);
    if (probe == NULL) {
        cli_error(inquiry->call->verb, "no memory");
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    io_stop(&io);
    uv_run(&loop, UV_RUN_DEFAULT);
    io_free(&io);
    uv_loop_close(&loop);
    return inquiry->status;
}

static bool load(struct inquiry *inquiry, struct conf_errors *errors)
{
    inquiry->material = credential_check(inquiry->config, errors)
                            ? tls_material_load(inquiry->config, (int64_t)time(NULL), errors)
                            : NULL;
    return inquiry->material != NULL &&
           identity_load(&inquiry->identity, inquiry->cluster, inquiry->material, errors);
}

/* The options that name things; CLI_OK when all make sense. */
static int choose(struct inquiry *inquiry, const struct conf_generation **generation_r,
                  int32_t *node_id_r, uint64_t *timeout_ms_r)
{
    const char *const *values = inquiry->call->values;
    const struct cli_verb *verb = inquiry->call->verb;
    unsigned long number = 0;
    inquiry->cluster = values[CLUSTER] != NULL ? config_cluster(inquiry->config, values[CLUSTER])
                                               : &inquiry->config->clusters[0];
    if (inquiry->cluster == NULL) {
        return cli_usage_error(verb, "there is no cluster `%s`", values[CLUSTER]);
    }
    if (values[GENERATION] != NULL) {
        *generation_r = config_generation(inquiry->cluster, values[GENERATION]);
        if (*generation_r == NULL) {
            return cli_usage_error(verb, "cluster `%s` has no generation `%s`",
                                   inquiry->cluster->name, values[GENERATION]);
        }
    }
    if (values[NODE] != NULL) {
        if (!cli_number(values[NODE], 0, INT32_MAX, &number)) {
            return cli_usage_error(verb, "--node is a number");
        }
        *node_id_r = (int32_t)number;
    }
    *timeout_ms_r = inquiry->config->limits.connect_timeout_ms;
    if (values[TIMEOUT] != NULL) {
        if (!cli_number(values[TIMEOUT], 1, 3600000, &number)) {
            return cli_usage_error(verb, "--timeout-ms is a number from 1 to 3600000");
        }
        *timeout_ms_r = number;
    }
    if (!split_address(inquiry, inquiry->call->operands[0])) {
        return cli_usage_error(verb, "`%s` is not HOST:PORT", inquiry->call->operands[0]);
    }
    return CLI_OK;
}

static int inquire(struct inquiry *inquiry, struct conf_errors *errors)
{
    const struct conf_generation *generation = NULL;
    int32_t node_id = -1;
    uint64_t timeout_ms = 0;
    int status = choose(inquiry, &generation, &node_id, &timeout_ms);
    if (status != CLI_OK) {
        return status;
    }
    if (!load(inquiry, errors)) {
        cli_problems(errors);
        return CLI_BAD_CONFIG;
    }
    return ask(inquiry, generation, node_id, timeout_ms);
}

int cli_probe(const struct cli_call *call)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_load(call->config_file, &errors);
    struct inquiry inquiry = {.call = call, .config = config};
    int status = CLI_BAD_CONFIG;
    if (config != NULL) {
        status = inquire(&inquiry, &errors);
    } else {
        cli_problems(&errors);
    }
    if (inquiry.identity.conf != NULL) {
        identity_free(&inquiry.identity);
    }
    tls_material_unref(&inquiry.material);
    config_unref(&config);
    conf_errors_deinit(&errors);
    return status;
}
