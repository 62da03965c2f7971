/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/broker/profile.h"

static const char help[] =
    "Usage: setu-test-broker --id N (--plain|--sasl|--ssl|--sasl-ssl) HOST:PORT [OPTION]…\n"
    "A small scripted Kafka broker for the tests of Setu.\n"
    "\n"
    "  --id N                  own node id\n"
    "  --node N=HOST:PORT      another node of the cluster; may be repeated. Partition p is led "
    "by\n"
    "                          node number p modulo count, in the order of the ids\n"
    "  --plain HOST:PORT       listen without login or TLS; port 0: any (all four may be "
    "repeated)\n"
    "  --sasl HOST:PORT        listen with SASL (needs --users)\n"
    "  --ssl HOST:PORT         listen with TLS and client certificates (needs --ca --chain --key)\n"
    "  --sasl-ssl HOST:PORT    listen with TLS and SASL (needs --users --chain --key)\n"
    "  --users FILE            users file in Setu's form\n"
    "  --ca FILE, --chain FILE, --key FILE   PEM files\n"
    "  --profile NAME          ApiVersions: 2.8, 3.9, 4.4 (default 3.9), or future (4.4 and what\n"
    "                          nobody knows yet)\n"
    "  --topic NAME[:P]        a topic of P partitions (default 1)\n"
    "  --source NAME:BYTES     a topic of 1 partition each Fetch of which yields BYTES of "
    "records,\n"
    "                          endlessly\n"
    "  --many-topics N         N more topics of 3 partitions\n"
    "  --partitions P          of topics made on demand (default 1; 0: none are made)\n"
    "  --keep MIB              keep so much of each partition for Fetch (default 0)\n"
    "  --slow BYTES            send at most so many bytes a second on each connection with a\n"
    "                          login; 1000, the least, is a byte at a time\n"
    "  --session MS            a SASL login lasts so long, and can be renewed (KIP-368)\n"
    "  --fault SPEC            misbehave; may be repeated, the first that fits is taken:\n"
    "                          [api=NAME,][principal=NAME,][nth=N,]do=ACTION[:N]\n"
    "                          api: a Kafka API, accept, or refusal (of a certificate: rst);\n"
    "                          nth: only the nth time it fits\n"
    "%s"
    "  --control               commands on standard input: \"fault SPEC\", \"clear\", \"quit\",\n"
    "                          \"peak\": the most connections that were logging in at a time,\n"
    "                          \"door sasl\", \"door ssl\", …: doors with a login become such\n"
    "  --trace                 print every request\n"
    "  --help\n"
    "\n"
    "Prints one line a fact: listening…, login…, fault…, produced…; \"ready\" once it listens.\n";

static bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("setu-test-broker: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs(" (see --help)\n", stderr);
    va_end(arguments);
    return false;
}

static bool parse_number(const char *text, long long min, long long max, long long *value_r)
{
    char *end = NULL;
    errno = 0;
    *value_r = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *value_r < min || *value_r > max) {
        return fail("%s is no number from %lld to %lld", text, min, max);
    }
    return true;
}

static bool parse_address(const char *text, struct address *address_r)
{
    long long port = 0;
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    if (length == 0 || length >= sizeof address_r->host) {
        return fail("%s is not HOST:PORT", text);
    }
    memcpy(address_r->host, text, length);
    address_r->host[length] = '\0';
    if (!parse_number(colon + 1, 0, 65535, &port)) {
        return false;
    }
    address_r->port = (int)port;
    return true;
}

static bool parse_node(struct options *o, const char *text)
{
    char id[16] = "";
    long long number = 0;
    const char *equals = strchr(text, '=');
    if (equals == NULL || (size_t)(equals - text) >= sizeof id) {
        return fail("%s is not N=HOST:PORT", text);
    }
    if (o->node_count == OPTIONS_NODES_MAX) {
        return fail("more than %d nodes", OPTIONS_NODES_MAX);
    }
    memcpy(id, text, (size_t)(equals - text));
    struct node_option *node = &o->nodes[o->node_count++];
    if (!parse_number(id, 0, INT32_MAX, &number)) {
        return false;
    }
    node->id = (int32_t)number;
    return parse_address(equals + 1, &node->address);
}

