/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/safe_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void folder_make(void)
{
    strcpy(folder, "/tmp/test_safe_file_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void folder_drop(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

/* One of a few buffers in turn. */
static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void file_make(const char *name, const char *text)
{
    int file = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

static void link_make(const char *target, const char *name)
{
    cr_assert_eq(symlink(target, at(name)), 0, "%s", strerror(errno));
}

static void folder_in(const char *name, mode_t mode)
{
    cr_assert_eq(mkdir(at(name), 0700), 0);
    cr_assert_eq(chmod(at(name), mode), 0);
}

static void reads(const char *name, const char *text)
{
    char got[16] = "";
    int file = safe_file_open(at(name));
    cr_assert_geq(file, 0, "%s: %s", name, strerror(errno));
    cr_assert_eq(read(file, got, sizeof got - 1), (ssize_t)strlen(text));
    cr_assert_str_eq(got, text);
    close(file);
}

static void refuses(const char *name, int number)
{
    errno = 0;
    cr_assert_eq(safe_file_open(at(name)), -1, "%s", name);
    cr_assert_eq(errno, number, "%s: %s", name, strerror(errno));
}

TestSuite(safe_file, .init = folder_make, .fini = folder_drop);

Test(safe_file, opens_plain_files)
{
    file_make("f", "abc");
    reads("f", "abc");
    refuses("none", ENOENT);
    refuses("none/f", ENOENT);
    refuses("", ENOENT);
    cr_assert_eq(chdir(folder), 0);
    int file = safe_file_open("f");
    cr_assert_geq(file, 0);
    close(file);
}

/* What a projected volume looks like: a sticky folder of root's that everybody may write to. */
Test(safe_file, follows_what_kubernetes_makes_and_swaps)
{
    folder_in("volume", 01777);
    folder_in("volume/..2026_01", 0755);
    folder_in("volume/..2026_02", 0755);
    file_make("volume/..2026_01/tls.key", "one");
    file_make("volume/..2026_02/tls.key", "two");
    link_make("..2026_01", "volume/..data");
    link_make("..data/tls.key", "volume/tls.key");
    reads("volume/tls.key", "one");
    link_make("..2026_02", "volume/..data_tmp");
    cr_assert_eq(rename(at("volume/..data_tmp"), at("volume/..data")), 0);
    reads("volume/tls.key", "two");
}

Test(safe_file, follows_what_acme_clients_make)
{
    folder_in("live", 0700);
    folder_in("archive", 0700);
    file_make("archive/privkey7.pem", "seven");
    link_make("../archive/privkey7.pem", "live/privkey.pem");
    reads("live/privkey.pem", "seven");
    link_make(at("live/privkey.pem"), "absolute");
    reads("absolute", "seven");
}

/* T52: a key behind a link that somebody else could have made */
Test(safe_file, t52_refuses_links_that_others_could_have_made)
{
    file_make("f", "abc");
    static const mode_t modes[] = {0777, 0770, 0702};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        folder_in("open", modes[i]);
        link_make("../f", "open/link");
        refuses("open/link", ELOOP);
        link_make("open/link", "outer"); /* safe itself, but leads through one that is not */
        refuses("outer", ELOOP);
        cr_assert_eq(unlink(at("outer")), 0);
        cr_assert_eq(unlink(at("open/link")), 0);
        cr_assert_eq(rmdir(at("open")), 0);
    }
}

/* T52: a foreign link, or a foreign folder, sticky or not */
Test(safe_file, t52_refuses_links_of_other_owners)
{
    if (geteuid() != 0) {
        cr_skip_test("only root can give files away");
    }
    file_make("f", "abc");
    folder_in("sticky", 01777);
    link_make("../f", "sticky/link");
    reads("sticky/link", "abc");
    cr_assert_eq(lchown(at("sticky/link"), 65534, 65534), 0);
    refuses("sticky/link", ELOOP);
    folder_in("theirs", 0755);
    link_make("../f", "theirs/link");
    cr_assert_eq(chown(at("theirs"), 65534, 65534), 0);
    refuses("theirs/link", ELOOP);
}

Test(safe_file, ends_where_links_go_in_a_circle_or_nowhere)
{
    link_make("b", "a");
    link_make("a", "b");
    refuses("a", ELOOP);
    link_make("none", "dangling");
    refuses("dangling", ENOENT);
}

Test(safe_file, a_fifo_does_not_stop_it)
{
    cr_assert_eq(mkfifo(at("fifo"), 0600), 0);
    int file = safe_file_open(at("fifo"));
    cr_assert_geq(file, 0);
    close(file);
}
