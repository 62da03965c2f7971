/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram_import.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Made with Python's hashlib for the password "orders-secret"; the layout is that of Kafka 2.8. */
#define R256                                                                                       \
    "salt=MWloazljN21mNHEyczhyMHQ2djV4M3oxeTA=,"                                                   \
    "stored_key=Qr/74keHHL1JqWXyfNrUXvpygrwOzpfe04p3XxwN/gA=,"                                     \
    "server_key=NirG6qAtbQKeCg60dl5ZXoGd9Ji/bDZxSu+rLLaEcb8=,iterations=8192"
#define R512                                                                                       \
    "salt=MWloazljN21mNHEyczhyMHQ2djV4M3oxeTA=,"                                                   \
    "stored_key=f+kN+k3PAlIp/YTE30OOMnZoBEaGQHd2GNUy+BU4oAj38/2mnPbZRU1Y7P+lwhGQLMaZg6Y4k4wjM1x85" \
    "o/iKA==,server_key=/e4uLUms5C7WXUs+Yhs//Ep+RcSJEfEu0lQV9Sd+CMKy+jIcDGIoJGPHCm+QBUzBsdR7gQwnZ" \
    "CSMTdEd1TuyiQ==,iterations=8192"

struct found {
    size_t count, stop_at;
    char log[512];
    struct scram_record last[SCRAM_HASH_COUNT];
};

static bool note(void *context, const struct scram_import *import)
{
    struct found *found = context;
    size_t used = strlen(found->log);
    snprintf(found->log + used, sizeof found->log - used, "%.*s/%s ", (int)import->user.length,
             (const char *)import->user.at, scram_mechanism(import->hash));
    found->last[import->hash] = import->record;
    return ++found->count != found->stop_at;
}

static enum scram_import_status import(const char *text, struct found *found, size_t *line)
{
    size_t stop_at = found->stop_at;
    *found = (struct found){.stop_at = stop_at};
    return scram_import(view_from_string(text), note, found, line);
}

Test(scram_import, takes_what_kafka_configs_prints_from_zookeeper)
{
    struct found found = {0};
    size_t line;
    cr_assert_eq(import("Configs for user-principal 'orders' are SCRAM-SHA-512=" R512
                        ",SCRAM-SHA-256=" R256 "\n"
                        "Configs for user-principal 'quota' are producer_byte_rate=1024\n"
                        "Configs for user-principal 'pay=me, ''s' are SCRAM-SHA-256=" R256 "\r\n"
                        "Configs for user-principal 'it' are it' are producer_byte_rate=1,"
                        "SCRAM-SHA-256=" R256,
                        &found, &line),
                 SCRAM_IMPORT_OK);
    cr_assert_str_eq(found.log, "orders/SCRAM-SHA-256 orders/SCRAM-SHA-512 "
                                "pay=me, ''s/SCRAM-SHA-256 it' are it/SCRAM-SHA-256 ");
    cr_assert(scram_record_matches(&found.last[0], view_from_string("orders-secret")));
    cr_assert(scram_record_matches(&found.last[1], view_from_string("orders-secret")));
}

Test(scram_import, says_when_the_output_has_no_keys)
{
    struct found found = {0};
    size_t line;
    cr_assert_eq(import("Quota configs for user-principal 'a' are x=1.0\n"
                        "SCRAM credential configs for user-principal 'a' are "
                        "SCRAM-SHA-256=iterations=8192, SCRAM-SHA-512=iterations=4096\n",
                        &found, &line),
                 SCRAM_IMPORT_NO_KEYS);
    cr_assert_eq(line, 2);
    cr_assert_eq(found.count, 0);
}

Test(scram_import, says_which_line_is_bad)
{
    struct found found = {0};
    size_t line;
    cr_assert_eq(import("nothing\n\nConfigs for user-principal 'a' are SCRAM-SHA-256=salt=x\n",
                        &found, &line),
                 SCRAM_IMPORT_BAD);
    cr_assert_eq(line, 3);
    cr_assert_eq(
        import("Configs for user-principal 'a' are SCRAM-SHA-512=" R256 "\n", &found, &line),
        SCRAM_IMPORT_BAD);
    cr_assert_eq(
        import("Configs for user-principal 'a' are SCRAM-SHA-512=[hidden]\n", &found, &line),
        SCRAM_IMPORT_BAD);
}

Test(scram_import, says_when_there_is_nothing)
{
    struct found found = {0};
    size_t line;
    cr_assert_eq(import("", &found, &line), SCRAM_IMPORT_NONE);
    cr_assert_eq(import("\n\nConfigs for topic 'x' are a=b\n", &found, &line), SCRAM_IMPORT_NONE);
    cr_assert_eq(import("Configs for user-principal '' are SCRAM-SHA-256=" R256, &found, &line),
                 SCRAM_IMPORT_NONE);
}

Test(scram_import, stops_when_told)
{
    struct found found = {.stop_at = 1};
    size_t line;
    cr_assert_eq(import("Configs for user-principal 'a' are SCRAM-SHA-256=" R256 "\n"
                        "Configs for user-principal 'b' are SCRAM-SHA-256=" R256 "\n",
                        &found, &line),
                 SCRAM_IMPORT_STOPPED);
    cr_assert_eq(found.count, 1);
    cr_assert_eq(line, 1);
}

Test(scram_import, no_prefix_of_a_line_gives_a_record)
{
    static const char text[] = "Configs for user-principal 'a' are SCRAM-SHA-256=" R256;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct found found = {0};
        size_t line;
        enum scram_import_status status = scram_import(view_of(text, n), note, &found, &line);
        cr_assert_neq(status, SCRAM_IMPORT_OK, "%zu bytes", n);
        cr_assert_eq(found.count, 0);
    }
}
