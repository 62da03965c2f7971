/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration is refused for, and where each refusal points. Every case changes one thing
 * in a good file and states the whole list of problems that must come of it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"

static const char good[] = "audit: {file: a.log}\n"                         /* 1 */
                           "certificates:\n"                                /* 2 */
                           "  - {name: orders, chain: o.pem, key: o.key}\n" /* 3 */
                           "  - {name: setu, chain: s.pem, key: s.key}\n"   /* 4 */
                           "users: {file: u.yaml}\n"                        /* 5 */
                           "mapping:\n"                                     /* 6 */
                           "  - {principal: orders, certificate: orders}\n" /* 7 */
                           "clusters:\n"                                    /* 8 */
                           "  - name: main\n"                               /* 9 */
                           "    bootstrap: ['127.0.0.1:9092']\n"            /* 10 */
                           "    identity: {certificate: setu}\n"            /* 11 */
                           "    generations:\n"                             /* 12 */
                           "      - name: ajna\n"                           /* 13 */
                           "        protocol: SSL\n"                        /* 14 */
                           "        login: mapped-certificate\n"            /* 15 */
                           "        tls: {ca: ca.pem}\n"                    /* 16 */
                           "listeners:\n"                                   /* 17 */
                           "  - name: clients\n"                            /* 18 */
                           "    cluster: main\n"                            /* 19 */
                           "    bind: 127.0.0.1\n"                          /* 20 */
                           "    port: 19092\n"                              /* 21 */
                           "    advertised_host: localhost\n"               /* 22 */
                           "    node_base_port: 19100\n"                    /* 23 */
                           "    mechanisms: [SCRAM-SHA-512]\n";             /* 24 */

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
    int length = asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    cr_assert(length > 0);
    return text;
}

/* The printed problems of a text, without its name; the caller frees. *accepted_r: it became a
 * snapshot. */
static char *problems_of(const char *text, size_t length, bool *accepted_r)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, length, "", &errors);
    *accepted_r = config != NULL;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    conf_errors_print(&errors, out);
    fclose(out);
    config_unref(&config);
    conf_errors_deinit(&errors);
    return printed;
}

/* The text up to the first bracketed advice of each line: cases state what is wrong, and where. */
static void check_refusal(const struct refusal *refusal, bool accepted_wanted)
{
    char *text = replaced(refusal->from, refusal->to);
    bool accepted = false;
    char *printed = problems_of(text, strlen(text), &accepted);
    cr_expect_str_eq(printed, refusal->problems, "'%s'\n-- found --\n%s-- wanted --\n%s",
                     refusal->to, printed, refusal->problems);
    cr_expect_eq(accepted, accepted_wanted, "'%s'", refusal->to);
    free(printed);
    free(text);
}

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_refusal(&refusals[i], false);
    }
}

#define CHECK(table) check_refusals(table, sizeof(table) / sizeof *(table))

Test(conf_refusals, the_good_file_has_no_problem)
{
    bool accepted = false;
    char *printed = problems_of(good, strlen(good), &accepted);
    cr_assert_str_eq(printed, "");
    cr_assert(accepted);
    free(printed);
}

/* T69: */
Test(conf_refusals, t69_bootstrap_brokers_that_may_not_be_dialled)
{
    static const struct refusal table[] = {
        {"bootstrap: ['127.0.0.1:9092']", "bootstrap: ['169.254.169.254:80']",
         "10:17: broker may not be dialled at 169.254.169.254 (add it to 'allowed_addresses')\n"},
        {"bootstrap: ['127.0.0.1:9092']",
         "bootstrap: ['127.0.0.1:9092', 'b:1']\n    allowed_addresses: [10.0.0.0/8]",
         "10:17: broker may not be dialled at 127.0.0.1 (add it to 'allowed_addresses')\n"},
        {"bootstrap: ['127.0.0.1:9092']",
         "bootstrap: ['127.0.0.1:9092']\n    allowed_addresses: [10.0.0.1/8]",
         "11:25: 'item' is no run of IP addresses (write for example 10.1.0.0/16, 192.0.2.7 or "
         "2001:db8::/32, with zeros behind the prefix)\n"},
    };
    CHECK(table);
}

/* T66: */
Test(conf_refusals, t66_values_are_taken_as_they_are_written)
{
    static const char names[] = "${file:/etc/passwd}";
    static const char owner[] = "$HOME ${env:PATH} $(id) `id` %s %n {{x}} \\\\u0041";
    char to[256];
    snprintf(to, sizeof to, "{principal: '%s', owner: '%s', certificate: orders}", names, owner);
    char *text = replaced("{principal: orders, certificate: orders}", to);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "", &errors);
    cr_assert_not_null(config);
    cr_expect_str_eq(config->mapping[0].principal, names);
    cr_expect_str_eq(config->mapping[0].owner, owner);
    config_unref(&config);
    conf_errors_deinit(&errors);
    free(text);
}

