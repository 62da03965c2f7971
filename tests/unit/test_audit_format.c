/* SPDX-License-Identifier: Apache-2.0 */
/* Each form against a file of what it should be: tests/unit/vectors/audit. SETU_WRITE_VECTORS=1 writes them. */
#include "proxy/cli/audit_format.h"

#include <criterion/criterion.h>
#include <jansson.h>

#include "tests/unit/audit_kit.h"

/* What a peer may claim to be. */
static const char hostile[] =
    "x\n{\"fake\":1}\r\n\"=cmd|'/c calc'!A0,\t|\\ \xe2\x80\xa8\xe2\x80\xae"
    "\xc2\x85 suser=root";

static struct audit_event login(enum audit_code code)
{
    struct audit_event event = audit_event_init(code);
    event.time_ns = 1800000000123456789;
    event.session_id = 42;
    event.listener = "clients";
    event.client_address = "192.0.2.7:50123";
    event.mechanism = "SCRAM-SHA-512";
    event.principal = "payments";
    event.cluster = "main";
    event.mapping_hash = "00000000000000000000000000000000000000000000000000000000000000aa";
    event.config_hash = "00000000000000000000000000000000000000000000000000000000000000bb";
    event.outcome = AUDIT_ALLOWED;
    return event;
}

static struct audit_event shown(enum audit_code code)
{
    struct audit_event event = login(code);
    event.rule = "setu.yaml:12";
    event.certificate = "payments";
    event.certificate_subject = "CN=payments,O=Example";
    event.certificate_fingerprint =
        "11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff";
    event.broker_node = 3;
    event.broker_address = "[2001:db8::3]:9093";
    event.generation = "ajna";
    return event;
}

static void append_rest(struct kit *kit)
{
    struct audit_event event = login(AUDIT_LOGIN_DENIED);
    event.principal = hostile;
    event.outcome = AUDIT_DENIED;
    event.reason = "unknown_user";
    kit_append(kit, &event);
    event.principal = "=1+1";
    event.client_address = "[2001:db8::9]:1";
    kit_append(kit, &event);
    event = shown(AUDIT_BROKER_LOGIN_FAILED);
    event.outcome = AUDIT_FAILED;
    event.reason = "tls_alert";
    event.detail = "the broker does not know the authority";
    event.broker_address = "kafka-3.example:9093";
    kit_append(kit, &event);
    event = login(AUDIT_GENERATION_FLIPPED);
    event.broker_node = 3;
    event.broker_address = "kafka-3.example:9093";
    event.generation_before = "legacy";
    event.generation = "ajna";
    kit_append(kit, &event);
    event = audit_event_init(AUDIT_RECORDS_LOST);
    event.time_ns = 1800000001000000000;
    event.count = 84;
    event.outcome = AUDIT_FAILED;
    kit_append(kit, &event);
}

/* Not simply all: a new code does not change the files. It falls under what is default there. */
static const enum audit_code codes[] = {
    AUDIT_START,
    AUDIT_STOP,
    AUDIT_RELOAD,
    AUDIT_RELOAD_REFUSED,
    AUDIT_CHAIN_TORN,
    AUDIT_RECORDS_LOST,
    AUDIT_ROTATED,
    AUDIT_DRAIN,
    AUDIT_SIGNING_KEY,
    AUDIT_SIGNING_OFF,
    AUDIT_CERTIFICATE_CHANGED,
    AUDIT_MAPPING_CHANGED,
    AUDIT_ADMIN_ACTION,
    AUDIT_HANDED_OVER,
    AUDIT_LOGIN_ACCEPTED,
    AUDIT_LOGIN_DENIED,
    AUDIT_REAUTH_ACCEPTED,
    AUDIT_REAUTH_DENIED,
    AUDIT_SESSION_CLOSED,
    AUDIT_MAPPING_DECIDED,
    AUDIT_MAPPING_DENIED,
    AUDIT_CERTIFICATE_EXPIRED,
    AUDIT_REQUEST_REFUSED,
    AUDIT_BROKER_LOGIN_OK,
    AUDIT_BROKER_LOGIN_FAILED,
    AUDIT_BROKER_UNTRUSTED,
    AUDIT_GENERATION_LEARNED,
    AUDIT_GENERATION_FLIPPED,
};

