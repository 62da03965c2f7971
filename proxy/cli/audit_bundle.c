/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_bundle.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const char folder[] = "setu-evidence/";
static const char manifest_name[] = "MANIFEST";
static const char signature_name[] = "MANIFEST.sig";

enum { SHA_TEXT_SIZE = 65 };

/* ---- entries ---- */

static struct audit_bundle_entry *grow(struct audit_bundle *bundle, const char *name)
{
    struct audit_bundle_entry *grown =
        realloc(bundle->entries, (bundle->count + 1) * sizeof *grown);
    char *copy = strdup(name);
    if (grown == NULL || copy == NULL) {
        abort();
    }
    bundle->entries = grown;
    grown[bundle->count] = (struct audit_bundle_entry){.name = copy};
    return &grown[bundle->count++];
}

void audit_bundle_add(struct audit_bundle *bundle, const char *name, struct view bytes)
{
    grow(bundle, name)->bytes = bytes;
}

void audit_bundle_take(struct audit_bundle *bundle, const char *name, char *bytes, size_t length)
{
    struct audit_bundle_entry *entry = grow(bundle, name);
    entry->bytes = view_of(bytes, length);
    entry->owned = true;
}

void audit_bundle_free(struct audit_bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++) {
        free(bundle->entries[i].name);
        if (bundle->entries[i].owned) {
            free((void *)(uintptr_t)bundle->entries[i].bytes.at);
        }
    }
    free(bundle->entries);
    *bundle = (struct audit_bundle){0};
}

const struct audit_bundle_entry *audit_bundle_find(const struct audit_bundle *bundle,
                                                   const char *name)
{
    for (size_t i = 0; i < bundle->count; i++) {
        if (strcmp(bundle->entries[i].name, name) == 0) {
            return &bundle->entries[i];
        }
    }
    return NULL;
}

static void sha_text(struct view bytes, char out[SHA_TEXT_SIZE])
{
    uint8_t digest[32];
    if (EVP_Digest(bytes.length == 0 ? (const void *)"" : (const void *)bytes.at, bytes.length,
                   digest, NULL, EVP_sha256(), NULL) != 1) {
        abort();
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static char *manifest_of(const struct audit_bundle *bundle, size_t *length_r)
{
    char sha[SHA_TEXT_SIZE], *text = NULL;
    FILE *out = open_memstream(&text, length_r);
    if (out == NULL) {
        abort();
    }
    for (size_t i = 0; i < bundle->count; i++) {
        sha_text(bundle->entries[i].bytes, sha);
        fprintf(out, "%s  %s\n", sha, bundle->entries[i].name);
    }
    if (fclose(out) != 0) {
        abort();
    }
    return text;
}

/* ---- writing ---- */

static bool put(FILE *out, const char *name, struct view bytes, int64_t time_s)
{
    char whole[TAR_NAME_SIZE];
    return (size_t)snprintf(whole, sizeof whole, "%s%s", folder, name) < sizeof whole &&
           tar_put(out, whole, bytes, time_s);
}

bool audit_bundle_write(const struct audit_bundle *bundle, const struct audit_key *key,
                        int64_t time_s, FILE *out)
{
    uint8_t signature[AUDIT_SIGNATURE_BYTES];
    size_t length = 0;
    char *manifest = manifest_of(bundle, &length);
    bool good = audit_key_sign(key, view_of(manifest, length), signature);
    for (size_t i = 0; good && i < bundle->count; i++) {
        good = put(out, bundle->entries[i].name, bundle->entries[i].bytes, time_s);
    }
    good = good && put(out, manifest_name, view_of(manifest, length), time_s) &&
           put(out, signature_name, view_of(signature, sizeof signature), time_s) && tar_end(out);
    free(manifest);
    return good;
}

/* ---- reading ---- */

static const char *unpack(struct audit_bundle *bundle, struct view archive)
{
    char name[TAR_NAME_SIZE];
    struct view content;
    enum tar_status status = TAR_OK;
    while ((status = tar_next(&archive, name, &content)) == TAR_OK) {
        const size_t lead = sizeof folder - 1;
        if (strncmp(name, folder, lead) != 0 || audit_bundle_find(bundle, name + lead) != NULL) {
            return "it is no archive of `setu audit bundle`";
        }
        audit_bundle_add(bundle, name + lead, content);
    }
    return status == TAR_END ? NULL : "it is cut off, or no archive of `setu audit bundle`";
}

static const char *verify_signature(const struct audit_bundle_entry *manifest,
                                    const struct audit_bundle_entry *signature,
                                    struct audit_key *const *keys, size_t key_count)
{
    if (manifest == NULL || signature == NULL) {
        return "it has no manifest, or no signature";
    }
    for (size_t i = 0; i < key_count; i++) {
        if (audit_key_verify(keys[i], manifest->bytes, signature->bytes)) {
            return NULL;
        }
    }
    return "its manifest is not signed with a key given";
}

/* The manifest is signed, so it says what was there; made anew from what is there, it must be the same. */
static const char *compare(const struct audit_bundle *bundle, struct view manifest, char *text_r,
                           size_t text_size)
{
    char *lines = strndup(manifest.length > 0 ? (const char *)manifest.at : "", manifest.length);
    char sha[SHA_TEXT_SIZE], *save = NULL;
    const char *wrong = NULL;
    size_t listed = 0;
    if (lines == NULL) {
        abort();
    }
    for (char *line = strtok_r(lines, "\n", &save); wrong == NULL && line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        const char *name = strlen(line) > SHA_TEXT_SIZE + 1 ? line + SHA_TEXT_SIZE + 1 : "";
        const struct audit_bundle_entry *entry = audit_bundle_find(bundle, name);
        sha_text(entry != NULL ? entry->bytes : view_of(NULL, 0), sha);
        if (entry == NULL || strncmp(line, sha, SHA_TEXT_SIZE - 1) != 0) {
            snprintf(text_r, text_size, "%s", name);
            wrong = entry == NULL ? "a file is missing" : "a file was changed";
        }
        listed++;
    }
    free(lines);
    return wrong == NULL && listed + 2 != bundle->count ? "there is a file too many" : wrong;
}

const char *audit_bundle_read(struct audit_bundle *bundle, struct view archive,
                              struct audit_key *const *keys, size_t key_count, char *text_r,
                              size_t text_size)
{
    *bundle = (struct audit_bundle){0};
    text_r[0] = '\0';
    const char *wrong = unpack(bundle, archive);
    const struct audit_bundle_entry *manifest = audit_bundle_find(bundle, manifest_name);
    if (wrong == NULL) {
        wrong =
            verify_signature(manifest, audit_bundle_find(bundle, signature_name), keys, key_count);
    }
    return wrong == NULL ? compare(bundle, manifest->bytes, text_r, text_size) : wrong;
}
