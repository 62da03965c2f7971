/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/landlock.h"

/* top: allowed/file, allowed/link -> ../elsewhere/file, elsewhere/file, written/ */
static char top[64];
enum { FINE = 0, REFUSED = 40, WRONG = 41, NO_LANDLOCK = 42 };

static const char *path(const char *name)
{
    static char text[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof text[turn], "%s/%s", top, name);
    return text[turn];
}

static void make(const char *name)
{
    int fd = open(path(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, "x", 1) == 1, "%s", name);
    close(fd);
}

static void setup(void)
{
    strcpy(top, "/tmp/setu-landlock-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    const char *const folders[] = {"allowed", "allowed/deep", "elsewhere", "written"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        cr_assert_eq(mkdir(path(folders[i]), 0700), 0);
    }
    make("allowed/file");
    make("allowed/deep/file");
    make("elsewhere/file");
    make("written/file");
    cr_assert_eq(symlink("../elsewhere/file", path("allowed/link")), 0);
}

static void teardown(void)
{
    const char *const files[] = {"allowed/file",   "allowed/deep/file", "allowed/link",
                                 "elsewhere/file", "written/file",      "written/new",
                                 "written/newer"};
    const char *const folders[] = {"allowed/deep", "allowed", "elsewhere", "written", ""};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)unlink(path(files[i]));
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)rmdir(path(folders[i]));
    }
}

TestSuite(landlock, .init = setup, .fini = teardown);

static bool opens(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* In a process of its own, with the rules; what act says. */
static int inside(struct landlock *landlock, int (*act)(const struct landlock *landlock))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(landlock_enter(landlock) ? act(landlock) : NO_LANDLOCK);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "%x", status);
    return WEXITSTATUS(status);
}

static void answers(struct landlock *landlock, int (*act)(const struct landlock *landlock))
{
    if (landlock_version() == 0) {
        cr_skip_test("NOT TESTED: this kernel has no Landlock");
    }
    int got = inside(landlock, act);
    landlock_free(landlock);
    cr_assert_eq(got, FINE, "step %d failed", got);
}

static int what_was_named(const struct landlock *landlock)
{
    return !opens(path("allowed/file"), O_RDONLY)                     ? 1
           : !opens(path("allowed/deep/file"), O_RDONLY)              ? 2
           : opens(path("allowed/file"), O_WRONLY)                    ? 3
           : opens(path("allowed/new"), O_WRONLY | O_CREAT)           ? 4
           : opens(path("elsewhere/file"), O_RDONLY)                  ? 5
           : opens(path("allowed/link"), O_RDONLY)                    ? 6
           : opens("/etc/passwd", O_RDONLY)                           ? 7
           : !opens(path("written/new"), O_WRONLY | O_CREAT)          ? 8
           : rename(path("written/new"), path("written/newer")) != 0  ? 9
           : unlink(path("written/newer")) != 0                       ? 10
           : truncate(path("written/file"), 0) != 0                   ? 11
           : unlink(path("allowed/file")) == 0                        ? 12
           : symlink("/etc/passwd", path("written/new")) == 0         ? 13
           : rename(path("written/file"), path("allowed/file2")) == 0 ? 14
           : !landlock_reaches(landlock, path("allowed/file"))        ? 15
           : !landlock_reaches(landlock, path("allowed/not-there"))   ? 16
           : landlock_reaches(landlock, path("elsewhere/file"))       ? 17
           : landlock_reaches(landlock, path("allowed/link"))         ? 18
           : landlock_reaches(landlock, "/etc/passwd")                ? 19
                                                                      : FINE;
}

/* T77: opening what was not named. */
Test(landlock, t77_only_what_was_named_can_be_opened)
{
    struct landlock landlock = {0};
    cr_assert(landlock_add_file(&landlock, path("allowed/file"), false));
    cr_assert(landlock_add(&landlock, path("written"), true));
    cr_assert(landlock_add(&landlock, path("written"), false), "the wider one stays");
    cr_assert_eq(landlock.count, 2u);
    answers(&landlock, what_was_named);
}

