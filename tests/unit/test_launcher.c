/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/launcher.h"

/* What it starts is this test program with --takeover, which does nothing of the kind and ends. */

static struct launcher launcher;

static void begin(void)
{
    cr_assert(launcher_begin(&launcher));
    cr_assert_eq(launcher.command[0], '/');
    cr_assert_eq(access(launcher.command, X_OK), 0);
}

static void end(void)
{
    launcher_end(&launcher);
    free(launcher.command);
}

static bool readable(void)
{
    struct pollfd on = {.fd = launcher.fd, .events = POLLIN};
    return poll(&on, 1, 20000) == 1;
}

static struct launcher_news next(void)
{
    struct launcher_news news = {0};
    cr_assert(readable(), "no news");
    cr_assert(launcher_hear(&launcher, &news));
    return news;
}

TestSuite(launcher, .init = begin, .fini = end);

Test(launcher, says_nothing_unasked)
{
    struct launcher_news news;
    cr_assert_not(launcher_hear(&launcher, &news));
    cr_assert_not(launcher.gone);
}

Test(launcher, starts_it_and_tells_how_it_ended)
{
    for (int turn = 0; turn < 2; turn++) {
        cr_assert(launcher_start(&launcher));
        cr_assert_eq(next().kind, LAUNCHER_STARTED);
        cr_assert_eq(next().kind, LAUNCHER_ENDED);
    }
}

Test(launcher, ends_with_us)
{
    int status = -1;
    launcher_end(&launcher);
    cr_assert_gt(waitpid(-1, &status, 0), 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_not(launcher_start(&launcher));
}

Test(launcher, hears_one_word_only)
{
    /* whatever the word, nothing else comes of it than the one program */
    struct launcher_news news;
    static const char word[] = "/bin/sh\0-c\0exit 42";
    cr_assert_eq(send(launcher.fd, word, sizeof word, 0), (ssize_t)sizeof word);
    cr_assert_eq(next().kind, LAUNCHER_STARTED);
    cr_assert_neq(next().value, 42, "a shell was started");
    cr_assert_not(launcher_hear(&launcher, &news));
    cr_assert_not(launcher.gone);
}
