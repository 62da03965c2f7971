/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/secret.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];

static void folder_make(void)
{
    strcpy(folder, "/tmp/test_secret_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void folder_drop(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static const char *file_make(const char *name, const char *content, size_t length, mode_t mode)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, content, length), (ssize_t)length);
    cr_assert_eq(fchmod(file, mode), 0);
    close(file);
    return path;
}

Test(secret, copies_and_wipes)
{
    struct secret secret;
    char source[] = "open sesame";
    cr_assert(secret_from(&secret, view_from_string(source)));
    memset(source, 0, sizeof source);
    cr_assert(view_is(secret_view(&secret), "open sesame"));
    secret_wipe(&secret);
    cr_assert_null(secret.at);
    cr_assert_eq(secret.length, 0);
    secret_wipe(&secret);
}

Test(secret, keeps_to_its_cap)
{
    static uint8_t bytes[SECRET_BYTES_MAX + 1];
    struct secret secret;
    cr_assert_not(secret_from(&secret, view_of(bytes, sizeof bytes)));
    cr_assert_null(secret.at);
    cr_assert(secret_from(&secret, view_of(bytes, SECRET_BYTES_MAX)));
    secret_wipe(&secret);
    cr_assert(secret_from(&secret, view_of(NULL, 0)));
    cr_assert_eq(secret.length, 0);
}

Test(secret, equality)
{
    struct view a = view_from_string("aaaa");
    cr_assert(secret_equal(a, view_from_string("aaaa")));
    cr_assert_not(secret_equal(a, view_from_string("aaab")));
    cr_assert_not(secret_equal(a, view_from_string("baaa")));
    cr_assert_not(secret_equal(a, view_from_string("aaa")));
    cr_assert_not(secret_equal(a, view_of(NULL, 0)));
    cr_assert(secret_equal(view_of(NULL, 0), view_of(NULL, 0)));
}

Test(secret, reads_a_private_file, .init = folder_make, .fini = folder_drop)
{
    static const mode_t good[] = {0400, 0440, 0600, 0640};
    for (size_t i = 0; i < 4; i++) {
        struct secret secret;
        const char *path = file_make("f", "abc\n", 4, good[i]);
        cr_assert_eq(secret_read_file(&secret, path, 4), SECRET_FILE_OK, "%o", good[i]);
        cr_assert(view_is(secret_view(&secret), "abc\n"));
        secret_wipe(&secret);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(secret, t52_refuses_a_file_others_may_touch, .init = folder_make, .fini = folder_drop)
{
    static const mode_t bad[] = {0644, 0604, 0602, 0660, 0620, 0777, 0601, 0610};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct secret secret;
        const char *path = file_make("f", "abc", 3, bad[i]);
        cr_assert_eq(secret_read_file(&secret, path, 100), SECRET_FILE_UNSAFE, "%o", bad[i]);
        cr_assert_null(secret.at);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(secret, t52_refuses_a_link_a_folder_a_fifo_and_a_foreign_owner, .init = folder_make,
     .fini = folder_drop)
{
    struct secret secret;
    char path[128];
    const char *target = file_make("f", "abc", 3, 0600);
    snprintf(path, sizeof path, "%s/link", folder);
    cr_assert_eq(symlink(target, path), 0);
    cr_assert_eq(chmod(folder, 0777), 0);
    cr_assert_eq(secret_read_file(&secret, path, 100), SECRET_FILE_UNSAFE);
    cr_assert_eq(chmod(folder, 0700), 0);
    cr_assert_eq(secret_read_file(&secret, folder, 100), SECRET_FILE_UNSAFE);
    snprintf(path, sizeof path, "%s/fifo", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(secret_read_file(&secret, path, 100), SECRET_FILE_UNSAFE);
    if (geteuid() == 0) {
        cr_assert_eq(chown(target, 65534, 65534), 0);
        cr_assert_eq(secret_read_file(&secret, target, 100), SECRET_FILE_UNSAFE);
    }
    snprintf(path, sizeof path, "%s/none", folder);
    cr_assert_eq(secret_read_file(&secret, path, 100), SECRET_FILE_UNREADABLE);
}

Test(secret, says_when_a_file_is_empty_or_too_large, .init = folder_make, .fini = folder_drop)
{
    struct secret secret;
    cr_assert_eq(secret_read_file(&secret, file_make("a", "", 0, 0600), 10), SECRET_FILE_EMPTY);
    cr_assert_eq(secret_read_file(&secret, file_make("b", "12345678901", 11, 0600), 10),
                 SECRET_FILE_TOO_LARGE);
    cr_assert_eq(secret_read_file(&secret, file_make("c", "1234567890", 10, 0600), 10),
                 SECRET_FILE_OK);
    secret_wipe(&secret);
    cr_assert_eq(secret_read_file(&secret, "/dev/zero", 10), SECRET_FILE_UNSAFE);
}

Test(secret, a_password_ends_before_its_newline, .init = folder_make, .fini = folder_drop)
{
    static const struct {
        const char *content, *password;
    } cases[] = {{"pw", "pw"},       {"pw\n", "pw"},     {"pw\r\n", "pw"},
                 {"pw\n\n", "pw\n"}, {" p w ", " p w "}, {"pw\r", "pw\r"}};
    struct secret secret;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = file_make("p", cases[i].content, strlen(cases[i].content), 0600);
        cr_assert_eq(secret_read_password(&secret, path), SECRET_FILE_OK);
        cr_assert(view_is(secret_view(&secret), cases[i].password), "case %zu", i);
        secret_wipe(&secret);
    }
    cr_assert_eq(secret_read_password(&secret, file_make("p", "\n", 1, 0600)), SECRET_FILE_EMPTY);
    cr_assert_null(secret.at);
}

Test(secret, every_status_has_a_text)
{
    for (int i = SECRET_FILE_OK; i <= SECRET_FILE_EMPTY; i++) {
        cr_assert_gt(strlen(secret_file_text((enum secret_file_status)i)), 5);
    }
}

/* --- T29: comparison time tells nothing (dudect: Welch's t over two classes of input) --- */

enum { SAMPLES = 20000, BATCH = 32, LENGTH = 64 };

typedef bool (*equal_fn)(struct view a, struct view b);

/* What secret_equal must not be: the proof that the measurement can see a leak. */
__attribute__((noinline)) static bool leaky_equal(struct view a, struct view b)
{
    for (size_t i = 0; i < a.length; i++) {
        if (*(volatile const uint8_t *)(a.at + i) != b.at[i]) {
            return false;
        }
    }
    return true;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct moments {
    double n, mean, square;
};

static void moments_add(struct moments *m, double x)
{
    double d = x - m->mean;
    m->n++;
    m->mean += d / m->n;
    m->square += d * (x - m->mean);
}

static double square_root(double x)
{
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) {
        r = (r + x / r) / 2;
    }
    return r;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* |t| between "differs in the first byte" and "differs in the last". The slowest tenth of all
 * samples is cut: there the machine was busy elsewhere. */
static double leak(equal_fn equal)
{
    static double took[SAMPLES], sorted[SAMPLES];
    static uint8_t class[SAMPLES];
    uint8_t secret[LENGTH] = {0}, early[LENGTH] = {1}, late[LENGTH] = {0};
    late[LENGTH - 1] = 1;
    volatile unsigned sink = 0;
    unsigned choice = 12345;
    for (int i = 0; i < SAMPLES; i++) {
        choice = choice * 1103515245u + 12345u;
        class[i] = (uint8_t)(choice >> 16 & 1);
        struct view guess = view_of(class[i] == 0 ? early : late, LENGTH);
        double from = now_ns();
        for (int j = 0; j < BATCH; j++) {
            sink += equal(view_of(secret, LENGTH), guess);
        }
        took[i] = now_ns() - from;
    }
    cr_assert_eq(sink, 0, "no guess is right");
    memcpy(sorted, took, sizeof took);
    qsort(sorted, SAMPLES, sizeof sorted[0], double_compare);
    struct moments classes[2] = {{.n = 0}, {.n = 0}};
    for (int i = 0; i < SAMPLES; i++) {
        if (took[i] <= sorted[SAMPLES * 9 / 10]) {
            moments_add(&classes[class[i]], took[i]);
        }
    }
    double spread = classes[0].square / (classes[0].n * classes[0].n) +
                    classes[1].square / (classes[1].n * classes[1].n);
    double difference = classes[0].mean - classes[1].mean;
    return (difference < 0 ? -difference : difference) / square_root(spread);
}

/* The machine may be busy: what counts is the clearest of several measurements of a leak, and the
 * quietest of several of none. */
Test(secret, t29_comparison_time_does_not_depend_on_where_the_difference_is)
{
    double clearest = 0, quietest = 1e9;
    for (int attempt = 0; attempt < 10 && clearest < 20; attempt++) {
        double t = leak(leaky_equal);
        clearest = t > clearest ? t : clearest;
    }
    cr_assert_geq(clearest, 20, "the measurement sees a leak where there is one: t = %f", clearest);
    for (int attempt = 0; attempt < 10 && quietest > 4.5; attempt++) {
        double t = leak(secret_equal);
        quietest = t < quietest ? t : quietest;
    }
    cr_assert_leq(quietest, 4.5, "t = %f in the quietest of ten", quietest);
}