/* One of everything that a form treats in a way of its own. */
static struct kit *records(void)
{
    struct audit_key *key = kit_key(7);
    struct kit *kit = kit_new("host-1", 0);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const enum audit_code code = codes[i];
        struct audit_event event = code < 2000 ? audit_event_init(code) : shown(code);
        event.time_ns = 1800000000000000000 + (int64_t)i * 1000000;
        event.detail = code < 2000 ? "uid 0, pid 1" : NULL;
        kit_append(kit, &event);
    }
    append_rest(kit);
    kit_sign(kit, key);
    audit_key_unref(&key);
    return kit;
}

static char *print(const struct audit_format *format, struct view log, size_t *lines_r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct audit_reader reader;
    struct audit_record record;
    audit_reader_init(&reader, log);
    *lines_r = format->head != NULL ? 1 : 0;
    if (format->head != NULL) {
        format->head(out);
    }
    while (audit_read(&reader, &record) == AUDIT_OK) {
        format->line(&record, out);
        ++*lines_r;
    }
    audit_reader_end(&reader);
    fclose(out);
    return text;
}

static char *read_golden(const char *path)
{
    char *text = calloc(1, KIT_BYTES);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    text[fread(text, 1, KIT_BYTES - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void check_golden(const char *name)
{
    char path[128];
    size_t lines = 0;
    struct kit *kit = records();
    char *text = print(audit_format_find(name), kit_part(kit, 0, kit->count), &lines);
    snprintf(path, sizeof path, "tests/unit/vectors/audit/records.%s", name);
    if (getenv("SETU_WRITE_VECTORS") != NULL) {
        FILE *file = fopen(path, "w");
        cr_assert_not_null(file);
        fputs(text, file);
        fclose(file);
    }
    char *golden = read_golden(path);
    cr_assert_str_eq(text, golden, "%s is no longer what is printed", path);
    free(golden);
    free(text);
    kit_free(kit);
}

static const char *const forms[] = {"text", "jsonl", "csv", "ocsf", "ecs", "cef"};

Test(audit_format, golden_files)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        check_golden(forms[i]);
    }
}

/* Every way of ending a line that some reader knows. */
static size_t line_ends(const char *text, bool crlf)
{
    size_t count = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (crlf && at[0] == '\r' && at[1] == '\n') {
            at++;
        }
        count += strchr("\n\r\v\f\x1c\x1d\x1e", *at) != NULL ? 1 : 0;
        count += memcmp(at, "\xc2\x85", strnlen(at, 2)) == 0 && at[1] != '\0' ? 1 : 0;
        count += strncmp(at, "\xe2\x80\xa8", 3) == 0 || strncmp(at, "\xe2\x80\xa9", 3) == 0;
    }
    return count;
}

Test(audit_format, t81_one_line_an_event_whatever_a_name_holds)
{
    struct kit *kit = kit_new("host", 0);
    char name[16] = "";
    for (int c = 1; c < 256; c++) {
        struct audit_event event = login(AUDIT_LOGIN_DENIED);
        snprintf(name, sizeof name, "a%cb%c", (char)c, (char)c);
        event.principal = name;
        event.reason = event.detail = event.listener = event.mechanism = event.cluster = name;
        event.client_address = event.certificate = event.rule = event.generation = name;
        event.certificate_subject = event.certificate_fingerprint = event.broker_address = name;
        kit_append(kit, &event);
    }
    struct audit_event event = login(AUDIT_LOGIN_DENIED);
    event.principal = event.reason = event.detail = event.rule = event.client_address = hostile;
    kit_append(kit, &event);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t lines = 0;
        char *text = print(audit_format_find(forms[i]), kit_part(kit, 0, kit->count), &lines);
        cr_assert_eq(line_ends(text, strcmp(forms[i], "csv") == 0), lines, "%s: %zu of %zu",
                     forms[i], line_ends(text, strcmp(forms[i], "csv") == 0), lines);
        cr_assert_null(strstr(text, "\xe2\x80\xae"), "%s: it can turn a line round", forms[i]);
        free(text);
    }
    kit_free(kit);
}

