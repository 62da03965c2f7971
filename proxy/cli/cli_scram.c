/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "auth/principal.h"
#include "auth/scram.h"
#include "auth/scram_import.h"
#include "auth/secret.h"
#include "conf/errors.h"
#include "proxy/cli/cli_out.h"

enum { ITERATIONS_DEFAULT = 10000, IMPORT_BYTES_MAX = 16 * 1024 * 1024, PASSWORD_MAX = 255 };

/* ---- the password: from a file or standard input ---- */

/* Echo off while a person types; no-op away from a terminal. */
static bool echo_off(struct termios *before)
{
    if (tcgetattr(STDIN_FILENO, before) != 0) {
        return false;
    }
    struct termios quiet = *before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
}

/* One line, with read(2): stdio would leave a copy of the password in its buffer. */
static bool read_line(char *line, size_t capacity, size_t *length_r)
{
    size_t length = 0;
    for (;;) {
        char c = 0;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0 || c == '\n') {
            break;
        }
        if (length == capacity) {
            return false;
        }
        line[length++] = c;
    }
    *length_r = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
    return true;
}

static bool read_password_line(const struct cli_call *call, struct secret *password_r)
{
    char line[PASSWORD_MAX];
    size_t length = 0;
    struct termios before;
    bool quiet = isatty(STDIN_FILENO) != 0 && echo_off(&before);
    if (quiet) {
        fprintf(stderr, "password: ");
    }
    bool good = read_line(line, sizeof line, &length);
    if (quiet) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!good || length == 0) {
        cli_error(call->verb, "the password is %s", good ? "empty" : "longer than 255 bytes");
        good = false;
    }
    good = good && secret_from(password_r, view_of(line, length));
    secret_cleanse(line, sizeof line);
    return good;
}

static bool read_password(const struct cli_call *call, const char *file, struct secret *password_r)
{
    if (file == NULL || strcmp(file, "-") == 0) {
        return read_password_line(call, password_r);
    }
    enum secret_file_status status = secret_read_password(password_r, file);
    if (status != SECRET_FILE_OK) {
        cli_error_at(call->verb, file, 0, "%s: %s", file, secret_file_text(status));
    }
    return status == SECRET_FILE_OK;
}

/* ---- records as users file entries ---- */

/* A double-quoted YAML string: JSON's form is one. */
static void print_quoted(struct view text)
{
    json_t *string = json_stringn((const char *)text.at, text.length);
    char *quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    printf("%s", quoted != NULL ? quoted : "\"\"");
    free(quoted);
    json_decref(string);
}

static const char *record_key(enum scram_hash hash)
{
    return hash == SCRAM_SHA_512 ? "scram-sha-512" : "scram-sha-256";
}

static void print_record(const struct scram_record *record)
{
    char memory[SCRAM_RECORD_TEXT_MAX];
    struct writer text;
    writer_init_fixed(&text, memory, sizeof memory);
    scram_record_print(record, &text);
    printf("    %s: ", record_key(record->hash));
    print_quoted(writer_view(&text));
    printf("\n");
    secret_cleanse(memory, sizeof memory);
}

static void print_user(struct view name)
{
    printf("  - name: ");
    print_quoted(name);
    printf("\n");
}

static json_t *record_json(const struct scram_record *record)
{
    char memory[SCRAM_RECORD_TEXT_MAX];
    struct writer text;
    writer_init_fixed(&text, memory, sizeof memory);
    scram_record_print(record, &text);
    struct view view = writer_view(&text);
    return json_stringn((const char *)view.at, view.length);
}

/* ---- make ---- */

enum { MAKE_MECHANISM, MAKE_ITERATIONS, MAKE_PASSWORD_FILE };

const struct cli_option cli_scram_make_options[] = {
    [MAKE_MECHANISM] = {"mechanism", "NAME", "SCRAM-SHA-512 (default) or SCRAM-SHA-256"},
    [MAKE_ITERATIONS] = {"iterations", "N", "4096 to 1000000 (default 10000)"},
    [MAKE_PASSWORD_FILE] = {"password-file", "FILE",
                            "read the password from FILE (default: stdin)"},
    {NULL, NULL, NULL},
};

