/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/saslauthd.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/exchange.h"
#include "tests/unit/login_kit.h"

static char folder[] = "/tmp/setu-saslauthd-XXXXXX";
static char path[128];
static int door;
static pthread_t keeper;
static struct view answer;
static uint8_t asked[1024];
static size_t asked_length;

static void *keep(void *unused)
{
    int file = accept(door, NULL, NULL);
    for (size_t fields = 0; fields < 4;) {
        ssize_t n = recv(file, asked + asked_length, sizeof asked - asked_length, 0);
        if (n <= 0) {
            break;
        }
        asked_length += (size_t)n;
        size_t at = 0;
        for (fields = 0; fields < 4 && at + 2 <= asked_length; fields++) {
            at += 2 + ((size_t)asked[at] << 8 | asked[at + 1]);
            if (at > asked_length) {
                break;
            }
        }
    }
    for (size_t i = 0; i < answer.length; i++) { /* byte by byte */
        (void)!send(file, answer.at + i, 1, MSG_NOSIGNAL);
    }
    close(file);
    return unused;
}

static void setup(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/mux", folder);
    memcpy(address.sun_path, path, strlen(path) + 1);
    door = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(door, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(door, 1), 0);
}

static void teardown(void)
{
    close(door);
    unlink(path);
    rmdir(folder);
}

TestSuite(saslauthd, .init = setup, .fini = teardown, .timeout = 30);

static enum saslauthd_verdict ask(const void *bytes, size_t length)
{
    answer = view_of(bytes, length);
    asked_length = 0;
    cr_assert_eq(pthread_create(&keeper, NULL, keep, NULL), 0);
    enum saslauthd_verdict verdict =
        saslauthd_ask(path, view_from_string("alice"), view_from_string("wonderland"), "kafka");
    pthread_join(keeper, NULL);
    return verdict;
}

Test(saslauthd, asks_as_libsasl2_asks)
{
    static const uint8_t wanted[] = "\0\5alice\0\12wonderland\0\5kafka\0\0";
    cr_assert_eq(ask("\0\2OK", 4), SASLAUTHD_YES);
    cr_assert_eq(asked_length, sizeof wanted - 1);
    cr_assert_eq(memcmp(asked, wanted, sizeof wanted - 1), 0);
    cr_assert_eq(ask("\0\7OK fine", 9), SASLAUTHD_YES);
    cr_assert_eq(ask("\0\2NO", 4), SASLAUTHD_NO);
    cr_assert_eq(ask("\0\24NO authentication x", 22), SASLAUTHD_NO);
}

Test(saslauthd, what_is_no_answer_lets_nobody_in)
{
    static const char *const bad[] = {"", "\1", "\1\1", "\1\1O"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(ask(bad[i], strlen(bad[i])), SASLAUTHD_UNKNOWN);
    }
    cr_assert_eq(ask("\0\1O", 3), SASLAUTHD_UNKNOWN);
    cr_assert_eq(ask("\0\2ok", 4), SASLAUTHD_UNKNOWN);
    cr_assert_eq(ask("\0\2XX", 4), SASLAUTHD_UNKNOWN);
    cr_assert_eq(ask("\xff\xffOK", 4), SASLAUTHD_UNKNOWN);
}

Test(saslauthd, without_a_daemon_nobody_is_let_in)
{
    char long_path[300], long_name[SASLAUTHD_FIELD_BYTES_MAX + 2] = "";
    struct view alice = view_from_string("alice");
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    memset(long_name, 'x', sizeof long_name - 1);
    cr_assert_eq(saslauthd_ask("/nowhere/mux", alice, alice, "kafka"), SASLAUTHD_UNKNOWN);
    cr_assert_eq(saslauthd_ask(long_path, alice, alice, "kafka"), SASLAUTHD_UNKNOWN);
    cr_assert_eq(saslauthd_ask(path, view_from_string(long_name), alice, "kafka"),
                 SASLAUTHD_UNKNOWN);
}

/* One login by PLAIN, from new to its end. */
static enum exchange_status login(struct view said, enum auth_reason *reason_r)
{
    struct credentials *users = kit_users();
    struct exchange *ex = exchange_server_new("PLAIN", users, kit_random, NULL);
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    answer = said;
    asked_length = 0;
    exchange_ask_saslauthd(ex, path);
    cr_assert(exchange_waits(ex));
    writer_init_fixed(&reply, memory, sizeof memory);
    cr_assert_eq(exchange_step(ex, view_of("\0stranger\0secret", 16), &reply), EXCHANGE_PENDING);
    cr_assert_eq(pthread_create(&keeper, NULL, keep, NULL), 0);
    exchange_work(ex);
    pthread_join(keeper, NULL);
    enum exchange_status status = exchange_resume(ex, &reply);
    cr_assert(status != EXCHANGE_DONE || strcmp(exchange_principal(ex), "stranger") == 0);
    *reason_r = exchange_reason(ex);
    exchange_free(&ex);
    credentials_unref(&users);
    return status;
}

Test(saslauthd, judges_plain_in_place_of_the_users_file)
{
    enum auth_reason reason;
    cr_assert_eq(login(view_of("\0\2OK", 4), &reason), EXCHANGE_DONE);
    cr_assert_eq(login(view_of("\0\2NO", 4), &reason), EXCHANGE_DENIED);
    cr_assert_eq(reason, AUTH_REASON_BAD_PASSWORD);
    cr_assert_eq(login(view_of("", 0), &reason), EXCHANGE_DENIED);
    cr_assert_eq(reason, AUTH_REASON_SASLAUTHD);
}
