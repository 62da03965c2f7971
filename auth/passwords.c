/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/passwords.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "auth/kerberos.h"
#include "auth/principal.h"
#include "conf/credential.h"
#include "conf/errors.h"
#include "conf/yaml.h"

struct entry {
    char principal[PRINCIPAL_SIZE];
    char username[PRINCIPAL_SIZE];
    char *file;               /* owned: of the password, the token or the keys */
    struct password password; /* views the three above */
    struct conf_place place;  /* while reading only */
};

struct passwords {
    atomic_size_t references;
    size_t count;
    struct entry *entries; /* sorted by principal */
};

static const char *const file_keys[] = {"credentials", NULL};
static const char *const secret_keys[] = {"principal", "username", "password_file", NULL};
static const char *const token_keys[] = {"principal", "token_file", NULL};
static const char *const keytab_keys[] = {"principal", "username", "keytab", NULL};

static bool read_text(const struct yaml_node *map, const char *key, struct conf_errors *errors,
                      const struct yaml_node **node_r)
{
    const char *text;
    *node_r = yaml_get(map, key);
    if (*node_r == NULL) {
        conf_errors_add(errors, map->place, "%s is missing (add `%s:`)", key, key);
        return false;
    }
    return yaml_text(*node_r, errors, &text);
}

static void read_name(const struct yaml_node *map, const char *key, char name_r[PRINCIPAL_SIZE],
                      struct conf_errors *errors)
{
    const struct yaml_node *node;
    if (!read_text(map, key, errors, &node)) {
        return;
    }
    enum principal_status status = principal_canonical(view_of(node->text, node->length), name_r);
    if (status != PRINCIPAL_OK) {
        conf_errors_add(errors, node->place, "%s is %s", key, principal_status_text(status));
    }
}

/* Keeps the path in the entry; NULL = reported. */
static const struct yaml_node *read_file(const struct yaml_node *map, const char *key,
                                         struct entry *entry, struct conf_errors *errors)
{
    const struct yaml_node *node;
    char path[PATH_MAX];
    if (!read_text(map, key, errors, &node)) {
        return NULL;
    }
    const char *problem = credential_resolve(node->text, path);
    if (problem != NULL) {
        conf_errors_add(errors, node->place, "%s '%.300s' %s", key, node->text, problem);
        return NULL;
    }
    entry->file = strdup(path);
    if (entry->file == NULL) {
        abort();
    }
    return node;
}

static bool read_secret(const struct yaml_node *map, const char *key, struct entry *entry,
                        struct secret *secret_r, struct conf_errors *errors)
{
    const struct yaml_node *node = read_file(map, key, entry, errors);
    if (node == NULL) {
        return false;
    }
    enum secret_file_status status = secret_read_password(secret_r, entry->file);
    if (status != SECRET_FILE_OK) {
        conf_errors_add(errors, node->place, "%s %s %s%s%s", key, entry->file,
                        secret_file_text(status), status == SECRET_FILE_UNREADABLE ? ": " : "",
                        status == SECRET_FILE_UNREADABLE ? strerror(errno) : "");
        return false;
    }
    if (memchr(secret_r->at, 0, secret_r->length) != NULL) {
        conf_errors_add(errors, node->place, "%s %s holds a NUL", key, entry->file);
    }
    return true;
}

/* The token of today is of no use: only its file is kept. */
static void read_token_file(const struct yaml_node *map, struct entry *entry,
                            struct conf_errors *errors)
{
    struct secret token = {0};
    if (read_secret(map, "token_file", entry, &token, errors)) {
        entry->password.token_file = entry->file;
    }
    secret_wipe(&token);
    memcpy(entry->username, entry->principal, sizeof entry->username);
}

static void read_keytab(const struct yaml_node *map, struct entry *entry,
                        struct conf_errors *errors)
{
    struct kerberos_fault fault;
    const struct yaml_node *node = read_file(map, "keytab", entry, errors);
    if (node == NULL || entry->username[0] == 0) {
        return;
    }
    entry->password.kerberos = kerberos_login_new(entry->username, entry->file, &fault);
    if (entry->password.kerberos == NULL) {
        conf_errors_add(errors, node->place, "keytab %s of %s: %s", entry->file, entry->username,
                        fault.text);
    }
}

static void read_entry(const struct yaml_node *node, enum passwords_kind kind, struct entry *entry,
                       struct conf_errors *errors)
{
    entry->place = node->place;
    if (!yaml_is_map(node, errors)) {
        return;
    }
    bool tokens = kind == PASSWORDS_TOKENS;
    (void)yaml_known_keys(node,
                          tokens                      ? token_keys
                          : kind == PASSWORDS_KEYTABS ? keytab_keys
                                                      : secret_keys,
                          errors);
    read_name(node, "principal", entry->principal, errors);
    if (tokens) {
        read_token_file(node, entry, errors);
        return;
    }
    read_name(node, "username", entry->username, errors);
    if (kind == PASSWORDS_KEYTABS) {
        read_keytab(node, entry, errors);
        return;
    }
    (void)read_secret(node, "password_file", entry, &entry->password.secret, errors);
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->principal, ((const struct entry *)b)->principal);
}

