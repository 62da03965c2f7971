/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a users file and as the output of kafka-configs. What is accepted as users can be
 * looked up; a record that is read prints and reads back the same.
 */
#include <stdint.h>
#include <string.h>

#include "auth/scram_import.h"
#include "tests/fuzz/login_fuzz.h"

static bool round_trip(void *context, const struct scram_import *import)
{
    (void)context;
    uint8_t memory[SCRAM_RECORD_TEXT_MAX];
    struct scram_record back;
    struct writer out;
    const char *error;
    writer_init_fixed(&out, memory, sizeof memory);
    scram_record_print(&import->record, &out);
    must(scram_record_parse(writer_view(&out), import->hash, &back, &error));
    must(memcmp(&back, &import->record, sizeof back) == 0);
    must(import->user.length > 0);
    return true;
}

static void look_up_all(const struct credentials *users)
{
    for (size_t i = 0; i < credentials_count(users); i++) {
        struct credentials_match match;
        struct view name = view_from_string(credentials_name(users, i));
        must(credentials_find_plain(users, name, &match) && match.user_known);
        must(credentials_find_scram(users, SCRAM_SHA_256, name, &match) && match.user_known);
        must(match.record.iterations >= SCRAM_ITERATIONS_MIN);
        must(match.record.salt_length > 0 && match.record.salt_length <= SCRAM_SALT_BYTES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_errors errors;
    size_t line;
    conf_errors_init(&errors);
    struct credentials *users = credentials_parse(view_of(data, size), "fuzz", &errors);
    must((users == NULL) == conf_errors_failed(&errors));
    if (users != NULL) {
        look_up_all(users);
    }
    credentials_unref(&users);
    conf_errors_deinit(&errors);
    (void)!scram_import(view_of(data, size), round_trip, NULL, &line);
    return 0;
}
