/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "conf/arena.h"
#include "conf/source.h"

/* libyaml takes time that grows with the square of the nesting: past this, reading ends. */
enum { SKIPPED_DEPTH_MAX = 64 };

struct yaml_tree {
    struct arena arena;
    const char *file;
    const struct yaml_node *root;
};

/* An open list or map. */
struct level {
    struct yaml_node *node;
    struct yaml_node *last; /* newest child */
    const char *key;        /* map: key read, value awaited */
    struct conf_place key_place;
    bool key_read;
    bool key_refused; /* drop the value: its key was reported */
};

struct builder {
    struct yaml_tree *tree;
    struct conf_errors *errors;
    struct level levels[YAML_DEPTH_MAX];
    size_t depth;
    size_t skip; /* open lists and maps inside something that is not kept */
    size_t nodes;
    size_t documents;
};

enum build_status { BUILD_MORE, BUILD_DONE, BUILD_STOPPED };

static struct conf_place place_at(const struct builder *b, yaml_mark_t mark)
{
    return (struct conf_place){
        .line = (int)mark.line + 1,
        .column = (int)mark.column + 1,
        .file = b->tree->file,
    };
}

static bool key_awaited(const struct builder *b)
{
    return b->depth > 0 && b->levels[b->depth - 1].node->kind == YAML_MAP &&
           !b->levels[b->depth - 1].key_read;
}

static struct yaml_node *node_new(struct builder *b, enum yaml_kind kind, struct conf_place place)
{
    struct yaml_node *node = arena_take(&b->tree->arena, sizeof *node);
    node->kind = kind;
    node->place = place;
    node->text = "";
    b->nodes++;
    return node;
}

/* Hangs a value into what is open, or makes it the root. */
static void attach(struct builder *b, struct yaml_node *node)
{
    if (b->depth == 0) {
        b->tree->root = node;
        return;
    }
    struct level *level = &b->levels[b->depth - 1];
    bool dropped = level->key_refused;
    node->key = level->key;
    node->key_place = level->key_place;
    level->key = NULL;
    level->key_read = false;
    level->key_refused = false;
    if (dropped) {
        return;
    }
    if (level->last == NULL) {
        level->node->first = node;
    } else {
        level->last->next = node;
    }
    level->last = node;
    level->node->count++;
}

static void check_decoration(struct builder *b, struct conf_place place, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor != NULL) {
        conf_errors_add(b->errors, place, "anchor '&%.64s' (write the value out where it is used)",
                        (const char *)anchor);
    }
    if (tag != NULL) {
        conf_errors_add(b->errors, place, "tag '%.64s' (leave it out)", (const char *)tag);
    }
}

/* NULL = a good key. */
static const char *key_problem(const char *key, size_t length, bool plain)
{
    if (strlen(key) != length) {
        return "key contains a NUL character (remove it)";
    }
    if (length == 0) {
        return "empty key (write a name before the colon)";
    }
    if (plain && strcmp(key, "<<") == 0) {
        return "merge key '<<' (write the keys out)";
    }
    return NULL;
}

static void read_key(struct builder *b, const yaml_event_t *event)
{
    struct level *level = &b->levels[b->depth - 1];
    const char *key = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct conf_place place = place_at(b, event->start_mark);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const char *problem = key_problem(key, length, plain);
    if (problem != NULL) {
        conf_errors_add(b->errors, place, "%s", problem);
    }
    level->key = arena_text(&b->tree->arena, key, length);
    level->key_place = place;
    level->key_read = true;
    level->key_refused = problem != NULL;
}

static void refuse_key(struct builder *b, struct conf_place place, const char *what)
{
    conf_errors_add(b->errors, place, "%s used as a key (use a plain text)", what);
    b->levels[b->depth - 1].key_read = true;
    b->levels[b->depth - 1].key_refused = true;
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct conf_place place = place_at(b, event->start_mark);
    check_decoration(b, place, event->data.scalar.anchor, event->data.scalar.tag);
    if (key_awaited(b)) {
        read_key(b, event);
        return;
    }
    struct yaml_node *node = node_new(b, YAML_SCALAR, place);
    const char *text = (const char *)event->data.scalar.value;
    node->length = event->data.scalar.length;
    node->text = arena_text(&b->tree->arena, text, node->length);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(node->text) != node->length) {
        conf_errors_add(b->errors, place, "value contains a NUL character (remove it)");
        node->refused = true;
    }
    attach(b, node);
}