static int behind_a_link(const struct landlock *landlock)
{
    return !opens(path("allowed/link"), O_RDONLY)              ? 1
           : !landlock_reaches(landlock, path("allowed/link")) ? 2
                                                               : FINE;
}

Test(landlock, a_link_is_followed_once)
{
    struct landlock landlock = {0};
    cr_assert(landlock_add_file(&landlock, path("allowed/link"), false));
    cr_assert_eq(landlock.count, 2u);
    answers(&landlock, behind_a_link);
}

static int a_renewed_file(const struct landlock *landlock)
{
    (void)landlock;
    return opens(path("allowed/deep/file"), O_RDONLY) ? FINE : 1;
}

Test(landlock, a_file_that_is_replaced_stays_within_reach)
{
    struct landlock landlock = {0};
    cr_assert(landlock_add_file(&landlock, path("allowed/deep/file"), false));
    cr_assert_eq(unlink(path("allowed/deep/file")), 0);
    make("allowed/deep/file");
    answers(&landlock, a_renewed_file);
}

static int a_program(const struct landlock *landlock)
{
    char *const arguments[] = {"/bin/true", NULL};
    (void)landlock;
    execv(arguments[0], arguments);
    return errno == EACCES ? FINE : 1;
}

/* T77: no program is started, though its file can be read. */
Test(landlock, t77_no_program_is_started)
{
    struct landlock landlock = {0};
    cr_assert(landlock_add(&landlock, "/bin", true));
    answers(&landlock, a_program);
}

static int another_file_there(const struct landlock *landlock)
{
    return !opens(path("../setu-landlock-lone"), O_RDONLY)              ? 1
           : opens(path("elsewhere/file"), O_RDONLY)                    ? 2
           : landlock_reaches(landlock, path("elsewhere/file"))         ? 3
           : !landlock_reaches(landlock, path("../setu-landlock-lone")) ? 4
                                                                        : FINE;
}

Test(landlock, what_holds_everything_is_not_opened_up_for_one_file)
{
    struct landlock landlock = {0};
    make("../setu-landlock-lone");
    cr_assert(landlock_add_file(&landlock, "/tmp/setu-landlock-lone", false));
    answers(&landlock, another_file_there);
    unlink("/tmp/setu-landlock-lone");
}

static void expect_broad(const char *at, bool folder, const char *which)
{
    char broad[PATH_MAX] = "";
    cr_expect_eq(landlock_is_broad(at, folder, broad), which != NULL, "%s", at);
    cr_expect(which == NULL || strcmp(broad, which) == 0, "%s: %s", at, broad);
}

Test(landlock, what_is_written_among_others_files_is_told)
{
    cr_assert_eq(symlink("/tmp/setu-landlock-log", path("allowed/link2")), 0);
    make("../setu-landlock-log");
    expect_broad("/tmp/setu-landlock-lone", false, "/tmp");
    expect_broad(path("allowed/link2"), false, "/tmp"); /* by what it leads to */
    expect_broad(path("written/file"), false, NULL);
    expect_broad(path("missing/file"), false, NULL);
    expect_broad("/var/log/setu.log", false, "/var/log");
    expect_broad("/etc/setu.log", false, "/etc");
    expect_broad("/etc/security/setu.log", false, "/etc/security");
    expect_broad("/usr/lib/../share/setu.log", false, "/usr/share");
    expect_broad("/dev/null", false, "/dev");
    expect_broad("/var/tmp", true, "/var/tmp");
    expect_broad("/var/log/.", true, "/var/log");
    expect_broad(path("written"), true, NULL);
    expect_broad(path("missing"), true, NULL);
    unlink("/tmp/setu-landlock-log");
    unlink(path("allowed/link2"));
}

Test(landlock, what_is_not_there_is_said)
{
    struct landlock landlock = {0};
    cr_assert_not(landlock_add(&landlock, path("missing"), true));
    cr_assert_not(landlock_add_file(&landlock, path("missing/file"), true));
    cr_assert_eq(landlock.count, 0u);
    cr_assert(landlock_reaches(&landlock, "/etc/passwd"), "it is not on");
}
