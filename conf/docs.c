/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/docs.h"

#include <string.h>

#include "conf/config.h"
#include "conf/dump.h"
#include "conf/keys.h"

/* What the example says beyond defaults: each key that has no default, at least once. */
static const char sample[] =
    "audit: {file: /var/lib/setu/audit.log, signing_key: /etc/setu/audit.key}\n"
    "ledger: {directory: /var/lib/setu/ledger}\n"
    "control: {socket: /run/setu/control.sock}\n"
    "security: {landlock: best_effort, readable: [/var/lib/softhsm], writable: [/var/tmp],\n"
    "           user: setu, group: setu}\n"
    "pkcs11: {module: /usr/lib/softhsm/libsofthsm2.so, pin_file: /etc/setu/token.pin}\n"
    "rotation: {watch: true}\n"
    "certificates:\n"
    "  - {name: setu, chain: /etc/setu/certs/setu.pem, key: /etc/setu/certs/setu.key}\n"
    "  - {name: orders, chain: /etc/setu/certs/orders.pem, key: /etc/setu/certs/orders.key}\n"
    "  - {name: service, chain: /etc/setu/certs/service.pem,\n"
    "     key: 'pkcs11:token=setu;object=service;type=private'}\n"
    "users: {file: /etc/setu/users.yaml, saslauthd: /run/saslauthd/mux}\n"
    "oauth: {jwks_file: /etc/setu/jwks.json, issuer: 'https://login.example', audience: kafka,\n"
    "        scopes: [kafka.use]}\n"
    "mapping:\n"
    "  - {name: orders, principal: orders, certificate: orders,\n"
    "     when: {cluster: main, generation: ajna, listener: [local, aliases],\n"
    "            mechanism: SCRAM-SHA-512},\n"
    "     intended_principal: orders, owner: team-a, ticket: SEC-1,\n"
    "     approver: security, review_by: 2027-01-01}\n"
    "  - {principal_glob: 'svc-*', certificate: service}\n"
    "  - {principal_regex: '^batch-[0-9]+$', certificate: service}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: ['kafka-1.example:9092', '[2001:db8::2]:9092']\n"
    "    allowed_addresses: [10.20.0.0/16, '2001:db8::/64']\n"
    "    identity:\n"
    "      certificate: setu\n"
    "      sasl: {mechanism: SCRAM-SHA-512, username: setu,\n"
    "             password_file: /etc/setu/setu.password}\n"
    "    generations:\n"
    "      - name: legacy\n"
    "        match: {node_ids: '1-3,7', host: '*.old.example', port: 9092, rack: r1}\n"
    "        protocol: SASL_SSL\n"
    "        login: sasl\n"
    "        sasl: {mechanism: SCRAM-SHA-512, credentials_file: /etc/setu/credentials.yaml}\n"
    "        tls: {ca: /etc/setu/ca/legacy.pem, crl: /etc/setu/ca/legacy.crl}\n"
    "      - name: ajna\n"
    "        match: {probe: true}\n"
    "        protocol: SSL\n"
    "        login: mapped-certificate\n"
    "        tls: {ca: /etc/setu/ca/ajna.pem, min_version: '1.3'}\n"
    "        ssl_principal_mapping_rules: 'RULE:^CN=([^,]+),O=Example$/$1/,DEFAULT'\n"
    "        super_users: ['User:admin']\n"
    "        broker_principals: ['User:CN=kafka-1.example,O=Example']\n"
    "  - name: kafka-1\n"
    "    bootstrap: ['kafka-1.example:9094']\n"
    "    follow: false\n"
    "    identity:\n"
    "      certificate: setu\n"
    "      sasl: {mechanism: GSSAPI, username: setu@EXAMPLE.COM, keytab: /etc/setu/setu.keytab}\n"
    "    generations:\n"
    "      - name: ajna\n"
    "        protocol: SSL\n"
    "        login: mapped-certificate\n"
    "        tls: {ca: /etc/setu/ca/ajna.pem}\n"
    "listeners:\n"
    "  - name: local\n"
    "    cluster: main\n"
    "    bind: 127.0.0.1\n"
    "    port: 19092\n"
    "    advertised_host: localhost\n"
    "    node_base_port: 19100\n"
    "    node_ports_max: 500\n"
    "    mechanisms: [SCRAM-SHA-512, SCRAM-SHA-256, OAUTHBEARER, PLAIN]\n"
    "  - name: aliases\n"
    "    cluster: main\n"
    "    bind: ['127.0.0.1', '::1']\n"
    "    port: 9092\n"
    "    node_network: 127.80.0.0/16\n"
    "    mechanisms: [SCRAM-SHA-512]\n"
    "  - name: remote\n"
    "    cluster: main\n"
    "    bind: '::'\n"
    "    port: 29092\n"
    "    advertised_host: setu.example\n"
    "    node_base_port: 29100\n"
    "    tls: {chain: /etc/setu/tls/setu.pem, key: /etc/setu/tls/setu.key,\n"
    "          client_ca: /etc/setu/ca/clients.pem, client_crl: /etc/setu/ca/clients.crl,\n"
    "          client_auth: required,\n"
    "          principal_mapping_rules: 'RULE:^CN=([^,]+),.*$/$1/L,DEFAULT'}\n"
    "  - name: kerberos\n"
    "    cluster: main\n"
    "    bind: '::'\n"
    "    port: 49092\n"
    "    advertised_host: setu.example\n"
    "    node_base_port: 49100\n"
    "    mechanisms: [GSSAPI]\n"
    "    gssapi: {keytab: /etc/setu/kafka.keytab, hosts: [setu.example, kafka.example],\n"
    "             realm: EXAMPLE.COM,\n"
    "             principal_to_local_rules: ['RULE:[2:$1](kafka)s/.*/broker/', DEFAULT]}\n"
    "  - name: kafka-1-replication\n"
    "    role: brokers\n"
    "    cluster: kafka-1\n"
    "    bind: '::'\n"
    "    port: 39094\n"
    "    peers: [replicator, kafka-2.example]\n"
    "    mechanisms: [SCRAM-SHA-512]\n"
    "    tls: {chain: /etc/setu/tls/setu.pem, key: /etc/setu/tls/setu.key, optional: true,\n"
    "          client_ca: /etc/setu/ca/ajna.pem, client_auth: required,\n"
    "          principal_mapping_rules: 'RULE:^CN=([^,]+),.*$/$1/L,DEFAULT'}\n";

