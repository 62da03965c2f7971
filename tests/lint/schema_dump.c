/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints api.def and the schema tables, one JSON object a line, for kafka_schema.py to compare with
 * Kafka's own definitions.
 */
#include <stdio.h>

#include "protocol/api.h"
#include "protocol/schema_tables.h"

static const char *const actions[] = {
    [API_HIDE] = "hide",       [API_FORWARD] = "forward", [API_WATCH] = "watch",
    [API_INSPECT] = "inspect", [API_REWRITE] = "rewrite", [API_ANSWER] = "answer",
};

static const char *const types[] = {
    [SCHEMA_BOOL] = "bool",       [SCHEMA_INT8] = "int8",     [SCHEMA_INT16] = "int16",
    [SCHEMA_UINT16] = "uint16",   [SCHEMA_INT32] = "int32",   [SCHEMA_INT64] = "int64",
    [SCHEMA_UUID] = "uuid",       [SCHEMA_STRING] = "string", [SCHEMA_BYTES] = "bytes",
    [SCHEMA_RECORDS] = "records", [SCHEMA_STRUCT] = "struct",
};

static void dump_api(const struct api *api)
{
    printf("{\"api\": %d, \"name\": \"%s\", \"min\": %d, \"max\": %d, \"flexible\": %d, "
           "\"request\": \"%s\", \"response\": \"%s\", \"inter_broker\": %s}\n",
           api->key, api->name, api->version_min, api->version_max, api->flexible_since,
           actions[api->request_action], actions[api->response_action],
           api->inter_broker ? "true" : "false");
}

static void dump_fields(const struct schema *of)
{
    const char *between = "";
    printf("[");
    for (const struct schema_field *f = of->fields; f->name != NULL; f++) {
        printf("%s{\"name\": \"%s\", \"type\": \"%s\", \"array\": %s, \"versions\": [%d, %d], "
               "\"nullable\": [%d, %d], \"tag\": %d, \"role\": %d",
               between, f->name, types[f->type], f->array ? "true" : "false", f->versions.since,
               f->versions.past, f->nullable.since, f->nullable.past, f->tagged ? f->tag : -1,
               f->role);
        if (f->of != NULL) {
            printf(", \"fields\": ");
            dump_fields(f->of);
        }
        printf("}");
        between = ", ";
    }
    printf("]");
}

static void dump_message(const struct schema_message *m)
{
    printf(
        "{\"message\": \"%s\", \"key\": %d, \"request\": %s, \"versions\": [%d, %d], \"fields\": ",
        m->name, m->key, m->request ? "true" : "false", m->versions.since, m->versions.past);
    dump_fields(&m->of);
    printf("}\n");
}

int main(void)
{
    for (size_t i = 0; i < api_count(); i++) {
        dump_api(api_at(i));
    }
    for (size_t i = 0; i < schema_count(); i++) {
        dump_message(schema_at(i));
    }
    return 0;
}
