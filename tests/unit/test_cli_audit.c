/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs `setu audit …` on logs that lack something: what they print, and their exit statuses. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli/cli.h"
#include "tests/unit/audit_kit.h"

enum { TEXT_MAX = 65536, LINE_MAX_SIZE = 1024, WORDS_MAX = 16, HEAD_SIZE = 96 };

/* Ten records, signed at 5 and 10. */
static struct kit *kit;
static char folder[] = "/tmp/setu-cli-audit-XXXXXX", heads[11][HEAD_SIZE], said[TEXT_MAX];

/* ---- one command ---- */

static void capture(int argc, char **argv, int *status_r)
{
    const int kept = dup(STDOUT_FILENO);
    FILE *to = tmpfile();
    cr_assert(kept >= 0 && to != NULL && dup2(fileno(to), STDOUT_FILENO) >= 0);
    *status_r = cli_main(argc, argv);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(to);
    said[fread(said, 1, TEXT_MAX - 1, to)] = '\0';
    fclose(to);
}

/* In the folder; split at spaces. */
__attribute__((format(printf, 2, 3))) static void expect(int status, const char *format, ...)
{
    char line[LINE_MAX_SIZE], *argv[WORDS_MAX] = {NULL};
    int argc = 0, got = -1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    fflush(stdout);
    capture(argc, argv, &got);
    cr_assert_eq(got, status, "%s: %d\n%s", format, got, said);
}

static void says(const char *words)
{
    cr_assert_not_null(strstr(said, words), "'%s' is not in\n%s", words, said);
}

/* ---- a folder with a signed log ---- */

static void write_bytes(const char *name, struct view bytes)
{
    FILE *file = fopen(name, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes.at, 1, bytes.length, file), bytes.length);
    fclose(file);
}

static void note_head(size_t records)
{
    int used = snprintf(heads[records], HEAD_SIZE, "%zu:", records);
    for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
        used += snprintf(heads[records] + used, HEAD_SIZE - (size_t)used, "%02x",
                         kit->chain.head.hash[i]);
    }
}

static void make_log(void)
{
    struct pem_fault fault;
    struct audit_key *key = audit_key_load("audit.key", &fault);
    cr_assert_not_null(key);
    kit = kit_new("h", 0);
    for (size_t i = 1; i <= 10; i++) {
        if (i % 5 == 0) {
            kit_sign(kit, key);
        } else {
            kit_users(kit, 1);
        }
        note_head(i);
    }
    audit_key_unref(&key);
}

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    expect(CLI_OK, "setu audit keygen audit.key");
    write_bytes("key.pem", view_from_string(said));
    make_log();
}

static void teardown(void)
{
    static const char *const names[] = {"audit.key", "key.pem", "audit.log", "setu.yaml", "e.tar"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(names[i]);
    }
    cr_assert_eq(chdir("/"), 0);
    rmdir(folder);
    kit_free(kit);
}

TestSuite(cli_audit, .init = setup, .fini = teardown);

static void expect_missing(int64_t first_bad, const char *why)
{
    json_t *root = json_loads(said, 0, NULL);
    const json_t *bad = json_object_get(root, "first_bad");
    cr_assert(json_is_false(json_object_get(root, "ok")), "%s", said);
    cr_assert_eq(json_integer_value(json_object_get(bad, "record")), first_bad, "%s", said);
    cr_assert_not_null(strstr(json_string_value(json_object_get(bad, "why")), why), "%s", said);
    json_decref(root);
}

Test(cli_audit, t79_a_log_whose_front_is_cut_is_not_in_order)
{
    static const char *const ways[] = {"", "--key key.pem", "--key key.pem --signed"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        write_bytes("audit.log", kit_part(kit, 0, 10));
        expect(CLI_OK, "setu audit verify %s audit.log", ways[i]);
        says("10 good records, 1 to 10");
        write_bytes("audit.log", kit_part(kit, 4, 10));
        expect(CLI_NEGATIVE, "setu audit verify %s audit.log", ways[i]);
        says("chain       BROKEN: 0 good records");
        says("first bad   record 1, audit.log, byte 0: records 1 to 4 are missing");
        expect(CLI_NEGATIVE, "setu audit verify -o json %s audit.log", ways[i]);
        expect_missing(1, "records 1 to 4 are missing");
    }
    expect(CLI_OK, "setu audit show audit.log");
    expect(CLI_OK, "setu audit query --principal user-* audit.log");
    expect(CLI_OK, "setu audit export audit.log");
}

Test(cli_audit, who_has_the_head_of_what_was_moved_away_vouches_for_the_beginning)
{
    char wrong[HEAD_SIZE];
    memcpy(wrong, heads[4], HEAD_SIZE);
    wrong[strlen(wrong) - 1] ^= 1; /* another hexadecimal digit */
    write_bytes("audit.log", kit_part(kit, 4, 10));
    expect(CLI_OK, "setu audit verify --from %s --key key.pem --signed audit.log", heads[4]);
    says("before      moved away up to 4:");
    says("6 good records, 5 to 10");
    expect(CLI_OK, "setu audit verify -o json --from %s audit.log", heads[4]);
    says(heads[4]);
    expect(CLI_NEGATIVE, "setu audit verify -o json --from %s audit.log", wrong);
    expect_missing(5, "another record before it");
    expect(CLI_NEGATIVE, "setu audit verify -o json --from %s audit.log", heads[3]);
    expect_missing(4, "records 4 to 4 are missing");
    expect(CLI_NEGATIVE, "setu audit verify -o json --from %s audit.log", heads[5]);
    expect_missing(5, "before the log's beginning");
    expect(CLI_USAGE, "setu audit verify --from 4 audit.log");
    expect(CLI_USAGE, "setu audit verify --from -%s audit.log", heads[4]);
    expect(CLI_USAGE, "setu audit verify --from 18446744073709551615%s audit.log", heads[4] + 1);
}

