/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proxy/cli/audit_format.h"
#include "proxy/cli/audit_kind.h"
#include "proxy/cli/cli_out.h"

enum {
    CLASS_AUTHENTICATION = 3002,
    CLASS_INVENTORY = 5001,
    CLASS_CONFIG_STATE = 5002,
    CLASS_LIFECYCLE = 6002,
    ACTIVITY_SWITCH = 7,
    ACTIVITY_OTHER = 99,
};

/* What an event is in OCSF's words. */
struct kind {
    int class, activity;
    const char *activity_name;
};

static const struct kind kinds[AUDIT_KINDS] = {
    [AUDIT_KIND_OTHER] = {CLASS_LIFECYCLE, ACTIVITY_OTHER, "Other"},
    [AUDIT_KIND_LOGON] = {CLASS_AUTHENTICATION, 1, "Logon"},
    [AUDIT_KIND_LOGOFF] = {CLASS_AUTHENTICATION, 2, "Logoff"},
    [AUDIT_KIND_MAPPING] = {CLASS_AUTHENTICATION, ACTIVITY_SWITCH, "Account Switch"},
    [AUDIT_KIND_REQUEST] = {CLASS_AUTHENTICATION, ACTIVITY_OTHER, "Request Refused"},
    [AUDIT_KIND_GENERATION] = {CLASS_INVENTORY, 2, "Collect"},
    [AUDIT_KIND_CONFIGURATION] = {CLASS_CONFIG_STATE, 1, "Log"},
    [AUDIT_KIND_ADMIN] = {CLASS_LIFECYCLE, ACTIVITY_OTHER, "Other"},
    [AUDIT_KIND_START] = {CLASS_LIFECYCLE, 3, "Start"},
    [AUDIT_KIND_STOP] = {CLASS_LIFECYCLE, 4, "Stop"},
};

static int severity_id(const struct audit_record *record)
{
    const char severity = audit_format_severity(record);
    return severity == 'I' ? 1 : severity == 'W' ? 3 : 4;
}

static int status_id(enum audit_outcome outcome)
{
    return outcome == AUDIT_ALLOWED ? 1 : outcome == AUDIT_OUTCOME_NONE ? 0 : 2;
}

static int protocol_id(const char *mechanism)
{
    return strcmp(mechanism, "GSSAPI") == 0        ? 2
           : strcmp(mechanism, "OAUTHBEARER") == 0 ? 6
           : mechanism[0] == '\0'                  ? 0
                                                   : 99;
}

static json_t *endpoint(const char *address)
{
    char host[256];
    int port = 0;
    json_t *row = json_object();
    audit_format_address(address, host, &port);
    audit_format_set(row, audit_format_is_ip(host) ? "ip" : "hostname", host);
    if (port > 0) {
        json_object_set_new(row, "port", json_integer(port));
    }
    return row;
}

static json_t *user(const char *name)
{
    json_t *row = json_object();
    json_object_set_new(row, "name", cli_out_string(name[0] != '\0' ? name : "unknown"));
    return row;
}

static json_t *product(void)
{
    return json_pack("{s:s, s:s, s:s}", "name", "Setu", "vendor_name", "Setu", "version",
                     SETU_VERSION);
}

/* Who becomes whom: after a mapping the user is the certificate, and the actor who was mapped. */
static void set_people(json_t *row, const struct audit_event *event, int activity)
{
    const bool mapped = activity == ACTIVITY_SWITCH && event->certificate[0] != '\0';
    const char *shown =
        event->certificate_subject[0] != '\0' ? event->certificate_subject : event->certificate;
    json_object_set_new(row, "user", user(mapped ? shown : event->principal));
    if (mapped) {
        json_object_set_new(row, "actor", json_pack("{s:o}", "user", user(event->principal)));
    }
}

