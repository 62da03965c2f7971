/* SPDX-License-Identifier: Apache-2.0 */
/* What a listener's role asks for. Every case changes one thing in a good file with both roles. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"

static const char good[] =
    "audit: {file: a.log}\n"                                                       /* 1 */
    "certificates: [{name: setu, chain: s.pem, key: s.key}]\n"                     /* 2 */
    "users: {file: u.yaml}\n"                                                      /* 3 */
    "mapping: [{principal: node2, certificate: setu}]\n"                           /* 4 */
    "clusters:\n"                                                                  /* 5 */
    "  - name: main\n"                                                             /* 6 */
    "    bootstrap: ['127.0.0.1:9092']\n"                                          /* 7 */
    "    identity: {certificate: setu}\n"                                          /* 8 */
    "    generations:\n"                                                           /* 9 */
    "      - {name: ajna, protocol: SSL, login: mapped-certificate,\n"             /* 10 */
    "         tls: {ca: ca.pem}}\n"                                                /* 11 */
    "  - name: node-1\n"                                                           /* 12 */
    "    bootstrap: ['127.0.0.1:9094']\n"                                          /* 13 */
    "    follow: false\n"                                                          /* 14 */
    "    identity: {sasl: {mechanism: PLAIN, username: setu, password_file: p}}\n" /* 15 */
    "    generations:\n"                                                           /* 16 */
    "      - {name: legacy, protocol: SASL_PLAINTEXT, login: sasl,\n"              /* 17 */
    "         sasl: {mechanism: SCRAM-SHA-512, credentials_file: c}}\n"            /* 18 */
    "listeners:\n"                                                                 /* 19 */
    "  - name: clients\n"                                                          /* 20 */
    "    cluster: main\n"                                                          /* 21 */
    "    bind: 127.0.0.1\n"                                                        /* 22 */
    "    port: 19092\n"                                                            /* 23 */
    "    advertised_host: localhost\n"                                             /* 24 */
    "    node_base_port: 19100\n"                                                  /* 25 */
    "    mechanisms: [SCRAM-SHA-512]\n"                                            /* 26 */
    "  - name: bridge\n"                                                           /* 27 */
    "    role: brokers\n"                                                          /* 28 */
    "    cluster: node-1\n"                                                        /* 29 */
    "    bind: 127.0.0.1\n"                                                        /* 30 */
    "    port: 29094\n"                                                            /* 31 */
    "    peers: [node2, replicator]\n"                                             /* 32 */
    "    mechanisms: [PLAIN]\n"                                                    /* 33 */
    "    tls: {chain: l.pem, key: l.key, optional: true,\n"                        /* 34 */
    "          client_auth: required, client_ca: ca.pem}\n";                       /* 35 */

struct refusal {
    const char *from; /* text of the good file, once in it */
    const char *to;
    const char *problems; /* lines without the file name */
};

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    cr_assert_not_null(at, "'%s' is not in the good file", from);
    cr_assert_null(strstr(at + 1, from), "'%s' is in the good file more than once", from);
    char *text = NULL;
    cr_assert(asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) > 0);
    return text;
}

static char *problems_of(const char *text, struct config **config_r)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    *config_r = config_parse(text, strlen(text), "", &errors);
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_deinit(&errors);
    return printed;
}

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config *config = NULL;
        char *text = replaced(refusals[i].from, refusals[i].to);
        char *printed = problems_of(text, &config);
        cr_expect_null(config, "'%s'", refusals[i].to);
        cr_expect_str_eq(printed, refusals[i].problems, "'%s'\n-- found --\n%s-- wanted --\n%s",
                         refusals[i].to, printed, refusals[i].problems);
        config_unref(&config);
        free(printed);
        free(text);
    }
}

#define CHECK(table) check_refusals(table, sizeof(table) / sizeof *(table))

Test(conf_role, both_roles_in_one_file)
{
    struct config *config = NULL;
    char *printed = problems_of(good, &config);
    cr_assert_str_eq(printed, "");
    const struct conf_listener *clients = config_listener(config, "clients");
    const struct conf_listener *bridge = config_listener(config, "bridge");
    cr_expect_eq(clients->role, CONF_ROLE_CLIENTS);
    cr_expect_eq(clients->node_ports_max, 1000);
    cr_expect_eq(clients->peers_count, 0u);
    cr_expect_eq(bridge->role, CONF_ROLE_BROKERS);
    cr_expect_eq(bridge->node_base_port, 0);
    cr_expect_eq(bridge->node_ports_max, 0);
    cr_expect_eq(bridge->peers_count, 2u);
    cr_expect_str_eq(bridge->peers[1], "replicator");
    cr_expect(bridge->tls.optional);
    cr_expect(config_cluster(config, "main")->follow);
    cr_expect_not(config_cluster(config, "node-1")->follow);
    config_unref(&config);
    free(printed);
}

Test(conf_role, what_is_dumped_loads_again)
{
    struct config *config = NULL, *again = NULL;
    free(problems_of(good, &config));
    char *dumped = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&dumped, &size);
    config_dump(config, out);
    fclose(out);
    char *printed = problems_of(dumped, &again);
    cr_assert_str_eq(printed, "");
    cr_expect_str_eq(config_listener(again, "bridge")->peers[0], "node2");
    config_unref(&config);
    config_unref(&again);
    free(printed);
    free(dumped);
}