/* A log of before heads were printed: it says itself what its first record follows. */
Test(cli_audit, where_no_head_was_kept_the_first_record_names_the_one_before_it)
{
    char from[HEAD_SIZE] = "";
    write_bytes("audit.log", kit_part(kit, 4, 10));
    expect(CLI_OK, "setu audit show -o json audit.log");
    json_t *first = json_loads(said, JSON_DISABLE_EOF_CHECK, NULL);
    const char *before = json_string_value(json_object_get(first, "prev_hash"));
    cr_assert_not_null(before, "%s", said);
    snprintf(from, sizeof from, "%lld:%s",
             (long long)json_integer_value(json_object_get(first, "seq")) - 1, before);
    json_decref(first);
    cr_assert_str_eq(from, heads[4]);
    expect(CLI_OK, "setu audit verify --from %s --key key.pem audit.log", from);
}

Test(cli_audit, t79_a_head_kept_elsewhere_is_not_outvoted_by_from)
{
    char other[HEAD_SIZE];
    memcpy(other, heads[4], HEAD_SIZE);
    other[strlen(other) - 1] ^= 1;
    write_bytes("audit.log", kit_part(kit, 4, 10));
    expect(CLI_OK, "setu audit verify --from %s --head %s audit.log", heads[4], heads[4]);
    expect(CLI_OK, "setu audit verify --from %s --head %s audit.log", heads[4], heads[5]);
    expect(CLI_NEGATIVE, "setu audit verify --from %s --head %s audit.log", heads[4], heads[3]);
    says("first bad   record 3: the log begins behind the record expected");
    expect(CLI_NEGATIVE, "setu audit verify -o json --key key.pem --from %s --head %s audit.log",
           heads[4], other);
    expect_missing(4, "another record than the one expected");
}

/* As AUDIT.md says: it looks like what a crash leaves, and a head kept elsewhere tells the one from the other. */
Test(cli_audit, t79_an_edited_length_near_the_end_looks_like_a_crash)
{
    kit->at[kit->ends[6]] |= 0x80; /* the length of record 8 has one digit more */
    write_bytes("audit.log", kit_part(kit, 0, 10));
    expect(CLI_OK, "setu audit verify audit.log");
    says("holds: 7 good records, 1 to 7");
    says("torn ");
    expect(CLI_NEGATIVE, "setu audit verify -o json --head %s audit.log", heads[9]);
    expect_missing(8, "cut off the end");
}

static const char config[] =
    "audit: {file: audit.log, signing_key: audit.key}\n"
    "certificates: [{name: orders, chain: /none.pem, key: /none.key}]\n"
    "mapping: [{principal: orders, certificate: orders}]\n"
    "users: {file: users.yaml}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 10000, advertised_host: localhost,\n"
    "     node_base_port: 10001, node_ports_max: 9, mechanisms: [SCRAM-SHA-512]}\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:1\"]\n"
    "    identity: {certificate: orders}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /none.pem}}\n";

Test(cli_audit, t79_a_bundle_of_a_log_whose_front_is_cut)
{
    write_bytes("setu.yaml", view_from_string(config));
    write_bytes("audit.log", kit_part(kit, 4, 10));
    expect(CLI_NEGATIVE, "setu audit bundle -c setu.yaml e.tar");
    says("records 1 to 4 are missing");
    expect(CLI_NEGATIVE, "setu audit bundle --verify --key key.pem e.tar");
    says("records 1 to 4 are missing");
    expect(CLI_OK, "setu audit bundle --verify --key key.pem --from %s e.tar", heads[4]);
    expect(CLI_NEGATIVE, "setu audit bundle --verify --key key.pem --from %s e.tar", heads[3]);
    unlink("e.tar");
    expect(CLI_OK, "setu audit bundle -c setu.yaml --from %s e.tar", heads[4]);
    expect(CLI_NEGATIVE, "setu audit bundle --verify --key key.pem e.tar");
    expect(CLI_OK, "setu audit bundle --verify -o json --key key.pem --from %s e.tar", heads[4]);
    says(heads[4]);
    expect(CLI_USAGE, "setu audit bundle -c setu.yaml --from 4: e.tar");
}

static void says_file(const char *name)
{
    json_t *root = json_loads(said, 0, NULL);
    const char *file = json_string_value(json_object_get(root, "file"));
    cr_assert(file != NULL && strcmp(file, name) == 0, "%s", said);
    json_decref(root);
}

/* Names of files are bytes. */
Test(cli_audit, a_name_that_is_not_utf8_is_told_as_json)
{
    write_bytes("setu.yaml", view_from_string(config));
    write_bytes("audit.log", kit_part(kit, 0, 10));
    expect(CLI_OK, "setu audit keygen -o json k\xff");
    says_file("k\\xff");
    expect(CLI_OK, "setu audit bundle -o json -c setu.yaml e\xff");
    says_file("e\\xff");
    expect(CLI_OK, "setu audit bundle --verify -o json --key key.pem e\xff");
    says_file("e\\xff");
    write_bytes("e\xff", view_from_string("no archive"));
    expect(CLI_NEGATIVE, "setu audit bundle --verify -o json --key key.pem e\xff");
    says_file("e\\xff");
    unlink("k\xff");
    unlink("e\xff");
}