static void on_alias(struct builder *b, const yaml_event_t *event)
{
    struct conf_place place = place_at(b, event->start_mark);
    if (key_awaited(b)) {
        refuse_key(b, place, "alias");
        return;
    }
    conf_errors_add(b->errors, place, "alias '*%.64s' (write the value out)",
                    (const char *)event->data.alias.anchor);
    struct yaml_node *node = node_new(b, YAML_SCALAR, place);
    node->refused = true;
    attach(b, node);
}

static void on_start(struct builder *b, enum yaml_kind kind, struct conf_place place)
{
    if (key_awaited(b)) {
        refuse_key(b, place, kind == YAML_MAP ? "map" : "list");
        b->skip = 1;
        return;
    }
    struct yaml_node *node = node_new(b, kind, place);
    attach(b, node);
    if (b->depth == YAML_DEPTH_MAX) {
        conf_errors_add(b->errors, place, "more than %d levels of nesting (flatten the file)",
                        YAML_DEPTH_MAX);
        node->refused = true;
        b->skip = 1;
        return;
    }
    b->levels[b->depth++] = (struct level){.node = node};
}

/* By key, then by the order of the file, so that the second one is the duplicate. */
static int compare_keys(const void *left, const void *right)
{
    const struct yaml_node *a = *(struct yaml_node *const *)left;
    const struct yaml_node *b = *(struct yaml_node *const *)right;
    int order = strcmp(a->key, b->key);
    if (order != 0) {
        return order;
    }
    if (a->key_place.line != b->key_place.line) {
        return a->key_place.line < b->key_place.line ? -1 : 1;
    }
    return (a->key_place.column > b->key_place.column) -
           (a->key_place.column < b->key_place.column);
}

static void refuse_duplicates(struct builder *b, const struct yaml_node *map)
{
    if (map->count < 2) {
        return;
    }
    const struct yaml_node **sorted = calloc(map->count, sizeof *sorted);
    if (sorted == NULL) {
        abort();
    }
    size_t count = 0;
    for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
        sorted[count++] = node;
    }
    qsort(sorted, count, sizeof *sorted, compare_keys);
    size_t first = 0;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i]->key, sorted[first]->key) != 0) {
            first = i;
            continue;
        }
        conf_errors_add(b->errors, sorted[i]->key_place,
                        "duplicate key '%.64s' (first given at line %d; keep one)", sorted[i]->key,
                        sorted[first]->key_place.line);
        /* The tree is still being built; to everybody else it is constant. */
        ((struct yaml_node *)sorted[i])->refused = true;
    }
    free(sorted);
}

static void on_end(struct builder *b)
{
    const struct yaml_node *node = b->levels[--b->depth].node;
    if (node->kind == YAML_MAP) {
        refuse_duplicates(b, node);
    }
}

/* Inside something that is not kept only the nesting counts. */
static void skip_event(struct builder *b, yaml_event_type_t type)
{
    if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
        b->skip++;
    } else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT) {
        b->skip--;
    }
}

static enum build_status on_document(struct builder *b, const yaml_event_t *event)
{
    struct conf_place place = place_at(b, event->start_mark);
    bool tags = event->data.document_start.tag_directives.start !=
                event->data.document_start.tag_directives.end;
    if (event->data.document_start.version_directive != NULL || tags) {
        conf_errors_add(b->errors, place, "directive '%%' (leave it out)");
    }
    if (b->documents++ > 0) {
        conf_errors_add(b->errors, place, "second document (a file holds one: remove the '---')");
        return BUILD_DONE;
    }
    return BUILD_MORE;
}

