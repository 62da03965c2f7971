/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/glob.h"
#include "proxy/cli/cli_map.h"
#include "proxy/cli/cli_out.h"

enum { NONE = -1 };

struct diff {
    const struct map_input *old, *new;
    bool *old_seen, *new_seen; /* rules that were told, or are the same */
    json_t *changes;           /* NULL: text is printed at once */
    size_t count;
};

static const struct conf_mapping *old_rule(const struct diff *diff, size_t i)
{
    return mapping_rule(diff->old->mapping, i);
}

static const struct conf_mapping *new_rule(const struct diff *diff, size_t i)
{
    return mapping_rule(diff->new->mapping, i);
}

/* ---- telling ---- */

static void print_side(const char *sign, const struct map_input *input, size_t rule)
{
    char text[CLI_OUT_TEXT_SIZE], safe[CLI_OUT_TEXT_SIZE];
    const struct conf_mapping *conf = mapping_rule(input->mapping, rule);
    const char *when = mapping_when(input->mapping, rule);
    map_rule_text(conf, text, sizeof text);
    printf("  %s %s  %s `%s`%s%s -> %s\n", sign, text,
           mapping_kind_name((enum mapping_kind)conf->kind), cli_out_safe(conf->pattern, safe),
           when[0] != '\0' ? " when " : "", when, conf->certificate);
}

/* NONE: there is no such side. */
static void tell(struct diff *diff, const char *change, long old, long new)
{
    diff->count++;
    if (diff->changes == NULL) {
        printf("%s\n", change);
        if (old != NONE) {
            print_side("-", diff->old, (size_t)old);
        }
        if (new != NONE) {
            print_side("+", diff->new, (size_t) new);
        }
    } else {
        json_t *row = json_object();
        json_object_set_new(row, "change", json_string(change));
        json_object_set_new(row, "old",
                            old != NONE ? map_rule_json(diff->old, (size_t)old) : json_null());
        json_object_set_new(row, "new",
                            new != NONE ? map_rule_json(diff->new, (size_t) new) : json_null());
        json_array_append_new(diff->changes, row);
    }
    if (old != NONE) {
        diff->old_seen[old] = true;
    }
    if (new != NONE) {
        diff->new_seen[new] = true;
    }
}

static void tell_certificate(struct diff *diff, const struct conf_certificate *old,
                             const struct conf_certificate *new)
{
    diff->count++;
    if (diff->changes == NULL) {
        printf("re-pointed certificate %s\n  - %s\n  + %s\n", old->name, old->chain, new->chain);
        return;
    }
    json_t *row = json_object();
    json_object_set_new(row, "change", json_string("re-pointed certificate"));
    json_object_set_new(row, "certificate", cli_out_string(old->name));
    json_object_set_new(row, "old", cli_out_string(old->chain));
    json_object_set_new(row, "new", cli_out_string(new->chain));
    json_array_append_new(diff->changes, row);
}

/* ---- comparing ---- */

static bool same_pattern(const struct conf_mapping *a, const struct conf_mapping *b)
{
    return a->kind == b->kind && strcmp(a->pattern, b->pattern) == 0;
}

static bool same_certificate(const struct conf_mapping *a, const struct conf_mapping *b)
{
    return strcmp(a->certificate, b->certificate) == 0;
}

static bool same_when(const struct diff *diff, size_t old, size_t new)
{
    return strcmp(mapping_when(diff->old->mapping, old), mapping_when(diff->new->mapping, new)) ==
           0;
}

/* Every principal the old rule takes, the new one surely takes too. */
static bool covers(const struct diff *diff, size_t old, size_t new)
{
    const struct conf_mapping *before = old_rule(diff, old), *after = new_rule(diff, new);
    if (same_pattern(before, after)) {
        return true;
    }
    if (before->kind == CONF_MAPPING_EXACT) {
        return mapping_takes(diff->new->mapping, new, before->principal) == MAPPING_YES;
    }
    return before->kind == CONF_MAPPING_GLOB && after->kind == CONF_MAPPING_GLOB &&
           glob_covers(after->pattern, before->pattern);
}

/* Where the two hold, in the new configuration's places. */
struct reach {
    bool old_only, new_only;
};

static struct reach compare_reach(const struct diff *diff, size_t old, size_t new)
{
    struct mapping_context context;
    struct reach reach = {false, false};
    mapping_context_begin(&context, diff->new->config, NULL);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, NULL);
        const bool before = mapping_holds(diff->old->mapping, old, &query);
        const bool after = mapping_holds(diff->new->mapping, new, &query);
        reach.old_only = reach.old_only || (before && !after);
        reach.new_only = reach.new_only || (after && !before);
    }
    return reach;
}