static bool parse_door(struct options *o, enum door_kind kind, const char *text)
{
    if (o->door_count == OPTIONS_DOORS_MAX) {
        return fail("more than %d listeners", OPTIONS_DOORS_MAX);
    }
    struct door_option *door = &o->doors[o->door_count++];
    door->kind = kind;
    return parse_address(text, &door->address);
}

/* NAME[:N]; the colon in argv becomes the name's end. */
static bool parse_topic(struct options *o, char *text, bool source)
{
    long long number = 1;
    char *colon = strrchr(text, ':');
    if (o->topic_count == OPTIONS_TOPICS_MAX) {
        return fail("more than %d topics", OPTIONS_TOPICS_MAX);
    }
    if (source && colon == NULL) {
        return fail("%s is not NAME:BYTES", text);
    }
    if (colon != NULL && !parse_number(colon + 1, 1, source ? INT32_MAX : 100000, &number)) {
        return false;
    }
    if (colon != NULL) {
        *colon = '\0';
    }
    struct topic_option *topic = &o->topics[o->topic_count++];
    topic->name = text;
    topic->partitions = source ? 0 : (int32_t)number;
    topic->source_bytes = source ? (size_t)number : 0;
    return true;
}

enum option_id {
    OPTION_HELP = 256,
    OPTION_ID,
    OPTION_NODE,
    OPTION_PLAIN,
    OPTION_SASL,
    OPTION_SSL,
    OPTION_SASL_SSL,
    OPTION_USERS,
    OPTION_CA,
    OPTION_CHAIN,
    OPTION_KEY,
    OPTION_PROFILE,
    OPTION_TOPIC,
    OPTION_SOURCE,
    OPTION_MANY_TOPICS,
    OPTION_PARTITIONS,
    OPTION_KEEP,
    OPTION_SLOW,
    OPTION_SESSION,
    OPTION_FAULT,
    OPTION_CONTROL,
    OPTION_TRACE
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"id", required_argument, NULL, OPTION_ID},
    {"node", required_argument, NULL, OPTION_NODE},
    {"plain", required_argument, NULL, OPTION_PLAIN},
    {"sasl", required_argument, NULL, OPTION_SASL},
    {"ssl", required_argument, NULL, OPTION_SSL},
    {"sasl-ssl", required_argument, NULL, OPTION_SASL_SSL},
    {"users", required_argument, NULL, OPTION_USERS},
    {"ca", required_argument, NULL, OPTION_CA},
    {"chain", required_argument, NULL, OPTION_CHAIN},
    {"key", required_argument, NULL, OPTION_KEY},
    {"profile", required_argument, NULL, OPTION_PROFILE},
    {"topic", required_argument, NULL, OPTION_TOPIC},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"many-topics", required_argument, NULL, OPTION_MANY_TOPICS},
    {"partitions", required_argument, NULL, OPTION_PARTITIONS},
    {"keep", required_argument, NULL, OPTION_KEEP},
    {"slow", required_argument, NULL, OPTION_SLOW},
    {"session", required_argument, NULL, OPTION_SESSION},
    {"fault", required_argument, NULL, OPTION_FAULT},
    {"control", no_argument, NULL, OPTION_CONTROL},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {NULL, 0, NULL, 0},
};

static bool parse_file(const char **file_r, const char *path)
{
    *file_r = path;
    return true;
}

static bool parse_int32(int32_t *value_r, const char *text)
{
    long long number = 0;
    bool good = parse_number(text, 0, INT32_MAX, &number);
    *value_r = (int32_t)number;
    return good;
}

static bool parse_keep(struct options *o, const char *text)
{
    long long mib = 0;
    bool good = parse_number(text, 0, 4096, &mib);
    o->keep_bytes = (size_t)mib * 1024 * 1024;
    return good;
}

