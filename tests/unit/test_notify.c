/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/notify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t interval(const char *us, const char *pid)
{
    (void)(us != NULL ? setenv("WATCHDOG_USEC", us, 1) : unsetenv("WATCHDOG_USEC"));
    (void)(pid != NULL ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID"));
    return notify_watchdog_ms();
}

Test(notify, a_watchdog_is_of_whom_it_names)
{
    char own[32];
    snprintf(own, sizeof own, "%ld", (long)getpid());
    cr_expect_eq(interval("30000000", own), 30000);
    cr_expect_null(getenv("WATCHDOG_PID"), "a successor is somebody else");
    cr_expect_eq(interval("30000000", NULL), 30000);
    cr_expect_eq(interval("30000000", "1"), 0);
    cr_expect_not_null(getenv("WATCHDOG_PID"));
    cr_expect_eq(interval("1", NULL), 1);
}

Test(notify, no_watchdog_where_none_is_told)
{
    static const char *const bad[] = {"", "0", "-5", "5s", " 5"};
    cr_expect_eq(interval(NULL, NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(interval(bad[i], NULL), 0, "'%s'", bad[i]);
    }
    cr_expect_eq(interval("30000000", "x"), 0);
}