static void set_authentication(json_t *row, const struct audit_event *event, int activity)
{
    set_people(row, event, activity);
    json_object_set_new(row, "auth_protocol_id", json_integer(protocol_id(event->mechanism)));
    audit_format_set(row, "auth_protocol", event->mechanism);
    if (event->client_address[0] != '\0') {
        json_object_set_new(row, "src_endpoint", endpoint(event->client_address));
    }
    if (event->broker_address[0] != '\0') {
        json_object_set_new(row, "dst_endpoint", endpoint(event->broker_address));
    }
    json_t *service = json_object();
    audit_format_set(service, "name", event->cluster[0] != '\0' ? event->cluster : "kafka");
    json_object_set_new(row, "service", service);
    if (event->session_id != 0) {
        char id[24];
        snprintf(id, sizeof id, "%llu", (unsigned long long)event->session_id);
        json_object_set_new(row, "session", json_pack("{s:s}", "uid", id));
    }
}

static void set_device(json_t *row, const struct audit_record *record)
{
    const struct audit_event *event = &record->event;
    json_t *device =
        event->broker_address[0] != '\0' ? endpoint(event->broker_address) : json_object();
    json_object_del(device, "port");
    json_object_set_new(device, "type_id", json_integer(1)); /* a server */
    if (event->broker_address[0] == '\0') {
        audit_format_set(device, "hostname",
                         record->instance[0] != '\0' ? record->instance : "unknown");
    } else {
        char uid[24];
        snprintf(uid, sizeof uid, "%d", event->broker_node);
        json_object_set_new(device, "uid", json_string(uid));
    }
    json_object_set_new(row, "device", device);
}

static json_t *metadata(const struct audit_record *record)
{
    char uid[160];
    json_t *row = json_pack("{s:s, s:o}", "version", "1.4.0", "product", product());
    snprintf(uid, sizeof uid, "%s:%llu", record->instance, (unsigned long long)record->seq);
    audit_format_set(row, "event_code", record->code);
    audit_format_set(row, "uid", uid);
    json_object_set_new(row, "sequence", json_integer((json_int_t)record->seq));
    json_object_set_new(row, "log_name", json_string("audit"));
    return row;
}

void audit_format_ocsf(const struct audit_record *record, FILE *out)
{
    static const char *const severities[] = {"Unknown", "Informational", "Low", "Medium", "High"};
    static const char *const statuses[] = {"Unknown", "Success", "Failure"};
    const struct audit_event *event = &record->event;
    const struct kind *kind = &kinds[audit_kind_of(event->code)];
    json_t *row = json_object();
    json_object_set_new(row, "class_uid", json_integer(kind->class));
    json_object_set_new(row, "category_uid", json_integer(kind->class / 1000));
    json_object_set_new(row, "activity_id", json_integer(kind->activity));
    json_object_set_new(row, "activity_name", json_string(kind->activity_name));
    json_object_set_new(row, "type_uid",
                        json_integer((json_int_t)kind->class * 100 + kind->activity));
    json_object_set_new(row, "time", json_integer(event->time_ns / 1000000));
    json_object_set_new(row, "severity_id", json_integer(severity_id(record)));
    json_object_set_new(row, "severity", json_string(severities[severity_id(record)]));
    json_object_set_new(row, "status_id", json_integer(status_id(event->outcome)));
    json_object_set_new(row, "status", json_string(statuses[status_id(event->outcome)]));
    audit_format_set(row, "status_code", event->reason);
    audit_format_set(row, "status_detail", event->detail);
    audit_format_set(row, "message", audit_code_meaning(event->code));
    json_object_set_new(row, "metadata", metadata(record));
    if (kind->class == CLASS_AUTHENTICATION) {
        set_authentication(row, event, kind->activity);
    } else if (kind->class == CLASS_LIFECYCLE) {
        json_object_set_new(row, "app", product());
    } else {
        set_device(row, record);
    }
    json_object_set_new(row, "unmapped", audit_format_native(record));
    audit_format_json(row, out);
}
