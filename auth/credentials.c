/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/credentials.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/base64.h"
#include "auth/mech.h"
#include "auth/phantom.h"
#include "auth/principal.h"
#include "auth/secret.h"
#include "conf/errors.h"
#include "conf/yaml.h"

enum { TAG_BYTES = 32, PHANTOM_KEY_TEXT_MIN = 16, PHANTOM_KEY_TEXT_MAX = 64 };

/* What a record is looked up for. The first two are numbered as enum scram_hash. */
enum slot { SLOT_SHA_256, SLOT_SHA_512, SLOT_PLAIN, SLOT_COUNT };

static const struct {
    const char *key;
    const char *mechanism;
} slots[SLOT_COUNT] = {
    {"scram-sha-256", "SCRAM-SHA-256"},
    {"scram-sha-512", "SCRAM-SHA-512"},
    {"plain", "PLAIN"},
};

struct user {
    char name[PRINCIPAL_SIZE];
    size_t name_length;
    bool allowed[SLOT_COUNT]; /* has a record and may use it */
    uint32_t permitted;       /* bits by position in mech_names; 0: every mechanism */
    struct scram_record records[SLOT_COUNT];
};

struct tag {
    uint8_t bytes[TAG_BYTES]; /* HMAC of the name: order and search time tell nothing about names */
    size_t user;
};

struct credentials {
    atomic_size_t references;
    size_t count;
    struct user *users; /* in the order of the file */
    struct tag *tags;   /* sorted */
    uint8_t phantom_key[PHANTOM_KEY_BYTES];
    struct phantom_shapes shapes[SLOT_COUNT];
};

static const char *const file_keys[] = {"phantom_key", "users", NULL};
static const char *const user_keys[] = {"name",  "scram-sha-256", "scram-sha-512",
                                        "plain", "mechanisms",    NULL};

/* --- lookup --- */

static bool name_tag(const struct credentials *users, struct view name, uint8_t tag_r[TAG_BYTES])
{
    uint8_t message[PRINCIPAL_BYTES_MAX + 2] = {'t', 0};
    if (name.length > PRINCIPAL_BYTES_MAX) {
        return false;
    }
    if (name.length > 0) {
        memcpy(message + 2, name.at, name.length);
    }
    return HMAC(EVP_sha256(), users->phantom_key, PHANTOM_KEY_BYTES, message, name.length + 2,
                tag_r, NULL) != NULL;
}

/* The user whose tag this is, or, with *found_r false, any user. Always the same number of steps.
 */
static const struct user *tag_find(const struct credentials *users, const uint8_t tag[TAG_BYTES],
                                   bool *found_r)
{
    size_t base = 0;
    for (size_t left = users->count; left > 1; left -= left / 2) {
        size_t middle = base + left / 2;
        base = memcmp(users->tags[middle].bytes, tag, TAG_BYTES) <= 0 ? middle : base;
    }
    *found_r = CRYPTO_memcmp(users->tags[base].bytes, tag, TAG_BYTES) == 0;
    return &users->users[users->tags[base].user];
}

/* out = real where take, else out stays: without a branch on take. */
static void record_select(struct scram_record *out, const struct scram_record *real, bool take)
{
    uint8_t mask = (uint8_t)(0 - (unsigned)take);
    uint8_t *to = (uint8_t *)out;
    const uint8_t *from = (const uint8_t *)real;
    for (size_t i = 0; i < sizeof *out; i++) {
        to[i] = (uint8_t)((to[i] & (uint8_t)~mask) | (from[i] & mask));
    }
}

static bool find(const struct credentials *users, enum slot slot, enum scram_hash fallback,
                 struct view name, struct credentials_match *match_r)
{
    static const struct user nobody;
    uint8_t tag[TAG_BYTES];
    *match_r = (struct credentials_match){0};
    if (!name_tag(users, name, tag) ||
        !phantom_make(&users->shapes[slot], fallback, users->phantom_key, (uint8_t)slot, name,
                      &match_r->record)) {
        return false;
    }
    bool found = false;
    const struct user *user = users->count > 0 ? tag_find(users, tag, &found) : &nobody;
    match_r->user_known = found;
    match_r->record_real = found & user->allowed[slot];
    record_select(&match_r->record, &user->records[slot], match_r->record_real);
    return true;
}

bool credentials_find_scram(const struct credentials *users, enum scram_hash hash, struct view name,
                            struct credentials_match *match_r)
{
    return find(users, hash == SCRAM_SHA_256 ? SLOT_SHA_256 : SLOT_SHA_512, hash, name, match_r);
}