static bool parse_slow(struct options *o, const char *text)
{
    long long rate = 0;
    bool good = parse_number(text, 1000, INT32_MAX, &rate);
    o->slow_bytes_per_s = (uint64_t)rate;
    return good;
}

static bool parse_session(struct options *o, const char *text)
{
    long long ms = 0;
    bool good = parse_number(text, 1, INT32_MAX, &ms);
    o->session_ms = (uint64_t)ms;
    return good;
}

static bool parse_fault(struct options *o, const char *text)
{
    char error[128];
    return faults_add(&o->faults, text, error, sizeof error) || fail("--fault %s: %s", text, error);
}

static bool options_take(struct options *o, int id, char *value)
{
    switch (id) {
    case OPTION_ID:
        return parse_int32(&o->node_id, value);
    case OPTION_NODE:
        return parse_node(o, value);
    case OPTION_PLAIN:
        return parse_door(o, DOOR_PLAIN, value);
    case OPTION_SASL:
        return parse_door(o, DOOR_SASL, value);
    case OPTION_SSL:
        return parse_door(o, DOOR_SSL, value);
    case OPTION_SASL_SSL:
        return parse_door(o, DOOR_SASL_SSL, value);
    case OPTION_USERS:
        return parse_file(&o->users, value);
    case OPTION_CA:
        return parse_file(&o->ca, value);
    case OPTION_CHAIN:
        return parse_file(&o->chain, value);
    case OPTION_KEY:
        return parse_file(&o->key, value);
    case OPTION_PROFILE:
        o->profile = value;
        return profile_known(value) || fail("no profile %s", value);
    case OPTION_TOPIC:
        return parse_topic(o, value, false);
    case OPTION_SOURCE:
        return parse_topic(o, value, true);
    case OPTION_MANY_TOPICS:
        return parse_int32(&o->many_topics, value);
    case OPTION_PARTITIONS:
        return parse_int32(&o->partitions, value);
    case OPTION_KEEP:
        return parse_keep(o, value);
    case OPTION_SLOW:
        return parse_slow(o, value);
    case OPTION_SESSION:
        return parse_session(o, value);
    case OPTION_FAULT:
        return parse_fault(o, value);
    case OPTION_CONTROL:
        o->control = true;
        return true;
    case OPTION_TRACE:
        o->trace = true;
        return true;
    default:
        return false; /* getopt has spoken */
    }
}

static bool options_complete(const struct options *o)
{
    if (o->node_id < 0) {
        return fail("--id is missing");
    }
    if (o->door_count == 0) {
        return fail("no listener: give --plain, --sasl, --ssl or --sasl-ssl");
    }
    for (size_t i = 0; i < o->door_count; i++) {
        enum door_kind kind = o->doors[i].kind;
        bool tls = kind == DOOR_SSL || kind == DOOR_SASL_SSL;
        bool sasl = kind == DOOR_SASL || kind == DOOR_SASL_SSL;
        if (sasl && o->users == NULL) {
            return fail("--%s needs --users", options_kind_name(kind));
        }
        if (tls && (o->chain == NULL || o->key == NULL || (kind == DOOR_SSL && o->ca == NULL))) {
            return fail("--%s needs --chain and --key, and --ssl also --ca",
                        options_kind_name(kind));
        }
    }
    return true;
}

bool options_parse(struct options *o, int argc, char **argv, int *status_r)
{
    *o = (struct options){.node_id = -1, .partitions = 1, .profile = "3.9"};
    *status_r = 2;
    for (;;) {
        int id = getopt_long(argc, argv, "", long_options, NULL);
        if (id == -1) {
            break;
        }
        if (id == OPTION_HELP) {
            printf(help, faults_help());
            *status_r = 0;
            return false;
        }
        if (!options_take(o, id, optarg)) {
            return false;
        }
    }
    return optind == argc ? options_complete(o) : fail("unexpected argument %s", argv[optind]);
}

const char *options_kind_name(enum door_kind kind)
{
    static const char *const names[] = {"plain", "sasl", "ssl", "sasl-ssl"};
    return names[kind];
}