typedef bool (*pair_fn)(const struct diff *diff, size_t old, size_t new);

static bool is_same(const struct diff *diff, size_t old, size_t new)
{
    return same_pattern(old_rule(diff, old), new_rule(diff, new)) &&
           same_certificate(old_rule(diff, old), new_rule(diff, new)) && same_when(diff, old, new);
}

static bool is_re_pointed(const struct diff *diff, size_t old, size_t new)
{
    return same_pattern(old_rule(diff, old), new_rule(diff, new)) && same_when(diff, old, new);
}

static bool is_moved(const struct diff *diff, size_t old, size_t new)
{
    return same_pattern(old_rule(diff, old), new_rule(diff, new)) &&
           same_certificate(old_rule(diff, old), new_rule(diff, new));
}

static bool is_widened(const struct diff *diff, size_t old, size_t new)
{
    return same_certificate(old_rule(diff, old), new_rule(diff, new)) && covers(diff, old, new);
}

static const char *name_of_move(const struct diff *diff, size_t old, size_t new)
{
    const struct reach reach = compare_reach(diff, old, new);
    return reach.new_only && reach.old_only ? "moved"
           : reach.new_only                 ? "widened"
           : reach.old_only                 ? "narrowed"
                                            : "rewritten";
}

/* Rules that go together and have not been told; `change` NULL: said by name_of_move(), "": they are
 * the same, and nothing is said. */
static void pair_up(struct diff *diff, pair_fn together, const char *change)
{
    for (size_t i = 0; i < mapping_count(diff->old->mapping); i++) {
        for (size_t k = 0; k < mapping_count(diff->new->mapping) && !diff->old_seen[i]; k++) {
            if (diff->new_seen[k] || !together(diff, i, k)) {
                continue;
            }
            if (change != NULL && change[0] == '\0') {
                diff->old_seen[i] = diff->new_seen[k] = true;
            } else {
                tell(diff, change != NULL ? change : name_of_move(diff, i, k), (long)i, (long)k);
            }
        }
    }
}

static void compare_certificates(struct diff *diff)
{
    const struct config *config = diff->old->config;
    for (size_t i = 0; i < config->certificates_count; i++) {
        const struct conf_certificate *old = &config->certificates[i];
        const struct conf_certificate *new = config_certificate(diff->new->config, old->name);
        if (new != NULL && strcmp(old->chain, new->chain) != 0) {
            tell_certificate(diff, old, new);
        }
    }
}

static void compare(struct diff *diff)
{
    pair_up(diff, is_same, "");
    pair_up(diff, is_re_pointed, "re-pointed");
    pair_up(diff, is_moved, NULL);
    pair_up(diff, is_widened, "widened");
    for (size_t i = 0; i < mapping_count(diff->old->mapping); i++) {
        if (!diff->old_seen[i]) {
            tell(diff, "removed", (long)i, NONE);
        }
    }
    for (size_t i = 0; i < mapping_count(diff->new->mapping); i++) {
        if (!diff->new_seen[i]) {
            tell(diff, "added", NONE, (long)i);
        }
    }
    compare_certificates(diff);
}

static bool *flags(size_t count)
{
    bool *made = calloc(count + 1, sizeof *made);
    if (made == NULL) {
        abort();
    }
    return made;
}

static int report(const struct cli_call *call, const struct map_input *old,
                  const struct map_input *new)
{
    struct diff diff = {
        .old = old,
        .new = new,
        .old_seen = flags(mapping_count(old->mapping)),
        .new_seen = flags(mapping_count(new->mapping)),
        .changes = call->json ? json_array() : NULL,
    };
    compare(&diff);
    if (call->json) {
        json_t *root = map_header_json(call, new);
        json_object_set_new(root, "old_config", cli_out_string(old->config->file));
        json_object_set_new(root, "old_config_hash", json_string(old->config_hash));
        json_object_set_new(root, "old_mapping_hash", json_string(mapping_hash(old->mapping)));
        json_object_set_new(root, "changes", diff.changes);
        cli_out_answer(call, root);
    } else {
        printf("%zu change%s\n", diff.count, diff.count == 1 ? "" : "s");
    }
    free(diff.old_seen);
    free(diff.new_seen);
    return diff.count == 0 ? CLI_OK : CLI_NEGATIVE;
}

int cli_map_diff(const struct cli_call *call)
{
    struct map_input old, new;
    if (!map_load(call, call->operands[0], &old)) {
        return CLI_BAD_CONFIG;
    }
    int status = CLI_BAD_CONFIG;
    if (map_load(call, call->operands[1], &new)) {
        status = report(call, &old, &new);
        map_free(&new);
    }
    map_free(&old);
    return status;
}