/* T67: mechanisms are words of a list, no names of classes, modules or files. */
Test(conf_refusals, t67_mechanisms_are_those_of_a_list)
{
    static const char *const names[] = {"EXTERNAL", "LOGIN", "DIGEST-MD5", "/tmp/evil.so",
                                        "'../evil'", "com.sun.security.auth.module.JndiLoginModule",
                                        "'ldap://203.0.113.9/x'", "scram-sha-512", "GS2-KRB5"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char to[128];
        snprintf(to, sizeof to, "[%s]", names[i]);
        char *text = replaced("[SCRAM-SHA-512]", to);
        bool accepted = true;
        char *printed = problems_of(text, strlen(text), &accepted);
        cr_expect_not(accepted, "%s", names[i]);
        cr_expect_not_null(strstr(printed, "'mechanisms' has no value"), "%s: %s", names[i],
                           printed);
        free(printed);
        free(text);
    }
}

Test(conf_refusals, keys)
{
    static const struct refusal refusals[] = {
        {"users:", "workrs: 2\nusers:", "5:1: unknown key 'workrs' (did you mean 'workers'?)\n"},
        {"users:", "zoo: 2\nusers:",
         "5:1: unknown key 'zoo' (remove it; the keys here are in REFERENCE.md)\n"},
        {"    port: 19092", "    prot: 19092", "21:5: unknown key 'prot' (did you mean 'port'?)\n"},
        {"    port: 19092\n", "",
         "18:5: missing key 'port' (add it: The port clients use as bootstrap; it leads to any "
         "broker that is up.)\n"},
        {"    port: 19092", "    port: 19092\n    port: 19093",
         "22:5: duplicate key 'port' (first given at line 21; keep one)\n"},
        {"listeners:\n", "listeners: []\nothers:\n",
         "17:12: 'listeners' is empty (write at least 1)\n"
         "18:1: unknown key 'others' (remove it; the keys here are in REFERENCE.md)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, types)
{
    static const struct refusal refusals[] = {
        {"users: {file: u.yaml}", "users: u.yaml",
         "5:8: 'users' is a single value (must be a map: lines of 'key: value')\n"},
        {"users: {file: u.yaml}",
         "users:", "5:7: 'users' has no value (must be a map: lines of 'key: value')\n"},
        {"users: {file: u.yaml}", "users: {file: [u.yaml]}",
         "5:15: 'file' is a list (must be a text)\n"},
        {"users: {file: u.yaml}", "users: {file: ~}",
         "5:15: 'file' has no value (must be a text; \"\" = none)\n"},
        {"port: 19092", "port: \"19092\"",
         "21:11: 'port' must be a whole number (decimal digits only, from 1 to 65535)\n"},
        {"port: 19092", "port: 0x10",
         "21:11: 'port' must be a whole number (decimal digits only, from 1 to 65535)\n"},
        {"port: 19092", "port: 019092",
         "21:11: 'port' must be a whole number (decimal digits only, from 1 to 65535)\n"},
        {"port: 19092", "port: 65536", "21:11: 'port' is out of range (from 1 to 65535)\n"},
        {"port: 19092", "port: -1", "21:11: 'port' is out of range (from 1 to 65535)\n"},
        {"port: 19092", "port: 99999999999999999999",
         "21:11: 'port' is out of range (from 1 to 65535)\n"},
        {"users:", "limits: {login_timeout_ms: 10s}\nusers:",
         "5:28: 'login_timeout_ms' must be a whole number (decimal digits only, from 1 to "
         "600000)\n"},
        {"    mechanisms:", "    allow_plain_without_tls: yes\n    mechanisms:",
         "24:30: 'allow_plain_without_tls' must be true or false (without quotes)\n"},
        {"[SCRAM-SHA-512]", "SCRAM-SHA-512",
         "24:17: 'mechanisms' is a single value (must be a list: [a, b] or lines that begin with "
         "'- ')\n"},
        {"[SCRAM-SHA-512]", "[[SCRAM-SHA-512]]", "24:18: 'item' is a list (must be a text)\n"},
        {"mapping:\n  - {principal: orders, certificate: orders}", "mapping:\n  - orders",
         "7:5: 'item' is a single value (must be a map: lines of 'key: value')\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, values)
{
    static const struct refusal refusals[] = {
        {"protocol: SSL", "protocol: SASL_SLL",
         "14:19: 'protocol' has no value 'SASL_SLL' (did you mean 'SASL_SSL'? Possible: "
         "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL)\n"},
        {"protocol: SSL", "protocol: TLSv1.3",
         "14:19: 'protocol' has no value 'TLSv1.3' (possible: PLAINTEXT, SSL, SASL_PLAINTEXT, "
         "SASL_SSL)\n"},
        {"bind: 127.0.0.1", "bind: localhost",
         "20:11: 'bind' is not an IP address (write for example 127.0.0.1, ::1, 0.0.0.0 or ::)\n"},
        {"advertised_host: localhost", "advertised_host: 0.0.0.0",
         "22:22: 'advertised_host' is a wildcard address (write a host that clients can reach)\n"},
        {"advertised_host: localhost", "advertised_host: \"a host\"",
         "22:22: 'advertised_host' is not a host (write a DNS name or an IP address, no port)\n"},
        {"name: clients", "name: my clients",
         "18:11: 'name' is not a name (use at most 64 letters, digits, '.', '_' and '-')\n"},
        {"name: clients", "name: ''", "18:11: 'name' is empty (write a value)\n"},
        {"name: clients", "name: \"a\\tb\"",
         "18:11: 'name' contains a control character (remove it)\n"},
        {"name: clients", "name: \"a\\0b\"", "18:11: value contains a NUL character (remove it)\n"},
        {"file: u.yaml", "file: etc/", "5:15: 'file' names a folder (name a file)\n"},
        {"certificate: orders}", "certificate: orders, review_by: 2027-02-29}",
         "7:57: 'review_by' is not a date (write YYYY-MM-DD)\n"},
        {"'127.0.0.1:9092'", "'127.0.0.1'", "10:17: '127.0.0.1' has no port (write HOST:PORT)\n"},
        {"'127.0.0.1:9092'", "'::1:9092'",
         "10:17: '::1:9092' has an IPv6 address without brackets (write for example "
         "[::1]:9092)\n"},
        {"'127.0.0.1:9092'", "'k:0', 'k:9092x', ':1', '[k]:1', '[::1]', 'k:9092'",
         "10:17: 'k:0' has no valid port (write HOST:PORT with a port from 1 to 65535)\n"
         "10:24: 'k:9092x' has no valid port (write HOST:PORT with a port from 1 to 65535)\n"
         "10:35: ':1' is not a host (write a DNS name or an IP address, no port)\n"
         "10:41: '[k]:1' has brackets around something that is no IPv6 address\n"
         "10:50: '[::1]' is not [IPV6]:PORT (write for example [::1]:9092)\n"},
        {"        protocol: SSL", "        match: {node_ids: 1-3;7}\n        protocol: SSL",
         "14:27: 'node_ids' is not a list of node ids (write for example 1-3,7)\n"},
        {"        protocol: SSL", "        match: {node_ids: '3-1'}\n        protocol: SSL",
         "14:27: 'node_ids' has a range that runs backwards (write 1-3, not 3-1)\n"},
        {"        protocol: SSL", "        match: {node_ids: '1-3,2'}\n        protocol: SSL",
         "14:27: 'node_ids' names a node id twice (keep one)\n"},
        {"        protocol: SSL", "        match: {node_ids: 9999999999}\n        protocol: SSL",
         "14:27: 'node_ids' is not a list of node ids (write for example 1-3,7)\n"},
        {"        protocol: SSL", "        match: {port: 0}\n        protocol: SSL",
         "14:23: 'port' is out of range (from 1 to 65535)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, kerberos)
{
    static const struct refusal refusals[] = {
        {"[SCRAM-SHA-512]", "[GSSAPI]",
         "24:17: GSSAPI needs the section 'gssapi' (add at least 'keytab')\n"},
        {"[SCRAM-SHA-512]", "[GSSAPI]\n    gssapi: {service_name: kafka}",
         "25:13: missing key 'keytab' (add it: Keytab with the listener's keys, readable by nobody "
         "else. Others in it are not used.)\n"},
        {"[SCRAM-SHA-512]", "[SCRAM-SHA-512]\n    gssapi: {keytab: k}",
         "25:13: section 'gssapi' has no use without GSSAPI (add it to 'mechanisms')\n"},
        {"{certificate: setu}",
         "{certificate: setu, sasl: {mechanism: GSSAPI, username: s, password_file: p}}",
         "11:41: mechanism GSSAPI needs 'keytab'\n"
         "11:89: 'password_file' has no use with mechanism GSSAPI (remove it)\n"},
        {"{certificate: setu}",
         "{certificate: setu, sasl: {mechanism: PLAIN, username: s, keytab: p}}",
         "11:41: mechanism PLAIN needs 'password_file'\n"
         "11:81: 'keytab' has no use with mechanism PLAIN (remove it)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, references_and_duplicates)
{
    static const struct refusal refusals[] = {
        {"certificate: orders", "certificate: order",
         "7:38: no certificate is named 'order' (did you mean 'orders'?)\n"},
        {"{certificate: setu}", "{certificate: proxy}",
         "11:29: no certificate is named 'proxy' (add it, or correct the name)\n"},
        {"cluster: main", "cluster: mian",
         "19:14: no cluster is named 'mian' (did you mean 'main'?)\n"},
        {"{name: setu,", "{name: orders,",
         "4:12: certificate 'orders' is given again (first at line 3; keep one)\n"
         "11:29: no certificate is named 'setu' (add it, or correct the name)\n"},
        {"  - {principal: orders, certificate: orders}",
         "  - {principal: orders, certificate: orders}\n"
         "  - {principal: orders, certificate: setu}",
         "8:5: rule for principal 'orders' is given again (first at line 7; keep one)\n"},
        {"  - {principal: orders, certificate: orders}",
         "  - {principal: orders, certificate: orders}\n"
         "  - {certificate: setu}\n"
         "  - {principal: a, principal_glob: 'b*', certificate: setu}",
         "8:5: rule has no principal (give one of 'principal', 'principal_glob' and "
         "'principal_regex')\n"
         "9:5: rule has more than one kind of principal (give one of 'principal', "
         "'principal_glob' and 'principal_regex')\n"},
        {"['127.0.0.1:9092']", "['K:9092', 'k:9092']",
         "10:27: broker is given again (first at line 10; keep one)\n"},
        {"[SCRAM-SHA-512]", "[PLAIN, PLAIN]",
         "24:25: mechanism 'PLAIN' is given again (keep one)\n"},
        {"      - name: ajna\n        protocol: SSL\n",
         "      - {name: ajna, match: {rack: r}, protocol: SSL, login: mapped-certificate,\n"
         "         tls: {ca: ca.pem}}\n"
         "      - name: ajna\n        protocol: SSL\n",
         "15:15: generation 'ajna' is given again (first at line 13; keep one)\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    mechanisms: [SCRAM-SHA-512]\n"
         "  - {name: clients, cluster: main, bind: 127.0.0.2, port: 1, advertised_host: h,\n"
         "     node_base_port: 2, mechanisms: [PLAIN]}\n",
         "25:12: listener 'clients' is given again (first at line 18; keep one)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, logins_and_protocols)
{
    static const struct refusal refusals[] = {
        {"protocol: SSL", "protocol: SASL_SSL",
         "11:15: warning: Setu itself cannot log in to brokers of generation 'ajna' (add "
         "'identity.sasl')\n"
         "15:16: login 'mapped-certificate' does not go with protocol SASL_SSL (use protocol "
         "SSL)\n"},
        {"login: mapped-certificate", "login: sasl",
         "15:16: login 'sasl' does not go with protocol SSL (use SASL_PLAINTEXT or SASL_SSL)\n"
         "15:16: login 'sasl' needs the section 'sasl' (add 'mechanism' and "
         "'credentials_file')\n"},
        {"login: mapped-certificate", "login: passthrough",
         "15:16: login 'passthrough' does not go with protocol SSL (use SASL_PLAINTEXT or "
         "SASL_SSL)\n"},
        {"protocol: SSL\n        login: mapped-certificate\n        tls: {ca: ca.pem}",
         "protocol: SASL_PLAINTEXT\n        login: none",
         "11:15: warning: Setu itself cannot log in to brokers of generation 'ajna' (add "
         "'identity.sasl')\n"
         "15:16: login 'none' does not go with protocol SASL_PLAINTEXT (use PLAINTEXT or SSL, or "
         "another login)\n"},
        {"        tls: {ca: ca.pem}\n", "",
         "14:19: protocol SSL needs the section 'tls' (add at least 'ca')\n"},
        {"        tls: {ca: ca.pem}\n", "        tls: {crl: c}\n",
         "16:14: missing key 'ca' (add it: PEM file with the authorities that brokers' "
         "certificates must come from.)\n"},
        {"protocol: SSL\n        login: mapped-certificate",
         "protocol: PLAINTEXT\n        login: none",
         "15:16: warning: brokers of generation 'ajna' see every client as ANONYMOUS (another "
         "login tells them who it is)\n"
         "16:14: section 'tls' has no use with protocol PLAINTEXT (remove it, or use SSL or "
         "SASL_SSL)\n"},
        {"        tls: {ca: ca.pem}\n",
         "        tls: {ca: ca.pem}\n        sasl: {mechanism: PLAIN, credentials_file: c}\n",
         "17:15: section 'sasl' has no use with login 'mapped-certificate' (remove it, or use "
         "login: sasl)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, listeners)
{
    static const struct refusal refusals[] = {
        {"port: 19092", "port: 19150",
         "21:11: 'port' 19150 is one of the listener's own node ports 19100-20099 (move one)\n"},
        {"node_base_port: 19100", "node_base_port: 65000",
         "23:21: node ports would reach 65999, past 65535 (lower 'node_base_port' or "
         "'node_ports_max')\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    mechanisms: [SCRAM-SHA-512]\n"
         "  - {name: b, cluster: main, bind: 0.0.0.0, port: 19500, advertised_host: h,\n"
         "     node_base_port: 20000, mechanisms: [SCRAM-SHA-512]}\n",
         "25:51: 'port' (19500-19500) overlaps 'node_base_port' (19100-20099) of listener "
         "'clients' at line 18 (move one)\n"
         "26:22: 'node_base_port' (20000-20999) overlaps 'node_base_port' (19100-20099) of "
         "listener 'clients' at line 18 (move one)\n"},
        {"bind: 127.0.0.1", "bind: ['127.0.0.1', '127.0.0.2', '127.0.0.1']",
         "20:38: '127.0.0.1' takes connections that '127.0.0.1' takes (keep one)\n"},
        {"bind: 127.0.0.1", "bind: ['127.0.0.1', '::']",
         "20:25: '::' takes connections that '127.0.0.1' takes (keep one)\n"},
        {"bind: 127.0.0.1", "bind: ['127.0.0.1', localhost]",
         "20:25: 'item' is not an IP address (write for example 127.0.0.1, ::1, 0.0.0.0 or "
         "::)\n"},
        {"bind: 127.0.0.1", "bind: []", "20:11: 'bind' is empty (write at least 1)\n"},
        {"    node_base_port: 19100\n", "    node_network: 127.80.0.0\n",
         "23:19: 'node_network' is not an IPv4 loopback network (write for example "
         "127.80.0.0/16)\n"},
        {"    node_base_port: 19100\n", "    node_network: 127.80.0.1/16\n",
         "23:19: 'node_network' is not an IPv4 loopback network (write for example "
         "127.80.0.0/16)\n"},
        {"    node_base_port: 19100\n", "    node_network: 10.80.0.0/16\n",
         "23:19: 'node_network' is not an IPv4 loopback network (write for example "
         "127.80.0.0/16)\n"},
        {"    node_base_port: 19100\n", "    node_network: 127.0.0.0/8\n",
         "23:19: 'node_network' holds an address that 'bind' takes (choose another network)\n"},
        {"    node_base_port: 19100\n",
         "    node_base_port: 19100\n    node_network: 127.80.0.0/16\n",
         "24:19: 'node_network' and 'node_base_port' are two answers to where nodes are (keep "
         "one)\n"},
        {"    node_base_port: 19100\n    mechanisms: [SCRAM-SHA-512]\n",
         "    node_network: 127.80.0.0/16\n    mechanisms: [SCRAM-SHA-512]\n"
         "  - {name: b, cluster: main, bind: 127.80.7.7, port: 19092, node_network: "
         "127.81.0.0/16,\n     mechanisms: [SCRAM-SHA-512]}\n"
         "  - {name: c, cluster: main, bind: '::1', port: 19092, node_network: 127.80.0.0/24,\n"
         "     mechanisms: [SCRAM-SHA-512]}\n",
         "25:54: 'port' (19092-19092) overlaps 'node_network' (19092-19092) of listener 'clients' "
         "at line 18 (move one)\n"
         "27:70: 'node_network' (19092-19092) overlaps 'node_network' (19092-19092) of listener "
         "'clients' at line 18 (move one)\n"},
        {"bind: 127.0.0.1\n    port: 19092\n    advertised_host: localhost\n"
         "    node_base_port: 19100\n    mechanisms: [SCRAM-SHA-512]",
         "bind: 10.0.0.1\n    port: 19092\n    advertised_host: localhost\n"
         "    node_base_port: 19100\n    mechanisms: [PLAIN]",
         "24:17: PLAIN without TLS on '10.0.0.1' shows passwords to the network (add 'tls', bind "
         "to loopback, or set 'allow_plain_without_tls: true')\n"},
        {"[SCRAM-SHA-512]", "[]",
         "18:5: listener has no way to log in (give 'mechanisms', or 'tls' with 'client_auth: "
         "required')\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    tls: {chain: c, key: k, client_auth: required, client_ca: a}\n"
         "    session_lifetime_ms: 1000\n",
         "25:26: 'session_lifetime_ms' has no use without 'mechanisms': a login by certificate "
         "cannot be renewed (remove it)\n"},
        {"    mechanisms: [SCRAM-SHA-512]\n",
         "    tls: {chain: c, key: k, client_auth: required}\n",
         "24:42: 'client_auth: required' needs 'client_ca' (name the authorities' file)\n"},
        {"users: {file: u.yaml}", "users: {file: ''}",
         "24:17: 'mechanisms' needs users to verify clients against (set 'users.file')\n"},
        {"'127.0.0.1:9092'", "'localhost:19092', '127.0.0.1:19101'",
         "10:17: broker 'localhost' port 19092 is Setu's own listener 'clients' at line 18 (name "
         "the broker itself, or move the listener)\n"
         "10:36: broker '127.0.0.1' port 19101 is Setu's own listener 'clients' at line 18 (name "
         "the broker itself, or move the listener)\n"},
        {"protocol: SSL\n        login: mapped-certificate\n        tls: {ca: ca.pem}\n"
         "listeners:\n  - name: clients\n    cluster: main\n    bind: 127.0.0.1\n    port: 19092\n"
         "    advertised_host: localhost\n    node_base_port: 19100\n"
         "    mechanisms: [SCRAM-SHA-512]\n",
         "protocol: SASL_PLAINTEXT\n        login: passthrough\n"
         "listeners:\n  - name: clients\n    cluster: main\n    bind: 127.0.0.1\n    port: 19092\n"
         "    advertised_host: localhost\n    node_base_port: 19100\n"
         "    mechanisms: [SCRAM-SHA-512, GSSAPI]\n",
         "11:15: warning: Setu itself cannot log in to brokers of generation 'ajna' (add "
         "'identity.sasl')\n"
         "23:17: generation 'ajna' passes the client's SASL login through, where whose token it is "
         "would be the broker's secret (take GSSAPI out, or use another login there)\n"},
        {"protocol: SSL\n        login: mapped-certificate\n        tls: {ca: ca.pem}\n"
         "listeners:\n  - name: clients\n    cluster: main\n    bind: 127.0.0.1\n    port: 19092\n"
         "    advertised_host: localhost\n    node_base_port: 19100\n"
         "    mechanisms: [SCRAM-SHA-512]\n",
         "protocol: SASL_PLAINTEXT\n        login: passthrough\n"
         "listeners:\n  - name: clients\n    cluster: main\n    bind: 127.0.0.1\n    port: 19092\n"
         "    advertised_host: localhost\n    node_base_port: 19100\n"
         "    tls: {chain: c, key: k, client_ca: a, client_auth: required}\n",
         "11:15: warning: Setu itself cannot log in to brokers of generation 'ajna' (add "
         "'identity.sasl')\n"
         "18:14: generation 'ajna' passes the client's SASL login through, but this listener "
         "offers none (give 'mechanisms')\n"},
    };
    CHECK(refusals);
}

static bool plain_is_accepted(const char *bind, const char *more)
{
    char to[256];
    bool accepted = false;
    snprintf(to, sizeof to,
             "    bind: %s\n    port: 19092\n    advertised_host: localhost\n"
             "    node_base_port: 19100\n    mechanisms: [SCRAM-SHA-512, PLAIN]\n%s",
             bind, more);
    char *text = replaced("    bind: 127.0.0.1\n    port: 19092\n    advertised_host: localhost\n"
                          "    node_base_port: 19100\n    mechanisms: [SCRAM-SHA-512]\n",
                          to);
    char *printed = problems_of(text, strlen(text), &accepted);
    cr_assert_eq(accepted, strstr(printed, "PLAIN without TLS on") == NULL, "%s", printed);
    cr_assert(accepted || strchr(printed, '\n') == strrchr(printed, '\n'), "%s", printed);
    free(printed);
    free(text);
    return accepted;
}

Test(conf_refusals, t31_plain_without_tls_needs_loopback_or_a_word_of_the_operator)
{
    static const char *const open[] = {"0.0.0.0",      "'::'",
                                       "10.0.0.1",     "192.168.1.1",
                                       "'fe80::1'",    "'::ffff:10.0.0.1'",
                                       "128.0.0.1",    "[127.0.0.1, 10.0.0.1]",
                                       "['::1', 10.0.0.1]"};
    static const char *const closed[] = {"127.0.0.1", "127.9.9.9", "'::1'", "[127.0.0.1, '::1']"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        cr_assert_not(plain_is_accepted(open[i], ""), "%s", open[i]);
        cr_assert_not(plain_is_accepted(open[i], "    allow_plain_without_tls: false\n"));
        cr_assert(plain_is_accepted(open[i], "    allow_plain_without_tls: true\n"), "%s", open[i]);
        cr_assert(plain_is_accepted(open[i], "    tls: {chain: c, key: k}\n"), "%s", open[i]);
    }
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        cr_assert(plain_is_accepted(closed[i], ""), "%s", closed[i]);
    }
}

Test(conf_refusals, limits)
{
    static const struct refusal refusals[] = {
        {"users:", "limits: {frame_max_bytes: 100000, login_frame_max_bytes: 100001}\nusers:",
         "5:27: 'rewrite_max_bytes' is larger than 'frame_max_bytes', which is 100000 (lower "
         "it)\n"
         "5:58: 'login_frame_max_bytes' is larger than 'frame_max_bytes', which is 100000 (lower "
         "it)\n"},
        {"users:", "limits: {connections: 5, connections_per_address: 6}\nusers:",
         "5:51: 'connections_per_address' is larger than 'connections', which is 5 (lower it)\n"},
        {"users:", "ledger: {directory: l}\nintegrity: {crc: off}\nusers:",
         "6:18: 'integrity.crc' is off, so the ledger could prove nothing (set 'observe' or "
         "'enforce', or remove 'ledger')\n"},
        {"users:", "workers: 0\nusers:", "5:10: 'workers' is out of range (from 1 to 256)\n"},
    };
    CHECK(refusals);
}

/* T50: an older file that switched the check off is not served as if it had not. */
Test(conf_refusals, host_names_are_always_checked)
{
    static const struct refusal refusals[] = {
        {"tls: {ca: ca.pem}", "tls: {ca: ca.pem, verify_hostname: false}",
         "16:27: 'verify_hostname' is no longer a key and cannot be 'false': a broker's "
         "certificate must always name the host that was dialled (remove it)\n"},
        {"tls: {ca: ca.pem}", "tls: {ca: ca.pem, verify_hostname: 'false'}",
         "16:44: 'verify_hostname' must be true or false (without quotes)\n"},
        {"tls: {ca: ca.pem}", "tls: {ca: ca.pem, verify_hostname: {}}",
         "16:44: 'verify_hostname' is a map of keys (must be true or false)\n"},
        {"tls: {ca: ca.pem}", "tls: {ca: ca.pem, verify_hostnames: false}",
         "16:27: unknown key 'verify_hostnames' (remove it; the keys here are in REFERENCE.md)\n"},
        {"principal: orders, certificate: orders",
         "principal: orders, certificate: orders, verify_hostname: false",
         "7:46: unknown key 'verify_hostname' (remove it; the keys here are in REFERENCE.md)\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, warnings_do_not_refuse)
{
    static const struct refusal warnings[] = {
        {"audit: {file: a.log}", "audit: {}",
         "warning: security decisions are not recorded (set 'audit.file')\n"},
        {"tls: {ca: ca.pem}", "tls: {ca: ca.pem, verify_hostname: true}",
         "16:27: warning: 'verify_hostname' is no longer a key: a broker's certificate must always "
         "name the host that was dialled (remove it)\n"},
        {"principal: orders", "principal: 'o*'",
         "7:17: warning: 'principal' is taken literally, also '*' and '?' (a pattern is written "
         "as 'principal_glob')\n"},
        {"    identity: {certificate: setu}\n", "",
         "4:12: warning: certificate 'setu' is used nowhere (use it or remove it)\n"
         "9:5: warning: Setu itself cannot log in to brokers of generation 'ajna' (set "
         "'identity.certificate')\n"},
        {"mapping:\n  - {principal: orders, certificate: orders}", "mapping: []",
         "3:12: warning: certificate 'orders' is used nowhere (use it or remove it)\n"
         "6:10: warning: no principal is mapped to a certificate, so every client is denied (add "
         "rules to 'mapping')\n"},
        {"        tls: {ca: ca.pem}\n",
         "        tls: {ca: ca.pem}\n      - {name: b, protocol: PLAINTEXT, login: none}\n",
         "17:9: warning: generation is never taken: 'ajna' at line 13 matches every broker (put "
         "that one last, or give it a 'match')\n"
         "17:47: warning: brokers of generation 'b' see every client as ANONYMOUS (another login "
         "tells them who it is)\n"},
    };
    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++) {
        check_refusal(&warnings[i], true);
    }
}

Test(conf_refusals, a_file_that_is_no_map)
{
    bool accepted = true;
    char *printed = problems_of("- a\n", 4, &accepted);
    cr_assert_str_eq(printed, "warning: security decisions are not recorded (set 'audit.file')\n"
                              "1:1: the file must hold a map: lines of 'key: value'\n");
    cr_assert_not(accepted);
    free(printed);
}

Test(conf_refusals, every_problem_is_reported_in_the_order_of_the_file)
{
    static const char bad[] = "wrokers: 1\n"
                              "log: {level: loud, fromat: json}\n"
                              "limits: {connections: many}\n"
                              "clusters: main\n"
                              "listeners: [{port: 99999}]\n";
    bool accepted = true;
    char *printed = problems_of(bad, strlen(bad), &accepted);
    cr_assert_not(accepted);
    const char *const wanted[] = {
        "1:1: unknown key 'wrokers'",          "2:14: 'level' has no value 'loud'",
        "2:20: unknown key 'fromat'",          "3:23: 'connections' must be a whole number",
        "4:11: 'clusters' is a single value",  "5:13: missing key 'name'",
        "5:13: missing key 'cluster'",         "5:13: missing key 'bind'",
        "5:13: missing key 'advertised_host'", "5:13: missing key 'node_base_port'",
        "5:20: 'port' is out of range",
    };
    const char *at = printed;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *found = strstr(at, wanted[i]);
        cr_assert_not_null(found, "%s\nin\n%s", wanted[i], printed);
        at = found + 1;
    }
    free(printed);
}

/* --- tokens, and keys that are passed on --- */

#define OFFERED "    mechanisms: [SCRAM-SHA-512]\n"
#define OAUTH "oauth: {jwks_file: j, issuer: i, audience: a"
#define RELAY "protocol: SASL_SSL\n        login: scram-relay\n        tls: {ca: ca.pem}\n"
#define AJNA "protocol: SSL\n        login: mapped-certificate\n        tls: {ca: ca.pem}\n"
#define NO_IDENTITY                                                                                \
    "11:15: warning: Setu itself cannot log in to brokers of generation 'ajna' (add "              \
    "'identity.sasl')\n"

Test(conf_refusals, tokens)
{
    static const struct refusal refusals[] = {
        {OFFERED, "    mechanisms: [OAUTHBEARER]\n" OAUTH ", clock_skew_ms: 600001}\n",
         "25:62: 'clock_skew_ms' is out of range (from 0 to 600000)\n"},
        {OFFERED, "    mechanisms: [OAUTHBEARER]\noauth: {issuer: i, audience: a}\n",
         "24:17: OAUTHBEARER needs keys to verify tokens with (set 'oauth.jwks_file')\n"},
        {"    bind: 127.0.0.1\n    port: 19092\n    advertised_host: localhost\n"
         "    node_base_port: 19100\n    mechanisms: [SCRAM-SHA-512]\n",
         "    bind: 192.0.2.1\n    port: 19092\n    advertised_host: localhost\n"
         "    node_base_port: 19100\n    mechanisms: [OAUTHBEARER]\n" OAUTH "}\n",
         "24:17: OAUTHBEARER without TLS on '192.0.2.1' shows tokens to the network (add 'tls', "
         "bind to loopback, or set 'allow_plain_without_tls: true')\n"},
    };
    CHECK(refusals);
}

Test(conf_refusals, tokens_that_say_more_than_they_should)
{
    static const struct refusal warnings[] = {
        {OFFERED, "    mechanisms: [OAUTHBEARER]\n" OAUTH "}\n", ""},
        {OFFERED, "    mechanisms: [OAUTHBEARER]\noauth: {jwks_file: j}\n",
         "25:20: warning: tokens of any issuer are taken that has a key in the key set (set "
         "'oauth.issuer')\n"
         "25:20: warning: tokens that were meant for other services are taken too (set "
         "'oauth.audience')\n"},
        {OFFERED, "    mechanisms: [SCRAM-SHA-512]\n" OAUTH "}\n",
         "25:20: warning: no listener offers OAUTHBEARER (add it to 'mechanisms', or remove "
         "'oauth')\n"},
        {OFFERED, "    mechanisms: [OAUTHBEARER]\n" OAUTH ", allow_unsecured_jws: true}\n",
         "25:68: warning: ANYBODY CAN LOG IN AS ANYBODY: tokens without a signature are believed "
         "(remove 'allow_unsecured_jws')\n"},
    };
    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++) {
        check_refusal(&warnings[i], true);
    }
}

Test(conf_refusals, a_token_login_alone_needs_no_users)
{
    char *text = replaced("users: {file: u.yaml}\n", OAUTH "}\n");
    char *at = strstr(text, "SCRAM-SHA-512");
    memcpy(at, "OAUTHBEARER  ", 13);
    bool accepted = false;
    char *printed = problems_of(text, strlen(text), &accepted);
    cr_assert_str_eq(printed, "");
    cr_assert(accepted);
    free(printed);
    free(text);
}

Test(conf_refusals, relayed_keys)
{
    static const struct refusal refusals[] = {
        {"login: mapped-certificate", "login: scram-relay",
         "15:16: login 'scram-relay' does not go with protocol SSL (use SASL_PLAINTEXT or "
         "SASL_SSL)\n"},
        {AJNA, RELAY "        sasl: {mechanism: PLAIN, credentials_file: c}\n",
         NO_IDENTITY "17:15: section 'sasl' has no use with login 'scram-relay' (remove it, or use "
                     "login: sasl)\n"},
    };
    static const struct refusal warnings[] = {{AJNA, RELAY, NO_IDENTITY}};
    CHECK(refusals);
    check_refusal(&warnings[0], true);
}