/* JSON forms: each line is one object, and gives back the very text. */
Test(audit_format, t81_json_gives_back_what_was_claimed)
{
    struct kit *kit = kit_new("host", 0);
    struct audit_event event = login(AUDIT_LOGIN_DENIED);
    event.principal = hostile;
    kit_append(kit, &event);
    static const char *const json[] = {"jsonl", "ocsf", "ecs"};
    for (size_t i = 0; i < 3; i++) {
        size_t lines = 0;
        char *text = print(audit_format_find(json[i]), kit_part(kit, 0, 1), &lines);
        json_error_t error;
        json_t *root = json_loads(text, 0, &error);
        cr_assert_not_null(root, "%s: %s", json[i], error.text);
        json_t *own = i == 0   ? root
                      : i == 1 ? json_object_get(root, "unmapped")
                               : json_object_get(root, "setu");
        cr_assert_str_eq(json_string_value(json_object_get(own, "principal")), hostile);
        json_decref(root);
        free(text);
    }
    kit_free(kit);
}

/* A cell is never a formula. */
Test(audit_format, a_spreadsheet_runs_nothing)
{
    struct kit *kit = kit_new("host", 0);
    static const char *const formulas[] = {"=1+1", "+1", "-1", "@SUM(A1)"};
    for (size_t i = 0; i < 4; i++) {
        struct audit_event event = login(AUDIT_LOGIN_DENIED);
        event.principal = formulas[i];
        kit_append(kit, &event);
    }
    size_t lines = 0;
    char *text = print(audit_format_find("csv"), kit_part(kit, 0, 4), &lines);
    for (size_t i = 0; i < 4; i++) {
        char cell[32], quoted[32];
        snprintf(cell, sizeof cell, ",\"%s", formulas[i]);
        snprintf(quoted, sizeof quoted, ",\"'%s", formulas[i]);
        cr_assert_null(strstr(text, cell));
        cr_assert_not_null(strstr(text, quoted));
    }
    free(text);
    kit_free(kit);
}

Test(audit_format, times)
{
    char out[AUDIT_FORMAT_TIME_SIZE];
    cr_assert_str_eq(audit_format_time(0, out), "1970-01-01T00:00:00.000000000Z");
    cr_assert_str_eq(audit_format_time(1800000000123456789, out), "2027-01-15T08:00:00.123456789Z");
    cr_assert_str_eq(audit_format_time(-1, out), "1969-12-31T23:59:59.999999999Z");
    cr_assert_str_eq(audit_format_time(-1000000000, out), "1969-12-31T23:59:59.000000000Z");
    (void)audit_format_time(INT64_MAX, out);
    (void)audit_format_time(INT64_MIN, out);
}

Test(audit_format, addresses)
{
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {
        {"192.0.2.1:50000", "192.0.2.1", 50000},
        {"[::1]:9092", "::1", 9092},
        {"kafka.example:9092", "kafka.example", 9092},
        {"kafka.example", "kafka.example", 0},
        {"", "", 0},
        {":", "", 0},
        {"[", "", 0},
        {"[]:1", "", 1},
        {"a:99999999999999999999", "a", 0},
        {"a:-5", "a", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char host[256];
        int port = -1;
        audit_format_address(cases[i].text, host, &port);
        cr_assert_str_eq(host, cases[i].host, "%s", cases[i].text);
        cr_assert_eq(port, cases[i].port, "%s: %d", cases[i].text, port);
    }
}

/* JSON lets DEL stand; found by the fuzz target audit_forms. */
Test(audit_format, a_delete_is_escaped_in_every_form)
{
    struct audit_event event = login(AUDIT_LOGIN_DENIED);
    event.principal = event.listener = event.detail = "a\x7f";
    struct kit *kit = kit_new("host\x7f", 0);
    kit_append(kit, &event);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t lines = 0;
        char *text = print(audit_format_find(forms[i]), kit_part(kit, 0, 1), &lines);
        cr_expect_null(strchr(text, '\x7f'), "%s: %s", forms[i], text);
        free(text);
    }
    kit_free(kit);
}