static bool make_record(const struct cli_call *call, enum scram_hash hash, unsigned long iterations,
                        struct scram_record *record_r)
{
    struct secret password;
    uint8_t salt[SCRAM_SALT_BYTES_DEFAULT];
    if (!read_password(call, call->values[MAKE_PASSWORD_FILE], &password)) {
        return false;
    }
    bool good = RAND_bytes(salt, (int)sizeof salt) == 1 &&
                scram_record_make(hash, secret_view(&password), view_of(salt, sizeof salt),
                                  (uint32_t)iterations, record_r);
    secret_wipe(&password);
    if (!good) {
        cli_error(call->verb, "the record could not be made");
    }
    return good;
}

static void print_made(const struct cli_call *call, const char *user,
                       const struct scram_record *record)
{
    if (!call->json) {
        printf("users:\n");
        print_user(view_from_string(user));
        print_record(record);
        return;
    }
    json_t *root = json_object();
    json_object_set_new(root, "name", cli_out_string(user));
    json_object_set_new(root, record_key(record->hash), record_json(record));
    cli_out_json(root);
}

int cli_scram_make(const struct cli_call *call)
{
    const char *mechanism = call->values[MAKE_MECHANISM];
    const char *iterations_text = call->values[MAKE_ITERATIONS];
    enum scram_hash hash = SCRAM_SHA_512;
    unsigned long iterations = ITERATIONS_DEFAULT;
    char user[PRINCIPAL_SIZE];
    if (mechanism != NULL && !scram_hash_of(mechanism, &hash)) {
        return cli_usage_error(
            call->verb, "--mechanism is SCRAM-SHA-512 or SCRAM-SHA-256, not `%s`", mechanism);
    }
    if (iterations_text != NULL &&
        !cli_number(iterations_text, SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, &iterations)) {
        return cli_usage_error(call->verb, "--iterations is a number from %d to %d",
                               SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX);
    }
    enum principal_status status = principal_canonical(view_from_string(call->operands[0]), user);
    if (status != PRINCIPAL_OK) {
        return cli_usage_error(call->verb, "USER is %s", principal_status_text(status));
    }
    struct scram_record record;
    if (!make_record(call, hash, iterations, &record)) {
        return CLI_NEGATIVE;
    }
    print_made(call, user, &record);
    scram_record_wipe(&record);
    return CLI_OK;
}

/* ---- verify ---- */

enum { VERIFY_USERS, VERIFY_MECHANISM, VERIFY_PASSWORD_FILE };

const struct cli_option cli_scram_verify_options[] = {
    [VERIFY_USERS] = {"users", "FILE", "the users file (needed)"},
    [VERIFY_MECHANISM] = {"mechanism", "NAME", "SCRAM-SHA-512 (default), SCRAM-SHA-256 or PLAIN"},
    [VERIFY_PASSWORD_FILE] = {"password-file", "FILE",
                              "read the password from FILE (default: stdin)"},
    {NULL, NULL, NULL},
};

/* What the users file holds for the user under the mechanism. */
static bool find_record(const struct credentials *users, const char *mechanism, const char *user,
                        struct credentials_match *match_r)
{
    enum scram_hash hash = SCRAM_SHA_512;
    if (strcmp(mechanism, "PLAIN") == 0) {
        return credentials_find_plain(users, view_from_string(user), match_r);
    }
    return scram_hash_of(mechanism, &hash) &&
           credentials_find_scram(users, hash, view_from_string(user), match_r);
}

static const char *verify(const struct cli_call *call, const struct credentials *users,
                          const char *mechanism)
{
    struct credentials_match match;
    struct secret password;
    if (!find_record(users, mechanism, call->operands[0], &match)) {
        return "failed";
    }
    const char *answer = "failed";
    if (!match.user_known) {
        answer = "unknown_user";
    } else if (!match.record_real) {
        answer = "no_record";
    } else if (read_password(call, call->values[VERIFY_PASSWORD_FILE], &password)) {
        answer = scram_record_matches(&match.record, secret_view(&password)) ? "matches"
                                                                             : "does_not_match";
        secret_wipe(&password);
    }
    scram_record_wipe(&match.record);
    return answer;
}