bool credentials_find_plain(const struct credentials *users, struct view name,
                            struct credentials_match *match_r)
{
    return find(users, SLOT_PLAIN, SCRAM_SHA_512, name, match_r);
}

/* Its bit in `permitted`; 0 for an unknown mechanism. */
static uint32_t mechanism_bit(const char *mechanism)
{
    size_t count;
    const char *const *names = mech_names(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], mechanism) == 0) {
            return UINT32_C(1) << i;
        }
    }
    return 0;
}

bool credentials_permit(const struct credentials *users, struct view principal,
                        const char *mechanism)
{
    uint8_t tag[TAG_BYTES];
    bool found = false;
    if (users->count == 0) {
        return true;
    }
    if (!name_tag(users, principal, tag)) {
        return false;
    }
    const struct user *user = tag_find(users, tag, &found);
    return !found || user->permitted == 0 || (user->permitted & mechanism_bit(mechanism)) != 0;
}

enum auth_reason credentials_judge(const struct credentials_match *match, bool proof_holds)
{
    if (match->record_real) {
        return proof_holds ? AUTH_REASON_NONE : AUTH_REASON_BAD_PASSWORD;
    }
    return match->user_known ? AUTH_REASON_MECHANISM_NOT_ALLOWED : AUTH_REASON_UNKNOWN_USER;
}

/* --- life --- */

struct credentials *credentials_ref(const struct credentials *users)
{
    struct credentials *it = (struct credentials *)users;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void credentials_unref(struct credentials **users)
{
    struct credentials *it = *users;
    *users = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (it->users != NULL) {
        OPENSSL_cleanse(it->users, it->count * sizeof *it->users);
    }
    free(it->users);
    free(it->tags);
    OPENSSL_cleanse(it, sizeof *it);
    free(it);
}

size_t credentials_count(const struct credentials *users)
{
    return users->count;
}

const char *credentials_name(const struct credentials *users, size_t i)
{
    return i < users->count ? users->users[i].name : NULL;
}

bool credentials_serve(const struct credentials *users, const char *mechanism)
{
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        if (strcmp(slots[slot].mechanism, mechanism) == 0) {
            return users->shapes[slot].total > 0;
        }
    }
    return false;
}

/* --- reading --- */

static struct view node_view(const struct yaml_node *node)
{
    return view_of(node->text, node->length);
}

static void read_name(const struct yaml_node *map, struct user *user, struct conf_errors *errors)
{
    const struct yaml_node *node = yaml_get(map, "name");
    const char *text;
    if (node == NULL) {
        conf_errors_add(errors, map->place, "a user without a name (add `name:`)");
        return;
    }
    if (!yaml_text(node, errors, &text)) {
        return;
    }
    enum principal_status status = principal_canonical(node_view(node), user->name);
    if (status != PRINCIPAL_OK) {
        conf_errors_add(errors, node->place, "name is %s (nobody could log in under it)",
                        principal_status_text(status));
    }
    user->name_length = strlen(user->name);
}

/* A record for PLAIN comes with either hash: the one with which it parses. */
static bool plain_parse(struct view value, struct scram_record *record, const char **error_r)
{
    const char *error_256;
    if (scram_record_parse(value, SCRAM_SHA_256, record, &error_256) ||
        scram_record_parse(value, SCRAM_SHA_512, record, error_r)) {
        return true;
    }
    if (strstr(*error_r, "SHA-512") != NULL) {
        *error_r = strstr(error_256, "SHA-256") != NULL ? "keys are 32 or 64 bytes in base64, both"
                                                        : error_256;
    }
    return false;
}

static void read_record(const struct yaml_node *node, enum slot slot, struct user *user,
                        struct conf_errors *errors)
{
    const char *text;
    const char *error;
    if (!yaml_text(node, errors, &text)) {
        return;
    }
    struct view value = node_view(node);
    struct scram_record *record = &user->records[slot];
    bool read = slot == SLOT_PLAIN
                    ? plain_parse(value, record, &error)
                    : scram_record_parse(value, (enum scram_hash)slot, record, &error);
    if (!read) {
        conf_errors_add(errors, node->place, "%s: %s (make one with `setu scram`)", slots[slot].key,
                        error);
    }
    user->allowed[slot] = read;
}

/* A user of mechanisms that ask no record needs none. */
static bool needs_record(const struct yaml_node *map)
{
    const struct yaml_node *list = yaml_get(map, "mechanisms");
    const struct yaml_node *it = list != NULL && list->kind == YAML_LIST ? list->first : NULL;
    for (; it != NULL; it = it->next) {
        if (mech_known(it->text) && !mech_needs_users(it->text)) {
            return false;
        }
    }
    return true;
}

