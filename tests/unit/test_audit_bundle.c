/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_bundle.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/audit_kit.h"

static char *archive;
static size_t length;

static struct view make(const struct audit_key *key)
{
    struct audit_bundle bundle = {0};
    FILE *out = open_memstream(&archive, &length);
    char *made = strdup("made");
    audit_bundle_add(&bundle, "README", view_from_string("read me\n"));
    audit_bundle_add(&bundle, "log/audit.log", view_from_string("records"));
    audit_bundle_take(&bundle, "made.json", made, strlen(made));
    audit_bundle_add(&bundle, "empty", view_of(NULL, 0));
    cr_assert(audit_bundle_write(&bundle, key, 1800000000, out));
    fclose(out);
    audit_bundle_free(&bundle);
    return view_of(archive, length);
}

static const char *verify(struct view bytes, struct audit_key *key, char name[64])
{
    struct audit_bundle bundle;
    struct audit_key *keys[] = {key};
    const char *wrong = audit_bundle_read(&bundle, bytes, keys, 1, name, 64);
    if (wrong == NULL) {
        cr_assert_eq(bundle.count, 6);
        const struct audit_bundle_entry *entry = audit_bundle_find(&bundle, "log/audit.log");
        cr_assert_not_null(entry);
        cr_assert(view_is(entry->bytes, "records"));
    }
    audit_bundle_free(&bundle);
    return wrong;
}

Test(audit_bundle, what_was_signed_is_verified)
{
    char name[64];
    struct audit_key *key = kit_key(1), *other = kit_key(2);
    const struct view all = make(key);
    cr_assert_null(verify(all, key, name));
    cr_assert_not_null(strstr(verify(all, other, name), "not signed"));
    free(archive);
    audit_key_unref(&key);
    audit_key_unref(&other);
}

Test(audit_bundle, every_changed_byte_that_counts_is_found)
{
    char name[64];
    struct audit_key *key = kit_key(1);
    const struct view all = make(key);
    size_t unnoticed = 0;
    for (size_t at = 0; at < all.length; at++) {
        archive[at] ^= 0x04;
        unnoticed += verify(all, key, name) == NULL ? 1 : 0;
        archive[at] ^= 0x04;
    }
    /* The rest of a block behind a file's end is nobody's. */
    const size_t contents[] = {8, 7, 4, 0, 64 * 4 + 2 * 4 + 4 + 6 + 13 + 9 + 5, 64};
    size_t slack = 0;
    for (size_t i = 0; i < 6; i++) {
        slack += (512 - contents[i] % 512) % 512;
    }
    cr_assert_leq(unnoticed, slack);
    free(archive);
    audit_key_unref(&key);
}

Test(audit_bundle, every_prefix_is_refused)
{
    char name[64];
    struct audit_key *key = kit_key(1);
    const struct view all = make(key);
    for (size_t cut = 0; cut + 512 < all.length; cut++) {
        cr_assert_not_null(verify(view_of(all.at, cut), key, name));
    }
    free(archive);
    audit_key_unref(&key);
}

/* A file put in beside those that are signed. */
Test(audit_bundle, a_file_too_many_is_refused)
{
    char name[64], *bytes = NULL;
    size_t size = 0;
    struct audit_key *key = kit_key(1);
    const struct view all = make(key);
    FILE *out = open_memstream(&bytes, &size);
    cr_assert(tar_put(out, "setu-evidence/more", view_from_string("x"), 1));
    fwrite(all.at, 1, all.length, out);
    fclose(out);
    cr_assert_not_null(strstr(verify(view_of(bytes, size), key, name), "too many"));
    free(bytes);
    out = open_memstream(&bytes, &size);
    cr_assert(tar_put(out, "setu-evidence/README", view_from_string("x"), 1));
    fwrite(all.at, 1, all.length, out);
    fclose(out);
    cr_assert_not_null(verify(view_of(bytes, size), key, name), "twice the same name");
    free(bytes);
    free(archive);
    audit_key_unref(&key);
}

static int run(const char *format, const char *folder)
{
    char command[1024];
    snprintf(command, sizeof command, format, folder);
    return system(command);
}

/* As an auditor without Setu does it. */
Test(audit_bundle, tar_sha256sum_and_openssl_agree)
{
    char folder[] = "/tmp/setu-bundle-XXXXXX", path[64], pem[512];
    struct audit_key *key = kit_key(1);
    const struct view all = make(key);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/b.tar", folder);
    FILE *file = fopen(path, "w");
    fwrite(all.at, 1, all.length, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/key.pem", folder);
    file = fopen(path, "w");
    cr_assert(audit_key_public_pem(key, pem, sizeof pem));
    fputs(pem, file);
    fclose(file);
    cr_assert_eq(run("cd %s && tar xf b.tar && cd setu-evidence && "
                     "sha256sum --strict -c MANIFEST >/dev/null && "
                     "openssl pkeyutl -verify -rawin -pubin -inkey ../key.pem -in MANIFEST "
                     "-sigfile MANIFEST.sig >/dev/null",
                     folder),
                 0);
    cr_assert_eq(run("cd %s/setu-evidence && echo >> MANIFEST && ! openssl pkeyutl -verify -rawin "
                     "-pubin -inkey ../key.pem -in MANIFEST -sigfile MANIFEST.sig >/dev/null",
                     folder),
                 0);
    cr_assert_eq(run("rm -r %s", folder), 0);
    free(archive);
    audit_key_unref(&key);
}