bool docs_example(FILE *out)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(sample, strlen(sample), "sample", &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_deinit(&errors);
    if (config == NULL) {
        return false;
    }
    fputs(
        "# An example of a Setu configuration. Generated by conf_docs from the key table; edit a\n"
        "# copy. All times are in milliseconds, all sizes in bytes. Setu refuses unknown keys.\n",
        out);
    dump_config(config, out, true);
    config_unref(&config);
    return true;
}

static const char *type_name(const struct key *key)
{
    static const char *const names[] = {
        [KEY_TEXT] = "text",
        [KEY_BOOL] = "true or false",
        [KEY_INT] = "number",
        [KEY_SIZE] = "number",
        [KEY_MS] = "milliseconds",
        [KEY_CHOICE] = "word",
        [KEY_WORD] = "word",
        [KEY_WORDS] = "list of words",
        [KEY_TEXTS] = "list of texts",
        [KEY_ONE_OR_MORE] = "text, or list of texts",
        [KEY_ADDRESSES] = "list of HOST:PORT",
        [KEY_RANGES] = "text like 1-3,7",
        [KEY_SECTION] = "section",
        [KEY_ITEMS] = "list of sections",
    };
    size_t length = strlen(key->name);
    bool bytes = length > 6 && strcmp(key->name + length - 6, "_bytes") == 0;
    return bytes ? "bytes" : names[key->type];
}

static void reference_key(FILE *out, const struct key *key)
{
    char facts[256];
    dump_key_facts(key, facts, sizeof facts);
    fprintf(out, "| `%s` | %s | %s%s%s |\n", key->name, type_name(key), key->doc,
            facts[0] != '\0' ? " " : "", facts);
}

/* doc is the sentence of the key that holds the section. */
static void reference_section(FILE *out, const struct key_section *section, const char *doc)
{
    fprintf(out, "\n## %s\n\n%s\n\n| key | type | meaning |\n|---|---|---|\n",
            section->path[0] != '\0' ? section->path : "The file", doc);
    for (size_t i = 0; i < section->keys_count; i++) {
        reference_key(out, &section->keys[i]);
    }
    for (size_t i = 0; i < section->keys_count; i++) {
        if (section->keys[i].section != NULL) {
            reference_section(out, section->keys[i].section, section->keys[i].doc);
        }
    }
}

void docs_reference(FILE *out)
{
    fputs("# Configuration reference\n\n"
          "Generated by `conf_docs` from the key table in `conf/keys.c`; a test keeps it equal.\n"
          "A whole file with comments is [setu.example.yaml](setu.example.yaml).\n\n"
          "A key that is not listed here is refused, and so are duplicate keys, anchors, aliases,\n"
          "tags, tabs and values of the wrong type. `\"\"` is the same as leaving a text out. All\n"
          "problems of a file are reported at once, as `file:line:column: what (how to fix)`.\n\n"
          "A file that Setu only reads may be `credential:NAME`: the file NAME of the folder in\n"
          "`$CREDENTIALS_DIRECTORY`, where systemd's `LoadCredential=` puts it.\n",
          out);
    reference_section(out, &keys_root, "What stands at the left margin.");
}
