/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/dump.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "conf/config.h"
#include "conf/keys.h"

enum { DOCUMENTED_MAX = 256, LINE_MAX_COLUMNS = 100 };

struct dump {
    FILE *out;
    bool comments;
    const struct key *documented[DOCUMENTED_MAX];
    size_t documented_count;
};

static void dump_section(struct dump *dump, const struct key_section *section, const void *base,
                         int indent, bool item);

static const void *field_at(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static size_t count_at(const struct key *key, const void *base)
{
    return *(const size_t *)field_at(base, key->count_offset);
}

/* Words that some YAML reader takes for something other than text. */
static bool is_reserved(const char *text)
{
    static const char *const reserved[] = {"null", "true", "false", "yes", "no",
                                           "on",   "off",  "y",     "n"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (strcasecmp(text, reserved[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_plain(const char *text)
{
    static const char first[] = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char rest[] = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return text[0] != '\0' && strchr(first, text[0]) != NULL &&
           strspn(text, rest) == strlen(text) && !is_reserved(text);
}

static void dump_text(struct dump *dump, const char *text)
{
    if (is_plain(text)) {
        fputs(text, dump->out);
        return;
    }
    fputc('"', dump->out);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            fputc('\\', dump->out);
        }
        fputc(*at, dump->out);
    }
    fputc('"', dump->out);
}

static void dump_ranges(struct dump *dump, const struct conf_range *ranges, size_t count)
{
    fputc('"', dump->out);
    for (size_t i = 0; i < count; i++) {
        fprintf(dump->out, "%s%" PRId32, i > 0 ? "," : "", ranges[i].first);
        if (ranges[i].last != ranges[i].first) {
            fprintf(dump->out, "-%" PRId32, ranges[i].last);
        }
    }
    fputc('"', dump->out);
}

static void dump_addresses(struct dump *dump, const struct conf_address *addresses, size_t count)
{
    fputc('[', dump->out);
    for (size_t i = 0; i < count; i++) {
        bool six = strchr(addresses[i].host, ':') != NULL;
        fprintf(dump->out, "%s\"%s%s%s:%d\"", i > 0 ? ", " : "", six ? "[" : "", addresses[i].host,
                six ? "]" : "", addresses[i].port);
    }
    fputc(']', dump->out);
}

static void dump_words(struct dump *dump, const char *const *words, size_t count)
{
    fputc('[', dump->out);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", dump->out);
        dump_text(dump, words[i]);
    }
    fputc(']', dump->out);
}

/* A value that stands on the line of its key. */
static void dump_value(struct dump *dump, const struct key *key, const void *base)
{
    const void *field = field_at(base, key->offset);
    switch (key->type) {
    case KEY_TEXT:
    case KEY_WORD:
        dump_text(dump, *(const char *const *)field);
        break;
    case KEY_BOOL:
        fputs(*(const bool *)field ? "true" : "false", dump->out);
        break;
    case KEY_INT:
        fprintf(dump->out, "%d", *(const int *)field);
        break;
    case KEY_SIZE:
        fprintf(dump->out, "%zu", *(const size_t *)field);
        break;
    case KEY_MS:
        fprintf(dump->out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case KEY_CHOICE:
        dump_text(dump, key->words[*(const int *)field]);
        break;
    case KEY_WORDS:
    case KEY_TEXTS:
        dump_words(dump, *(const char *const *const *)field, count_at(key, base));
        break;
    case KEY_ONE_OR_MORE:
        if (count_at(key, base) == 1) {
            dump_text(dump, **(const char *const *const *)field);
        } else {
            dump_words(dump, *(const char *const *const *)field, count_at(key, base));
        }
        break;
    case KEY_ADDRESSES:
        dump_addresses(dump, *(const struct conf_address *const *)field, count_at(key, base));
        break;
    case KEY_RANGES:
        dump_ranges(dump, *(const struct conf_range *const *)field, count_at(key, base));
        break;
    default:
        break;
    }
}

/* A key without default that was not given has no value to write. */
static bool is_absent(const struct key *key, const void *base)
{
    const void *field = field_at(base, key->offset);
    switch (key->type) {
    case KEY_TEXT:
    case KEY_WORD:
        return (*(const char *const *)field)[0] == '\0';
    case KEY_INT:
        return key->fallback == NULL && *(const int *)field == 0;
    case KEY_RANGES:
    case KEY_TEXTS:
    case KEY_ONE_OR_MORE:
        return count_at(key, base) == 0;
    case KEY_SECTION:
        return key->section->present_offset != KEY_NO_OFFSET &&
               !*(const bool *)field_at(field, (size_t)key->section->present_offset);
    default:
        return false;
    }
}

static int facts_range(const struct key *key, char *text, size_t size)
{
    if (key->type == KEY_INT || key->type == KEY_SIZE || key->type == KEY_MS) {
        return snprintf(text, size, "From %" PRId64 " to %" PRId64 ".", key->min, key->max);
    }
    if (key->words == NULL) {
        return 0;
    }
    int used = snprintf(text, size, "%s", key->type == KEY_WORDS ? "Of " : "One of ");
    for (size_t i = 0; key->words[i] != NULL; i++) {
        used +=
            snprintf(text + used, size - (size_t)used, "%s%s", i > 0 ? ", " : "", key->words[i]);
    }
    return used + snprintf(text + used, size - (size_t)used, ".");
}

void dump_key_facts(const struct key *key, char *text, size_t size)
{
    text[0] = '\0';
    int used = facts_range(key, text, size);
    const char *gap = used > 0 ? " " : "";
    if (key->required) {
        snprintf(text + used, size - (size_t)used, "%sRequired.", gap);
    } else if (key->fallback != NULL) {
        snprintf(text + used, size - (size_t)used, "%sDefault: %s.", gap, key->fallback);
    }
}

/* Breaks text into comment lines. */
static void dump_comment(struct dump *dump, const char *text, int indent)
{
    size_t width = (size_t)(LINE_MAX_COLUMNS - indent - 2);
    while (*text != '\0') {
        size_t length = strlen(text);
        if (length > width) {
            length = width;
            while (length > 0 && text[length] != ' ') {
                length--;
            }
        }
        fprintf(dump->out, "%*s# %.*s\n", indent, "", (int)length, text);
        text += length;
        text += strspn(text, " ");
    }
}

static bool is_documented(const struct dump *dump, const struct key *key)
{
    for (size_t i = 0; i < dump->documented_count; i++) {
        if (dump->documented[i] == key) {
            return true;
        }
    }
    return false;
}

static void document(struct dump *dump, const struct key *key, int indent)
{
    if (!dump->comments || is_documented(dump, key) || dump->documented_count == DOCUMENTED_MAX) {
        return;
    }
    dump->documented[dump->documented_count++] = key;
    char facts[256];
    char text[1024];
    dump_key_facts(key, facts, sizeof facts);
    snprintf(text, sizeof text, "%s%s%s", key->doc, facts[0] != '\0' ? " " : "", facts);
    if (indent == 0) {
        fputc('\n', dump->out);
    }
    dump_comment(dump, text, indent);
}

static void dump_items(struct dump *dump, const struct key *key, const void *base, int indent)
{
    size_t count = count_at(key, base);
    const char *items = *(const char *const *)field_at(base, key->offset);
    if (count == 0) {
        fputs(" []\n", dump->out);
        return;
    }
    fputc('\n', dump->out);
    for (size_t i = 0; i < count; i++) {
        dump_section(dump, key->section, items + i * key->section->size, indent + 4, true);
    }
}

static void dump_key(struct dump *dump, const struct key *key, const void *base, int indent,
                     bool first)
{
    document(dump, key, first ? indent - 2 : indent);
    fprintf(dump->out, "%*s%s%s:", first ? indent - 2 : indent, "", first ? "- " : "", key->name);
    if (key->type == KEY_SECTION) {
        fputc('\n', dump->out);
        dump_section(dump, key->section, field_at(base, key->offset), indent + 2, false);
    } else if (key->type == KEY_ITEMS) {
        dump_items(dump, key, base, indent);
    } else {
        fputc(' ', dump->out);
        dump_value(dump, key, base);
        fputc('\n', dump->out);
    }
}

/* A section all of whose keys are absent is written as an empty map, for it is there all the same.
 */
static void dump_section(struct dump *dump, const struct key_section *section, const void *base,
                         int indent, bool item)
{
    bool first = item;
    bool any = false;
    for (size_t i = 0; i < section->keys_count; i++) {
        if (!is_absent(&section->keys[i], base)) {
            dump_key(dump, &section->keys[i], base, indent, first);
            first = false;
            any = true;
        }
    }
    if (!any) {
        fprintf(dump->out, "%*s{}\n", indent, "");
    }
}

void dump_config(const struct config *config, FILE *out, bool comments)
{
    struct dump dump = {.out = out, .comments = comments};
    dump_section(&dump, &keys_root, config, 0, false);
}

void config_dump_cluster(const struct conf_cluster *cluster, FILE *out)
{
    struct dump dump = {.out = out};
    const struct key *clusters = &keys_root.keys[keys_find(&keys_root, "clusters")];
    dump_section(&dump, clusters->section, cluster, 0, false);
}

void config_dump(const struct config *config, FILE *out)
{
    dump_config(config, out, false);
}