static void read_records(const struct yaml_node *map, struct user *user, struct conf_errors *errors)
{
    bool any = !needs_record(map);
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        const struct yaml_node *node = yaml_get(map, slots[slot].key);
        if (node != NULL) {
            any = true;
            read_record(node, (enum slot)slot, user, errors);
        }
    }
    if (!any) {
        conf_errors_add(errors, map->place,
                        "user without a record (add `scram-sha-512:`, made with `setu scram`)");
    }
    for (int slot = SLOT_SHA_512; slot >= 0 && !user->allowed[SLOT_PLAIN]; slot--) {
        if (user->allowed[slot]) {
            user->records[SLOT_PLAIN] = user->records[slot];
            user->allowed[SLOT_PLAIN] = true;
        }
    }
}

static void mechanism_wanted(const struct yaml_node *node, struct user *user,
                             bool wanted[SLOT_COUNT], struct conf_errors *errors)
{
    const char *text;
    if (!yaml_text(node, errors, &text)) {
        return;
    }
    user->permitted |= mechanism_bit(text);
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        if (strcmp(slots[slot].mechanism, text) == 0) {
            if (!user->allowed[slot]) {
                conf_errors_add(errors, node->place, "no record for %s (add `%s:` or drop it)",
                                text, slots[slot].key);
            }
            wanted[slot] = true;
            return;
        }
    }
    if (!mech_known(text)) {
        conf_errors_add(errors, node->place,
                        "unknown mechanism (GSSAPI, SCRAM-SHA-512, SCRAM-SHA-256, OAUTHBEARER or "
                        "PLAIN)");
    }
}

static void read_mechanisms(const struct yaml_node *map, struct user *user,
                            struct conf_errors *errors)
{
    const struct yaml_node *list = yaml_get(map, "mechanisms");
    if (list == NULL || !yaml_is_list(list, errors)) {
        return;
    }
    bool wanted[SLOT_COUNT] = {false};
    if (list->count == 0) {
        conf_errors_add(errors, list->place,
                        "mechanisms is empty: the user could not log in (drop it or name one)");
    }
    for (const struct yaml_node *it = list->first; it != NULL; it = it->next) {
        mechanism_wanted(it, user, wanted, errors);
    }
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        if (!wanted[slot]) {
            scram_record_wipe(&user->records[slot]);
            user->allowed[slot] = false;
        }
    }
}

static void read_user(const struct yaml_node *node, struct user *user, struct conf_errors *errors)
{
    if (!yaml_is_map(node, errors)) {
        return;
    }
    (void)yaml_known_keys(node, user_keys, errors);
    read_name(node, user, errors);
    read_records(node, user, errors);
    read_mechanisms(node, user, errors);
}

static int tag_compare(const void *a, const void *b)
{
    return memcmp(((const struct tag *)a)->bytes, ((const struct tag *)b)->bytes, TAG_BYTES);
}

