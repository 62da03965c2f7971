/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/tar.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *archive;
static size_t length;

static FILE *begin(void)
{
    FILE *out = open_memstream(&archive, &length);
    cr_assert_not_null(out);
    return out;
}

static struct view end(FILE *out)
{
    cr_assert(tar_end(out));
    fclose(out);
    return view_of(archive, length);
}

Test(tar, what_is_put_is_found)
{
    static uint8_t big[3 * 512];
    char name[TAR_NAME_SIZE];
    char longest[] =
        "setu-evidence/log/a-folder-with-a-rather-long-name-so-that-both-parts-are-used/"
        "audit.log.000000000001-000000004711-and-some-more-letters";
    struct view content;
    FILE *out = begin();
    cr_assert(tar_put(out, "a/empty", view_of(NULL, 0), 1));
    cr_assert(tar_put(out, "a/big", view_of(big, sizeof big), 1));
    cr_assert(tar_put(out, longest, view_from_string("x"), 1800000000));
    struct view rest = end(out);
    cr_assert_eq(tar_next(&rest, name, &content), TAR_OK);
    cr_assert_str_eq(name, "a/empty");
    cr_assert_eq(content.length, 0);
    cr_assert_eq(tar_next(&rest, name, &content), TAR_OK);
    cr_assert_eq(content.length, sizeof big);
    cr_assert_eq(tar_next(&rest, name, &content), TAR_OK);
    cr_assert_str_eq(name, longest);
    cr_assert_eq(tar_next(&rest, name, &content), TAR_END);
    free(archive);
}

/* Another program's opinion. */
Test(tar, tar_reads_it)
{
    char path[] = "/tmp/setu-tar-XXXXXX", command[128], line[64] = "";
    FILE *out = begin();
    cr_assert(tar_put(out, "folder/name", view_from_string("content\n"), 1800000000));
    const struct view all = end(out);
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fwrite(all.at, 1, all.length, file);
    fclose(file);
    snprintf(command, sizeof command, "tar xOf %s folder/name 2>&1", path);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(fgets(line, sizeof line, pipe));
    cr_assert_eq(pclose(pipe), 0);
    cr_assert_str_eq(line, "content\n");
    unlink(path);
    free(archive);
}

Test(tar, names_that_do_not_fit)
{
    char name[400];
    FILE *out = begin();
    memset(name, 'a', sizeof name);
    name[101] = '\0';
    cr_assert_not(tar_put(out, name, view_of(NULL, 0), 1));
    name[101] = 'a';
    name[399] = '\0';
    name[100] = '/';
    cr_assert_not(tar_put(out, name, view_of(NULL, 0), 1));
    fclose(out);
    free(archive);
}

/* Every prefix, and every changed bit of the headers: refused or read, never believed. */
Test(tar, damaged_archives)
{
    char name[TAR_NAME_SIZE];
    struct view content;
    FILE *out = begin();
    cr_assert(tar_put(out, "a", view_from_string("one"), 1));
    cr_assert(tar_put(out, "b", view_from_string("two"), 1));
    const struct view all = end(out);
    for (size_t cut = 0; cut < all.length; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, all.at, cut);
        struct view rest = view_of(copy, cut);
        enum tar_status status = TAR_OK;
        while ((status = tar_next(&rest, name, &content)) == TAR_OK) {
        }
        cr_assert(status == TAR_BAD || cut >= all.length - 512);
        free(copy);
    }
    for (size_t at = 0; at < 512; at++) {
        uint8_t *copy = malloc(all.length);
        memcpy(copy, all.at, all.length);
        copy[at] ^= 0x10;
        struct view rest = view_of(copy, all.length);
        cr_assert_eq(tar_next(&rest, name, &content), TAR_BAD, "byte %zu", at);
        free(copy);
    }
    free(archive);
}

Test(tar, names_that_lead_elsewhere_are_refused)
{
    static const char *const names[] = {"/etc/passwd", "../x", "a/../../x", "a b", "a\nb", "a\\b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[TAR_NAME_SIZE];
        struct view content;
        FILE *out = begin();
        cr_assert(tar_put(out, names[i], view_of(NULL, 0), 1));
        struct view rest = end(out);
        cr_assert_eq(tar_next(&rest, name, &content), TAR_BAD, "%s", names[i]);
        free(archive);
    }
}
