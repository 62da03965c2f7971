/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "proxy/cli/audit_format.h"

/* Header fields escape | and \, values = and \; line ends are escaped before. */
static void put_escaped(FILE *out, const char *text, char special)
{
    char safe[AUDIT_FORMAT_TEXT_SIZE];
    for (const char *at = audit_format_safe(text, safe); *at != '\0'; at++) {
        if (*at == '\\' || *at == special) {
            fputc('\\', out);
        }
        fputc(*at, out);
    }
}

static void put(FILE *out, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        fprintf(out, " %s=", key);
        put_escaped(out, text, '=');
    }
}

/* A field of our own: csN and csNLabel. */
static void put_custom(FILE *out, int number, const char *label, const char *text)
{
    char key[16];
    if (text[0] != '\0') {
        snprintf(key, sizeof key, "cs%dLabel", number);
        put(out, key, label);
        snprintf(key, sizeof key, "cs%d", number);
        put(out, key, text);
    }
}

static void put_address(FILE *out, const char *address, const char *ip, const char *name,
                        const char *port)
{
    char host[256];
    int number = 0;
    if (address[0] == '\0') {
        return;
    }
    audit_format_address(address, host, &number);
    const bool v4 = strspn(host, "0123456789.") == strlen(host);
    /* src and dst are IPv4 in CEF 0; IPv6 has no short key. */
    put(out, v4 ? ip : name, host);
    if (number > 0) {
        fprintf(out, " %s=%d", port, number);
    }
}

void audit_format_cef(const struct audit_record *record, FILE *out)
{
    const struct audit_event *event = &record->event;
    const char severity = audit_format_severity(record);
    char name[64];
    fprintf(out, "CEF:0|Setu|Setu|" SETU_VERSION "|");
    put_escaped(out, record->code, '|');
    fputc('|', out);
    put_escaped(out, event->code != 0 ? audit_code_meaning(event->code) : "unknown event", '|');
    fprintf(out, "|%d|rt=%" PRId64,
            severity == 'I'   ? 2
            : severity == 'W' ? 6
                              : 8,
            event->time_ns / 1000000);
    fprintf(out, " externalId=%" PRIu64, record->seq);
    put(out, "cat", audit_format_event(record, name));
    put(out, "dvchost", record->instance);
    put(out, "outcome", audit_outcome_name(event->outcome));
    put(out, "reason", event->reason);
    put(out, "msg", event->detail);
    put(out, "suser", event->principal);
    put_address(out, event->client_address, "src", "shost", "spt");
    put(out, "duser", event->certificate);
    put_address(out, event->broker_address, "dst", "dhost", "dpt");
    put(out, "app", event->mechanism);
    put_custom(out, 1, "rule", event->rule);
    put_custom(out, 2, "certificateSubject", event->certificate_subject);
    put_custom(out, 3, "certificateFingerprint", event->certificate_fingerprint);
    put_custom(out, 4, "generation", event->generation);
    put_custom(out, 5, "mappingHash", event->mapping_hash);
    put_custom(out, 6, "configHash", event->config_hash);
    if (event->session_id != 0) {
        fprintf(out, " cn1Label=session cn1=%" PRIu64, event->session_id);
    }
    if (event->count != 0) {
        fprintf(out, " cnt=%" PRIu64, event->count);
    }
    fputc('\n', out);
}