static bool phantom_key_given(const struct yaml_node *node, uint8_t key_r[PHANTOM_KEY_BYTES],
                              struct conf_errors *errors)
{
    uint8_t given[PHANTOM_KEY_TEXT_MAX];
    size_t length = 0;
    const char *text;
    if (!yaml_text(node, errors, &text)) {
        return false;
    }
    if (!base64_read(node_view(node), given, sizeof given, &length) ||
        length < PHANTOM_KEY_TEXT_MIN) {
        conf_errors_add(errors, node->place,
                        "phantom_key is not 16 to 64 bytes in base64 (openssl rand -base64 32)");
        return false;
    }
    bool made = EVP_Digest(given, length, key_r, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_cleanse(given, sizeof given);
    return made;
}

/* Without a key in the file: a digest over what only this file knows. */
static bool phantom_key_derived(const struct credentials *users, uint8_t key_r[PHANTOM_KEY_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool made = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, "setu phantom", 12) == 1;
    for (size_t i = 0; made && i < users->count; i++) {
        const struct user *user = &users->users[i];
        made = EVP_DigestUpdate(digest, user->name, sizeof user->name) == 1;
        for (int slot = 0; made && slot < SLOT_COUNT; slot++) {
            const struct scram_record *record = &user->records[slot];
            made = EVP_DigestUpdate(digest, record->stored_key, sizeof record->stored_key) == 1 &&
                   EVP_DigestUpdate(digest, record->server_key, sizeof record->server_key) == 1;
        }
    }
    made = made && EVP_DigestFinal_ex(digest, key_r, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return made;
}

/* The list node of user i. */
static const struct yaml_node *list_at(const struct yaml_node *list, size_t i)
{
    const struct yaml_node *it = list->first;
    while (i > 0) {
        it = it->next;
        i--;
    }
    return it;
}

/* Tags, shapes and the phantom key: all that a lookup needs beside the users. */
static bool index_build(struct credentials *users, const struct yaml_node *root,
                        struct conf_errors *errors)
{
    const struct yaml_node *key = yaml_get(root, "phantom_key");
    const struct yaml_node *list = yaml_get(root, "users");
    bool made = key != NULL ? phantom_key_given(key, users->phantom_key, errors)
                            : phantom_key_derived(users, users->phantom_key);
    for (size_t i = 0; made && i < users->count; i++) {
        const struct user *user = &users->users[i];
        users->tags[i].user = i;
        made = name_tag(users, view_of(user->name, user->name_length), users->tags[i].bytes);
        for (int slot = 0; slot < SLOT_COUNT; slot++) {
            if (user->allowed[slot]) {
                phantom_shapes_add(&users->shapes[slot], &user->records[slot]);
            }
        }
    }
    if (!made) {
        return false;
    }
    qsort(users->tags, users->count, sizeof *users->tags, tag_compare);
    for (size_t i = 1; i < users->count; i++) {
        if (tag_compare(&users->tags[i - 1], &users->tags[i]) == 0) {
            size_t a = users->tags[i - 1].user, b = users->tags[i].user;
            conf_errors_add(errors, list_at(list, a > b ? a : b)->place,
                            "a user of this name is there already (merge the two)");
        }
    }
    return true;
}

static struct credentials *credentials_new(size_t count)
{
    struct credentials *users = calloc(1, sizeof *users);
    if (users == NULL) {
        return NULL;
    }
    atomic_init(&users->references, 1);
    users->users = calloc(count > 0 ? count : 1, sizeof *users->users);
    users->tags = calloc(count > 0 ? count : 1, sizeof *users->tags);
    users->count = count;
    if (users->users == NULL || users->tags == NULL) {
        users->count = users->users == NULL ? 0 : count;
        credentials_unref(&users);
    }
    return users;
}

static struct credentials *build(const struct yaml_node *root, struct conf_errors *errors)
{
    if (!yaml_is_map(root, errors)) {
        return NULL;
    }
    (void)yaml_known_keys(root, file_keys, errors);
    const struct yaml_node *list = yaml_get(root, "users");
    if (list == NULL) {
        conf_errors_add(errors, root->place, "no users (add `users:`)");
        return NULL;
    }
    if (!yaml_is_list(list, errors)) {
        return NULL;
    }
    if (list->count > CREDENTIALS_USERS_MAX) {
        conf_errors_add(errors, list->place, "more than %d users", CREDENTIALS_USERS_MAX);
        return NULL;
    }
    if (list->count == 0) {
        conf_errors_warn(errors, list->place, "no users: nobody can log in");
    }
    struct credentials *users = credentials_new(list->count);
    if (users == NULL) {
        conf_errors_add(errors, root->place, "out of memory");
        return NULL;
    }
    size_t errors_before = errors->errors;
    size_t i = 0;
    for (const struct yaml_node *it = list->first; it != NULL; it = it->next) {
        read_user(it, &users->users[i++], errors);
    }
    if (errors->errors == errors_before && !index_build(users, root, errors) &&
        errors->errors == errors_before) {
        conf_errors_add(errors, root->place, "the crypto library failed");
    }
    return users;
}

struct credentials *credentials_parse(struct view text, const char *file,
                                      struct conf_errors *errors)
{
    struct yaml_tree *tree = yaml_parse((const char *)text.at, text.length, file, errors);
    if (tree == NULL) {
        return NULL;
    }
    size_t errors_before = errors->errors; /* the list may hold those of other files already */
    struct credentials *users = build(yaml_root(tree), errors);
    if (users != NULL && errors->errors > errors_before) {
        credentials_unref(&users);
    }
    yaml_tree_free(&tree);
    return users;
}

struct credentials *credentials_load(const char *path, struct conf_errors *errors)
{
    struct secret text;
    enum secret_file_status status = secret_read_file(&text, path, CREDENTIALS_FILE_BYTES_MAX);
    if (status != SECRET_FILE_OK) {
        const char *why = status == SECRET_FILE_UNREADABLE ? strerror(errno) : "";
        conf_errors_add(errors, (struct conf_place){.file = path}, "users file %s%s%s",
                        secret_file_text(status), why[0] != 0 ? ": " : "", why);
        return NULL;
    }
    struct credentials *users = credentials_parse(secret_view(&text), path, errors);
    secret_wipe(&text);
    return users;
}
