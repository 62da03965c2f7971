/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/schema.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/api.h"
#include "protocol/endpoint.h"
#include "protocol/records.h"
#include "protocol/schema_tables.h"

/* ---- the tables keep the promises the walkers rely on ---- */

static bool has_role(const struct schema *of, enum schema_role role, int16_t version, size_t depth)
{
    cr_assert_lt(depth, (size_t)RECORDS_DEPTH_MAX, "tables are shallow");
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        if (!schema_span_has(f->versions, version)) {
            continue;
        }
        if (f->role == role || (f->of != NULL && has_role(f->of, role, version, depth + 1))) {
            return true;
        }
    }
    return false;
}

static size_t index_of(const struct schema *of, enum schema_role role, int16_t version)
{
    size_t i = 0;
    for (const struct schema_field *f = of->fields; f->name != NULL; f++, i++) {
        if (f->role == role && schema_span_has(f->versions, version)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void check_struct(const struct schema *of, int16_t version, bool flexible)
{
    size_t node = index_of(of, SCHEMA_NODE_ID, version);
    size_t host = index_of(of, SCHEMA_HOST, version);
    size_t port = index_of(of, SCHEMA_PORT, version);
    if (host != SIZE_MAX) {
        cr_assert(of->endpoint && node < host && host < port && port != SIZE_MAX,
                  "the rewriter wants NodeId, Host, Port in this order");
    }
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        if (!schema_span_has(f->versions, version)) {
            continue;
        }
        cr_assert_eq(f->type == SCHEMA_STRUCT, f->of != NULL, "%s", f->name);
        cr_assert(!f->tagged || flexible, "%s", f->name);
        cr_assert(!f->array || f->role == SCHEMA_NO_ROLE || f->role == SCHEMA_NODE_ENDPOINTS);
        cr_assert_eq(f->role == SCHEMA_NODE_ENDPOINTS, f->tagged && f->array, "%s", f->name);
        if (f->of != NULL) {
            check_struct(f->of, version, flexible);
        }
    }
}

Test(schema, tables_have_the_versions_of_the_api_table_and_keep_its_promises)
{
    for (size_t i = 0; i < schema_count(); i++) {
        const struct schema_message *m = schema_at(i);
        const struct api *api = api_find(m->key);
        cr_assert(schema_find(m->key, m->request) == m);
        cr_assert(m->versions.since == api->version_min && m->versions.past == api->version_max + 1,
                  "%s", m->name);
        cr_assert_eq(strncmp(m->name, api->name, strlen(api->name)), 0, "%s", m->name);
        for (int16_t v = m->versions.since; v < m->versions.past; v++) {
            check_struct(&m->of, v, api_is_flexible(m->key, v));
        }
    }
}

/* T68: the tables are compared with Kafka's own definitions by tests/lint/kafka_schema.py. */
Test(schema, endpoint_in_is_true_exactly_where_a_table_has_a_host)
{
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        const struct schema_message *m = schema_find(api->key, false);
        for (int16_t v = -1; v <= api->version_max + 1; v++) {
            bool host =
                m != NULL && schema_span_has(m->versions, v) && has_role(&m->of, SCHEMA_HOST, v, 0);
            cr_assert_eq(endpoint_in(api->key, v), host, "%s v%d", api->name, v);
        }
    }
    cr_assert(!endpoint_in(-1, 0) && !endpoint_in(999, 0));
}

Test(schema, there_is_a_table_for_each_api_that_is_inspected)
{
    for (size_t i = 0; i < api_count(); i++) {
        const struct api *api = api_at(i);
        if (api->request_action == API_INSPECT) {
            const struct schema_message *m = schema_find(api->key, true);
            cr_assert(m != NULL && has_role(&m->of, SCHEMA_REPLICA_ID, api->version_max, 0));
        }
        if (api->response_action == API_REWRITE) {
            cr_assert(schema_find(api->key, false) != NULL);
        }
    }
}

/* ---- the walker, on a small message of its own ---- */

static const struct schema leaf = {
    .fields = (const struct schema_field[]){
        {"Number", SCHEMA_UINT16, .versions = {0, 9}, .role = SCHEMA_PORT},
        {0},
    }};

static const struct schema_message message = {
    .versions = {0, 9},
    .of = {.fields = (const struct schema_field[]){
               {"Flag", SCHEMA_BOOL, .versions = {0, 9}, .role = SCHEMA_ERROR_CODE},
               {"Name", SCHEMA_STRING, .versions = {1, 9}, .nullable = {2, 9}, .role = SCHEMA_HOST},
               {"Ids", SCHEMA_UUID, .array = true, .versions = {0, 9}, .nullable = {0, 9}},
               {"Names", SCHEMA_STRING, .array = true, .versions = {0, 9}},
               {"Leaf", SCHEMA_STRUCT, .versions = {0, 9}, .of = &leaf},
               {"Tagged", SCHEMA_INT64, .versions = {3, 9}, .tagged = true, .tag = 2,
                .role = SCHEMA_NODE_ID},
               {0},
           }}};

struct seen {
    char log[256];
    enum schema_role stop_at;
};

static bool see(void *context, const struct schema_field *field, const struct schema_value *value)
{
    struct seen *seen = context;
    size_t n = strlen(seen->log);
    snprintf(seen->log + n, sizeof seen->log - n, "%s=%lld:%.*s[%zu,%zu)%s ", field->name,
             (long long)value->number, field->type == SCHEMA_STRING ? (int)value->text.length : 0,
             (const char *)value->text.at, value->start, value->end, value->null ? "null" : "");
    return field->role != seen->stop_at;
}

static const struct schema_visitor visitor = {.field = see};

static enum schema_status walk(int16_t version, const char *body, size_t n, struct seen *seen)
{
    memset(seen->log, 0, sizeof seen->log);
    return schema_walk(&message, version, version >= 3, view_of(body, n), &visitor, seen);
}

Test(schema, fields_come_and_go_with_versions)
{
    struct seen seen = {.stop_at = SCHEMA_NO_ROLE};
    cr_assert_eq(walk(0, "\1\xff\xff\xff\xff\0\0\0\0\xff\xff", 11, &seen), SCHEMA_OK);
    cr_assert_str_eq(seen.log, "Flag=1:[0,1) Number=65535:[9,11) ");
    cr_assert_eq(walk(1, "\0\0\2hi\0\0\0\0\0\0\0\1\0\1x\0\7", 18, &seen), SCHEMA_OK);
    cr_assert(strstr(seen.log, "Name=0:hi[1,5)") != NULL);
    cr_assert_eq(walk(2, "\0\xff\xff\0\0\0\0\0\0\0\0\0\7", 13, &seen), SCHEMA_OK);
    cr_assert(strstr(seen.log, "Name=0:[1,3)null") != NULL);
    cr_assert_eq(walk(1, "\0\xff\xff\0\0\0\0\0\0\0\0\0\7", 13, &seen), SCHEMA_BAD, "not nullable");
}

/*
 * v3: Flag, Name "a", two Ids (null array), one name, Leaf with an unknown tag, tags 1 (unknown)
 * and 2.
 */
static const char flexible[] = "\1\2a\0\2\2b\0\7\1\5\1z\2\1\0\2\x8\xff\xff\xff\xff\xff\xff\xff\xfe";
enum { FLEXIBLE = sizeof flexible - 1 };

Test(schema, tagged_fields_are_found_and_unknown_ones_skipped)
{
    struct seen seen = {.stop_at = SCHEMA_NO_ROLE};
    cr_assert_eq(walk(3, flexible, FLEXIBLE, &seen), SCHEMA_OK);
    cr_assert(strstr(seen.log, "Number=7:[7,9)") != NULL, "%s", seen.log);
    cr_assert(strstr(seen.log, "Tagged=-2:[18,26)") != NULL, "%s", seen.log);
}

Test(schema, every_prefix_and_every_longer_body_is_bad)
{
    struct seen seen = {.stop_at = SCHEMA_NO_ROLE};
    char longer[FLEXIBLE + 1];
    memcpy(longer, flexible, FLEXIBLE);
    longer[FLEXIBLE] = 0;
    for (size_t n = 0; n < FLEXIBLE; n++) {
        cr_assert_eq(walk(3, flexible, n, &seen), SCHEMA_BAD, "%zu", n);
    }
    cr_assert_eq(walk(3, longer, sizeof longer, &seen), SCHEMA_BAD);
}

Test(schema, tags_must_ascend_and_have_the_size_of_their_content)
{
    struct seen seen = {.stop_at = SCHEMA_NO_ROLE};
    static const char head[] = "\1\2a\0\1\0\7\0";
    static const struct {
        const char *tags;
        size_t length;
        enum schema_status status;
    } cases[] = {
        {"\0", 1, SCHEMA_OK},
        {"\1\2\x8\0\0\0\0\0\0\0\0", 11, SCHEMA_OK},
        {"\2\2\x8\0\0\0\0\0\0\0\0\1\0", 13, SCHEMA_BAD}, /* 2 before 1 */
        {"\2\1\0\1\0", 5, SCHEMA_BAD},                   /* 1 twice */
        {"\1\2\x9\0\0\0\0\0\0\0\0\0", 12, SCHEMA_BAD},   /* a byte too many */
        {"\1\2\x7\0\0\0\0\0\0\0", 10, SCHEMA_BAD},       /* a byte too few */
        {"\1\2\x7\0\0\0\0\0\0\0\0", 11, SCHEMA_BAD},     /* size one short of the content */
        {"\1\7\x81\1", 4, SCHEMA_BAD},                   /* beyond the end */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[64];
        memcpy(body, head, sizeof head - 1);
        memcpy(body + sizeof head - 1, cases[i].tags, cases[i].length);
        cr_assert_eq(walk(3, body, sizeof head - 1 + cases[i].length, &seen), cases[i].status,
                     "%zu", i);
    }
}

Test(schema, a_visitor_can_stop)
{
    struct seen seen = {.stop_at = SCHEMA_HOST};
    cr_assert_eq(walk(3, flexible, FLEXIBLE, &seen), SCHEMA_STOPPED);
    cr_assert(strstr(seen.log, "Number") == NULL);
}