Test(conf_role, clients)
{
    static const struct refusal refusals[] = {
        {"    advertised_host: localhost\n", "",
         "20:5: missing key 'advertised_host' (add it: the host under which clients reach this "
         "listener)\n"},
        {"    node_base_port: 19100\n", "",
         "20:5: missing key 'node_base_port' (add it: clients reach the broker with node id n at "
         "this port + n; or 'node_network')\n"},
        {"    node_base_port: 19100\n", "    node_base_port: 19100\n    peers: [node2]\n",
         "26:12: 'peers' is for role: brokers only (remove it, or set 'role: brokers')\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    mechanisms: [SCRAM-SHA-512]\n"
         "    tls: {chain: l.pem, key: l.key, optional: true}\n",
         "27:47: 'optional: true' is for role: brokers only (remove it, or set 'role: "
         "brokers')\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    mechanisms: [SCRAM-SHA-512]\n"
         "    tls: {chain: l.pem, key: l.key, client_ca: ca.pem, client_auth: requested}\n",
         "27:69: 'client_auth: requested' is for role: brokers only (remove it, or set 'role: "
         "brokers')\n"},
        {"    role: brokers\n", "    role: broker\n",
         "28:11: 'role' has no value 'broker' (did you mean 'brokers'? Possible: clients, "
         "brokers)\n"},
    };
    CHECK(refusals);
}

Test(conf_role, brokers)
{
    static const struct refusal refusals[] = {
        {"    peers: [node2, replicator]\n", "",
         "27:5: role: brokers needs 'peers' (name the principals that brokers log in as)\n"},
        {"    peers: [node2, replicator]\n", "    peers: ['']\n",
         "32:13: 'item' is empty (write a value)\n"},
        {"    peers: [node2, replicator]\n", "    peers: node2\n",
         "32:12: 'peers' is a single value (must be a list: [a, b] or lines that begin with '- "
         "')\n"},
        {"    port: 29094\n", "    port: 29094\n    advertised_host: localhost\n",
         "32:22: 'advertised_host' has no use with role: brokers, where no address is rewritten "
         "(remove it)\n"},
        {"    port: 29094\n", "    port: 29094\n    node_base_port: 29100\n    node_ports_max: 9\n",
         "32:21: 'node_base_port' has no use with role: brokers, where no address is rewritten "
         "(remove it)\n"
         "33:21: 'node_ports_max' has no use with role: brokers, where no address is rewritten "
         "(remove it)\n"},
        {"    mechanisms: [PLAIN]\n", "",
         "33:47: 'optional: true' needs 'mechanisms' (without TLS a peer can only log in by "
         "SASL)\n"},
        {"    mechanisms: [PLAIN]\n    tls: {chain: l.pem, key: l.key, optional: true,\n"
         "          client_auth: required,",
         "    tls: {chain: l.pem, key: l.key,\n          client_auth: requested,",
         "34:24: 'client_auth: requested' needs 'mechanisms' for peers without a certificate "
         "(give them, or set 'required')\n"},
        {"optional: true", "optional: false",
         "33:17: 'mechanisms' has no use where every peer shows a certificate (set 'optional: "
         "true' or 'client_auth: requested' in 'tls', or remove it)\n"},
        {"client_auth: required, client_ca: ca.pem", "client_auth: requested",
         "35:24: 'client_auth: requested' needs 'client_ca' (name the authorities' file)\n"},
        {"    bind: 127.0.0.1\n    port: 29094\n", "    bind: 0.0.0.0\n    port: 29094\n",
         "33:17: PLAIN without TLS on '0.0.0.0' shows passwords to the network (set 'optional: "
         "false', bind to loopback, or set 'allow_plain_without_tls: true')\n"},
    };
    CHECK(refusals);
}

Test(conf_role, clusters)
{
    static const struct refusal refusals[] = {
        {"    follow: false\n", "    follow: false\n    api_versions: broker\n",
         "15:19: 'api_versions' has no use with 'follow: false', where brokers are told what the "
         "one broker says (remove it)\n"},
        {"    follow: false\n", "    follow: false\n    metadata: merged\n",
         "15:15: 'metadata: merged' has no use with 'follow: false', where nothing is rewritten "
         "(remove it)\n"},
        {"    follow: false\n", "    follow: true\n",
         "29:14: role: brokers needs a cluster of one broker, and 'node-1' is learned from its "
         "brokers (set 'follow: false' there)\n"},
        {"    cluster: main\n", "    cluster: node-1\n",
         "21:14: cluster 'node-1' has 'follow: false', so clients would not reach its other "
         "brokers (set 'follow: true', or 'role: brokers' here)\n"},
        {"login: sasl,\n         sasl: {mechanism: SCRAM-SHA-512, credentials_file: c}}",
         "login: passthrough}",
         "28:14: generation 'legacy' passes the login through, but not every broker comes with "
         "one that could be passed (use login: sasl)\n"},
        {"{name: legacy, protocol", "{name: legacy, match: {node_ids: '1'}, protocol",
         "17:42: 'node_ids' is never known with 'follow: false' (match by 'host', 'port' or "
         "'probe')\n"},
        {"{name: legacy, protocol", "{name: legacy, match: {rack: r1}, protocol",
         "17:38: 'rack' is never known with 'follow: false' (match by 'host', 'port' or "
         "'probe')\n"},
        {"['127.0.0.1:9094']", "['127.0.0.1:29094']",
         "13:17: broker '127.0.0.1' port 29094 is Setu's own listener 'bridge' at line 27 (name "
         "the broker itself, or move the listener)\n"},
    };
    CHECK(refusals);
}