static enum build_status on_event(struct builder *b, const yaml_event_t *event)
{
    if (b->skip > 0) {
        skip_event(b, event->type);
        return b->skip > SKIPPED_DEPTH_MAX ? BUILD_STOPPED : BUILD_MORE;
    }
    struct conf_place place = place_at(b, event->start_mark);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event);
    case YAML_SCALAR_EVENT:
        on_scalar(b, event);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        check_decoration(b, place, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag);
        on_start(b, YAML_LIST, place);
        break;
    case YAML_MAPPING_START_EVENT:
        check_decoration(b, place, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        on_start(b, YAML_MAP, place);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_end(b);
        break;
    case YAML_STREAM_END_EVENT:
        return BUILD_DONE;
    default:
        break;
    }
    if (b->nodes > YAML_NODES_MAX) {
        conf_errors_add(b->errors, place, "more than %d values (split or shorten the file)",
                        YAML_NODES_MAX);
        return BUILD_STOPPED;
    }
    return BUILD_MORE;
}

static void report_syntax(struct builder *b, const yaml_parser_t *parser)
{
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    struct conf_place place = place_at(b, parser->problem_mark);
    if (parser->context == NULL) {
        conf_errors_add(b->errors, place, "%s (check indentation, colons and quotes)", problem);
        return;
    }
    conf_errors_add(b->errors, place,
                    "%s, %s that starts at line %zu (check indentation, colons and quotes)",
                    problem, parser->context, parser->context_mark.line + 1);
}

static enum build_status build_step(struct builder *b, yaml_parser_t *parser)
{
    yaml_event_t event;
    if (!yaml_parser_parse(parser, &event)) {
        if (parser->error == YAML_MEMORY_ERROR) {
            abort();
        }
        report_syntax(b, parser);
        return BUILD_STOPPED;
    }
    enum build_status status = on_event(b, &event);
    yaml_event_delete(&event);
    return status;
}

static bool build(struct builder *b, const char *text, size_t length)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        abort();
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    enum build_status status = BUILD_MORE;
    while (status == BUILD_MORE) {
        status = build_step(b, &parser);
    }
    yaml_parser_delete(&parser);
    if (status == BUILD_DONE && b->tree->root == NULL) {
        conf_errors_add(b->errors, (struct conf_place){.file = b->tree->file},
                        "file holds no values (write at least one key)");
    }
    return status == BUILD_DONE && b->tree->root != NULL;
}

struct yaml_tree *yaml_parse_partial(const char *text, size_t length, const char *file,
                                     struct conf_errors *errors)
{
    if (!source_check(text, length, file, errors)) {
        return NULL;
    }
    struct yaml_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) {
        abort();
    }
    tree->file = arena_text(&tree->arena, file, strlen(file));
    struct builder b = {.tree = tree, .errors = errors};
    if (!build(&b, text, length)) {
        yaml_tree_free(&tree);
    }
    return tree;
}

struct yaml_tree *yaml_parse(const char *text, size_t length, const char *file,
                             struct conf_errors *errors)
{
    size_t before = errors->errors;
    struct yaml_tree *tree = yaml_parse_partial(text, length, file, errors);
    if (errors->errors != before) {
        yaml_tree_free(&tree);
    }
    return tree;
}

struct yaml_tree *yaml_load(const char *path, struct conf_errors *errors)
{
    char *text = NULL;
    size_t length = 0;
    if (!source_read(path, errors, &text, &length)) {
        return NULL;
    }
    struct yaml_tree *tree = yaml_parse(text, length, path, errors);
    explicit_bzero(text, length);
    free(text);
    return tree;
}

void yaml_tree_free(struct yaml_tree **tree)
{
    if (*tree == NULL) {
        return;
    }
    arena_deinit(&(*tree)->arena);
    free(*tree);
    *tree = NULL;
}

const struct yaml_node *yaml_root(const struct yaml_tree *tree)
{
    return tree->root;
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    if (node->kind != YAML_MAP) {
        return NULL;
    }
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}
