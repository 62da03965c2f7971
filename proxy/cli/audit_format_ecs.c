/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proxy/cli/audit_format.h"
#include "proxy/cli/audit_kind.h"
#include "proxy/cli/cli_out.h"

/* ECS' words for an event; a NULL ends them early. */
struct kind {
    const char *category, *types[3];
};

static const struct kind kinds[AUDIT_KINDS] = {
    [AUDIT_KIND_OTHER] = {"process", {"info"}},
    [AUDIT_KIND_LOGON] = {"authentication", {"start"}},
    [AUDIT_KIND_LOGOFF] = {"authentication", {"end"}},
    [AUDIT_KIND_MAPPING] = {"authentication", {"info"}},
    [AUDIT_KIND_REQUEST] = {"network", {"connection", "denied", "protocol"}},
    [AUDIT_KIND_GENERATION] = {"host", {"change"}},
    [AUDIT_KIND_CONFIGURATION] = {"configuration", {"change"}},
    [AUDIT_KIND_ADMIN] = {"configuration", {"change"}},
    [AUDIT_KIND_START] = {"process", {"start"}},
    [AUDIT_KIND_STOP] = {"process", {"end"}},
};

static json_t *event_of(const struct audit_record *record)
{
    static const char *const outcomes[] = {"unknown", "success", "failure", "failure"};
    const struct audit_event *event = &record->event;
    const struct kind *kind = &kinds[audit_kind_of(event->code)];
    char name[64];
    json_t *types = json_array();
    for (size_t i = 0; i < 3 && kind->types[i] != NULL; i++) {
        json_array_append_new(types, json_string(kind->types[i]));
    }
    json_t *row = json_object();
    json_object_set_new(row, "kind", json_string("event"));
    json_object_set_new(row, "category", json_pack("[s]", kind->category));
    json_object_set_new(row, "type", types);
    json_object_set_new(row, "action", json_string(audit_format_event(record, name)));
    audit_format_set(row, "code", record->code);
    json_object_set_new(row, "outcome", json_string(outcomes[event->outcome]));
    audit_format_set(row, "reason", event->reason);
    json_object_set_new(row, "module", json_string("setu"));
    json_object_set_new(row, "dataset", json_string("setu.audit"));
    json_object_set_new(row, "sequence", json_integer((json_int_t)record->seq));
    return row;
}

static void set_address(json_t *row, const char *key, const char *address)
{
    char host[256];
    int port = 0;
    if (address[0] == '\0') {
        return;
    }
    json_t *end = json_object();
    audit_format_address(address, host, &port);
    audit_format_set(end, "address", host);
    audit_format_set(end, audit_format_is_ip(host) ? "ip" : "domain", host);
    if (port > 0) {
        json_object_set_new(end, "port", json_integer(port));
    }
    json_object_set_new(row, key, end);
}

static void set_user(json_t *row, const struct audit_event *event)
{
    if (event->principal[0] == '\0') {
        return;
    }
    json_t *user = json_object();
    audit_format_set(user, "name", event->principal);
    if (event->certificate[0] != '\0') {
        json_t *target = json_object();
        audit_format_set(target, "name", event->certificate);
        json_object_set_new(user, "target", target);
    }
    json_object_set_new(row, "user", user);
}

static void set_tls(json_t *row, const struct audit_event *event)
{
    if (event->certificate_subject[0] == '\0' && event->certificate_fingerprint[0] == '\0') {
        return;
    }
    json_t *client = json_object();
    audit_format_set(client, "subject", event->certificate_subject);
    if (event->certificate_fingerprint[0] != '\0') {
        json_t *hash = json_object();
        audit_format_set(hash, "sha256", event->certificate_fingerprint);
        json_object_set_new(client, "hash", hash);
    }
    json_object_set_new(row, "tls", json_pack("{s:o}", "client", client));
}

void audit_format_ecs(const struct audit_record *record, FILE *out)
{
    const struct audit_event *event = &record->event;
    char when[AUDIT_FORMAT_TIME_SIZE];
    json_t *row = json_object();
    json_object_set_new(row, "@timestamp", json_string(audit_format_time(event->time_ns, when)));
    json_object_set_new(row, "ecs", json_pack("{s:s}", "version", "8.11.0"));
    json_object_set_new(row, "event", event_of(record));
    audit_format_set(row, "message",
                     event->detail[0] != '\0' ? event->detail : audit_code_meaning(event->code));
    set_user(row, event);
    set_address(row, "source", event->client_address);
    set_address(row, "destination", event->broker_address);
    set_tls(row, event);
    if (event->rule[0] != '\0') {
        json_t *rule = json_object();
        audit_format_set(rule, "name", event->rule);
        json_object_set_new(row, "rule", rule);
    }
    json_object_set_new(row, "service",
                        json_pack("{s:s, s:s}", "type", "setu", "version", SETU_VERSION));
    if (record->instance[0] != '\0') {
        json_t *host = json_object();
        audit_format_set(host, "name", record->instance);
        json_object_set_new(row, "host", host);
    }
    json_object_set_new(row, "setu", audit_format_native(record));
    audit_format_json(row, out);
}