static void sort(struct passwords *passwords, struct conf_errors *errors)
{
    qsort(passwords->entries, passwords->count, sizeof *passwords->entries, entry_compare);
    for (size_t i = 0; i < passwords->count; i++) {
        struct entry *entry = &passwords->entries[i];
        entry->password.principal = entry->principal;
        entry->password.username = entry->username;
        if (i > 0 && entry->principal[0] != 0 && entry_compare(entry - 1, entry) == 0) {
            conf_errors_add(errors, entry->place,
                            "a credential for this principal is there already (drop one)");
        }
    }
}

static struct passwords *passwords_new(size_t count)
{
    struct passwords *passwords = calloc(1, sizeof *passwords);
    if (passwords == NULL) {
        return NULL;
    }
    atomic_init(&passwords->references, 1);
    passwords->entries = calloc(count > 0 ? count : 1, sizeof *passwords->entries);
    if (passwords->entries == NULL) {
        passwords_unref(&passwords);
        return NULL;
    }
    passwords->count = count;
    return passwords;
}

static struct passwords *build(const struct yaml_node *root, enum passwords_kind kind,
                               struct conf_errors *errors)
{
    if (!yaml_is_map(root, errors)) {
        return NULL;
    }
    (void)yaml_known_keys(root, file_keys, errors);
    const struct yaml_node *list = yaml_get(root, "credentials");
    if (list == NULL) {
        conf_errors_add(errors, root->place, "no credentials (add `credentials:`)");
        return NULL;
    }
    if (!yaml_is_list(list, errors)) {
        return NULL;
    }
    if (list->count > PASSWORDS_MAX) {
        conf_errors_add(errors, list->place, "more than %d credentials", PASSWORDS_MAX);
        return NULL;
    }
    struct passwords *passwords = passwords_new(list->count);
    if (passwords == NULL) {
        conf_errors_add(errors, root->place, "out of memory");
        return NULL;
    }
    size_t i = 0;
    for (const struct yaml_node *it = list->first; it != NULL; it = it->next) {
        read_entry(it, kind, &passwords->entries[i++], errors);
    }
    sort(passwords, errors);
    return passwords;
}

enum passwords_kind passwords_kind_of(const char *mechanism)
{
    return strcmp(mechanism, "OAUTHBEARER") == 0 ? PASSWORDS_TOKENS
           : strcmp(mechanism, "GSSAPI") == 0    ? PASSWORDS_KEYTABS
                                                 : PASSWORDS_SECRETS;
}

struct passwords *passwords_load(const char *path, enum passwords_kind kind,
                                 struct conf_errors *errors)
{
    struct secret text;
    enum secret_file_status status = secret_read_file(&text, path, PASSWORDS_FILE_BYTES_MAX);
    if (status != SECRET_FILE_OK) {
        conf_errors_add(errors, (struct conf_place){.file = path}, "credentials file %s%s%s",
                        secret_file_text(status), status == SECRET_FILE_UNREADABLE ? ": " : "",
                        status == SECRET_FILE_UNREADABLE ? strerror(errno) : "");
        return NULL;
    }
    struct yaml_tree *tree = yaml_parse((const char *)text.at, text.length, path, errors);
    secret_wipe(&text);
    if (tree == NULL) {
        return NULL;
    }
    size_t errors_before = errors->errors;
    struct passwords *passwords = build(yaml_root(tree), kind, errors);
    if (passwords != NULL && errors->errors > errors_before) {
        passwords_unref(&passwords);
    }
    yaml_tree_free(&tree);
    return passwords;
}

struct passwords *passwords_ref(const struct passwords *passwords)
{
    struct passwords *it = (struct passwords *)passwords;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void passwords_unref(struct passwords **passwords)
{
    struct passwords *it = *passwords;
    *passwords = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < it->count; i++) {
        secret_wipe(&it->entries[i].password.secret);
        free(it->entries[i].file);
        kerberos_login_unref(&it->entries[i].password.kerberos);
    }
    free(it->entries);
    free(it);
}

size_t passwords_count(const struct passwords *passwords)
{
    return passwords->count;
}

void passwords_files(const struct passwords *passwords,
                     void (*fn)(void *context, const char *path), void *context)
{
    for (size_t i = 0; passwords != NULL && i < passwords->count; i++) {
        if (passwords->entries[i].file != NULL) {
            fn(context, passwords->entries[i].file);
        }
    }
}

static int principal_compare(const void *key, const void *entry)
{
    return strcmp(key, ((const struct entry *)entry)->principal);
}

const struct password *passwords_find(const struct passwords *passwords, const char *principal)
{
    const struct entry *entry = bsearch(principal, passwords->entries, passwords->count,
                                        sizeof *passwords->entries, principal_compare);
    return entry != NULL ? &entry->password : NULL;
}

enum secret_file_status passwords_read_token(const struct password *password,
                                             struct secret *token_r)
{
    return secret_read_password(token_r, password->token_file);
}