int cli_scram_verify(const struct cli_call *call)
{
    const char *mechanism = call->values[VERIFY_MECHANISM];
    mechanism = mechanism != NULL ? mechanism : "SCRAM-SHA-512";
    enum scram_hash hash = SCRAM_SHA_512;
    if (call->values[VERIFY_USERS] == NULL) {
        return cli_usage_error(call->verb, "--users FILE is missing");
    }
    if (strcmp(mechanism, "PLAIN") != 0 && !scram_hash_of(mechanism, &hash)) {
        return cli_usage_error(call->verb,
                               "--mechanism is SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN, not `%s`",
                               mechanism);
    }
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct credentials *users = credentials_load(call->values[VERIFY_USERS], &errors);
    cli_problems(&errors);
    conf_errors_deinit(&errors);
    if (users == NULL) {
        return CLI_BAD_CONFIG;
    }
    const char *answer = verify(call, users, mechanism);
    credentials_unref(&users);
    if (call->json) {
        json_t *root = json_object();
        json_object_set_new(root, "user", cli_out_string(call->operands[0]));
        json_object_set_new(root, "mechanism", json_string(mechanism));
        json_object_set_new(root, "result", json_string(answer));
        cli_out_json(root);
    } else {
        printf("%s\n", answer);
    }
    return strcmp(answer, "matches") == 0 ? CLI_OK : CLI_NEGATIVE;
}

/* ---- import ---- */

struct import {
    json_t *list; /* NULL: text */
    json_t *row;  /* of the last user */
    char user[PRINCIPAL_SIZE];
    bool any;
};

static bool on_imported(void *context, const struct scram_import *found)
{
    struct import *import = context;
    char user[PRINCIPAL_SIZE];
    if (principal_canonical(found->user, user) != PRINCIPAL_OK) {
        fprintf(stderr, "a user's name is not usable as a principal; passed over\n");
        return true;
    }
    bool same = import->any && strcmp(user, import->user) == 0;
    memcpy(import->user, user, sizeof user);
    if (import->list != NULL) {
        if (!same) {
            import->row = json_object();
            json_object_set_new(import->row, "name", cli_out_string(user));
            json_array_append_new(import->list, import->row);
        }
        json_object_set_new(import->row, record_key(found->hash), record_json(&found->record));
    } else {
        if (!import->any) {
            printf("users:\n");
        }
        if (!same) {
            print_user(view_from_string(user));
        }
        print_record(&found->record);
    }
    import->any = true;
    return true;
}

static bool read_all(FILE *in, struct writer *out)
{
    char block[4096];
    for (size_t n = fread(block, 1, sizeof block, in); n > 0;
         n = fread(block, 1, sizeof block, in)) {
        writer_put(out, view_of(block, n));
    }
    secret_cleanse(block, sizeof block);
    return !ferror(in) && writer_ok(out);
}

static int import_text(const struct cli_call *call, const char *name, struct view text)
{
    struct import import = {.list = call->json ? json_array() : NULL};
    size_t line = 0;
    enum scram_import_status status = scram_import(text, on_imported, &import, &line);
    if (import.list != NULL && status == SCRAM_IMPORT_OK) {
        json_t *root = json_object();
        json_object_set(root, "users", import.list);
        cli_out_json(root);
    }
    json_decref(import.list);
    switch (status) {
    case SCRAM_IMPORT_OK:
        return CLI_OK;
    case SCRAM_IMPORT_NONE:
        cli_error_at(call->verb, name, 0, "%s: no line speaks of a SCRAM credential", name);
        break;
    case SCRAM_IMPORT_NO_KEYS:
        cli_error_at(call->verb, name, (int)line,
                     "%s:%zu: only iteration counts; brokers never show keys (describe with "
                     "--zookeeper)",
                     name, line);
        break;
    case SCRAM_IMPORT_BAD:
    case SCRAM_IMPORT_STOPPED:
        cli_error_at(call->verb, name, (int)line,
                     "%s:%zu: not a credential as kafka-configs prints it", name, line);
        break;
    }
    return CLI_NEGATIVE;
}

int cli_scram_import(const struct cli_call *call)
{
    const char *name = call->operand_count > 0 ? call->operands[0] : "-";
    bool standard = strcmp(name, "-") == 0;
    FILE *in = standard ? stdin : fopen(name, "re");
    if (in == NULL) {
        cli_error_at(call->verb, name, 0, "%s: %s", name, strerror(errno));
        return CLI_NEGATIVE;
    }
    struct writer text;
    writer_init_growing(&text, IMPORT_BYTES_MAX);
    text.wipe = true;
    int status = CLI_NEGATIVE;
    if (read_all(in, &text)) {
        status = import_text(call, standard ? "standard input" : name, writer_view(&text));
    } else {
        cli_error_at(call->verb, name, 0, "%s: not readable, or larger than 16 MiB", name);
    }
    writer_free(&text);
    if (!standard) {
        fclose(in);
    }
    return status;
}
