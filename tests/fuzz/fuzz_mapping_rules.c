/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping rules, one a line: a letter for the kind (e, g, r; in upper case for generation h only),
 * one for the certificate (a, b), the pattern; the last line is a principal. The decision must be
 * what the explanation says, the same for the rules in reverse order, and never name a certificate
 * when two rules disagree.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mapping.h"
#include "auth/principal.h"
#include "conf/config.h"

enum { LINES_MAX = 8, TEXT_BYTES = 65536 };

static const char before[] = "certificates:\n"
                             "  - {name: a, chain: /a, key: /k}\n"
                             "  - {name: b, chain: /a, key: /k}\n"
                             "mapping:\n  - {principal: setu, certificate: a}\n";
static const char after[] =
    "clusters:\n"
    "  - {name: c, bootstrap: [\"127.0.0.1:1\"], identity: {certificate: a},\n"
    "     generations: [{name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /a}},\n"
    "       {name: h, match: {port: 9}, protocol: SSL, login: mapped-certificate,\n"
    "        tls: {ca: /a}}]}\n"
    "listeners:\n"
    "  - {name: l, role: clients, cluster: c, bind: 127.0.0.1, port: 2, advertised_host: h,\n"
    "     node_base_port: 3, mechanisms: [SCRAM-SHA-512]}\n"
    "users: {file: /u}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good)
{
    if (!good) {
        abort();
    }
}

static size_t put(char *text, size_t used, const char *more)
{
    const size_t length = strlen(more);
    must(used + length < TEXT_BYTES);
    memcpy(text + used, more, length + 1);
    return used + length;
}

static size_t put_rule(char *text, size_t used, struct view line)
{
    if (line.length < 3) {
        return used;
    }
    const char letter = (char)(line.at[0] | 0x20);
    const char *kind = letter == 'g'   ? "principal_glob"
                       : letter == 'r' ? "principal_regex"
                                       : "principal";
    char head[96];
    snprintf(head, sizeof(head), "  - {%scertificate: %c, %s: \"",
             (line.at[0] & 0x20) == 0 ? "when: {generation: h}, " : "",
             line.at[1] == 'b' ? 'b' : 'a', kind);
    used = put(text, used, head);
    for (size_t i = 2; i < line.length; i++) {
        char piece[8];
        const bool plain =
            line.at[i] >= ' ' && line.at[i] != '"' && line.at[i] != '\\' && line.at[i] != 0x7f;
        snprintf(piece, sizeof(piece), plain ? "%c" : "\\x%02x", line.at[i]);
        used = put(text, used, piece);
    }
    return put(text, used, "\"}\n");
}

static struct mapping *build(const struct view *lines, size_t count, bool reversed)
{
    static char text[TEXT_BYTES];
    size_t used = put(text, 0, before);
    for (size_t i = 0; i < count; i++) {
        used = put_rule(text, used, lines[reversed ? count - 1 - i : i]);
    }
    used = put(text, used, after);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, used, "f", &errors);
    struct mapping *mapping = config == NULL ? NULL : mapping_build(config, &errors);
    must(config == NULL || (mapping == NULL) == conf_errors_failed(&errors));
    config_unref(&config);
    conf_errors_deinit(&errors);
    return mapping;
}

struct tally {
    bool failed, certificate[2];
};

static void count_step(void *context, const struct mapping_step *step)
{
    struct tally *tally = context;
    tally->failed = tally->failed || step->verdict == MAPPING_FAILED;
    if (step->verdict == MAPPING_YES) {
        tally->certificate[step->certificate[0] == 'b'] = true;
    }
}

static struct mapping_decision decide(const struct mapping *mapping, const char *principal,
                                      const char *generation)
{
    struct tally tally = {0};
    struct mapping_decision told, decided;
    const struct mapping_query query = {principal, "c", generation, "l", "SCRAM-SHA-512"};
    (void)mapping_explain(mapping, &query, count_step, &tally, &told);
    const bool mapped = mapping_decide(mapping, &query, &decided);
    must(told.outcome == decided.outcome && told.rule == decided.rule);
    must(mapped == (decided.outcome == MAPPING_MAPPED));
    must(mapped == (decided.certificate != NULL));
    const bool one = tally.certificate[0] != tally.certificate[1];
    must(mapped == (one && !tally.failed));
    must(!mapped || tally.certificate[decided.certificate[0] == 'b']);
    return decided;
}

static void check(const struct mapping *mapping, const struct mapping *reversed,
                  const char *principal)
{
    static const char *const generations[] = {"g", "h", NULL};
    for (size_t i = 0; i < 3; i++) {
        const struct mapping_decision one = decide(mapping, principal, generations[i]);
        const struct mapping_decision other = decide(reversed, principal, generations[i]);
        must(one.outcome == other.outcome);
        must(one.certificate == NULL || strcmp(one.certificate, other.certificate) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view lines[LINES_MAX + 1];
    size_t count = 0, start = 0;
    if (size > 2048) {
        return 0;
    }
    for (size_t i = 0; i <= size && count <= LINES_MAX; i++) {
        if (i == size || data[i] == '\n') {
            lines[count++] = (struct view){data + start, i - start};
            start = i + 1;
        }
    }
    char principal[PRINCIPAL_SIZE];
    if (principal_canonical(lines[count - 1], principal) != PRINCIPAL_OK) {
        memcpy(principal, "orders", sizeof("orders"));
    }
    struct mapping *mapping = build(lines, count - 1, false);
    struct mapping *reversed = build(lines, count - 1, true);
    must((mapping == NULL) == (reversed == NULL));
    if (mapping != NULL) {
        must(strcmp(mapping_hash(mapping), mapping_hash(reversed)) == 0);
        check(mapping, reversed, principal);
        check(mapping, reversed, "setu");
    }
    mapping_unref(&mapping);
    mapping_unref(&reversed);
    return 0;
}
