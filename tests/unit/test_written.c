/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/written.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/control.h"

static char all[4096];

static void clear_environment(void)
{
    unsetenv("KRB5RCACHENAME");
    unsetenv("KRB5RCACHETYPE");
    unsetenv("KRB5RCACHEDIR");
    unsetenv("TMPDIR");
    unsetenv("XDG_RUNTIME_DIR");
}

TestSuite(written, .init = clear_environment);

static void note(void *context, const struct written *written)
{
    size_t *length = context;
    cr_assert_gt(strlen(written->elsewhere), 10u);
    *length += (size_t)snprintf(all + *length, sizeof all - *length, "%s%s\n", written->path,
                                written->folder ? "/" : "");
}

/* Each path on a line, folders with a slash behind. */
static const char *written_with(const char *more, const char *gssapi, const char *stats)
{
    char text[4096];
    struct conf_errors errors;
    size_t length = 0;
    snprintf(text, sizeof text,
             "%s"
             "clusters: [{name: main, bootstrap: [\"127.0.0.1:1\"], identity: {certificate: o},"
             " generations: [{name: g, protocol: SSL, login: mapped-certificate,"
             " tls: {ca: /ca}}]}]\n"
             "certificates: [{name: o, chain: /c, key: /k}]\n"
             "mapping: [{principal: o, certificate: o}]\n"
             "users: {file: /u}\n"
             "listeners: [{name: l, cluster: main, bind: 127.0.0.1, port: 19092,"
             " advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512%s}]\n",
             more, gssapi);
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(config, "%s", errors.count > 0 ? errors.items[errors.count - 1].text : "");
    all[0] = '\0';
    written_each(config, "setu.yaml", stats, note, &length);
    config_unref(&config);
    conf_errors_deinit(&errors);
    return all;
}

Test(written, whatever_the_configuration_names)
{
    cr_assert_str_eq(written_with("log: {file: /l/setu.log}\n"
                                  "audit: {file: /a/audit.log}\n"
                                  "ledger: {directory: /d}\n"
                                  "control: {socket: /c/setu.sock}\n"
                                  "security: {landlock: best_effort, writable: [/w, /x]}\n",
                                  "]", "/s/setu.prom"),
                     "/l/setu.log\n/a/audit.log\n/d/\n/c/setu.sock\n/w/\n/x/\n/s/setu.prom\n");
}

Test(written, the_socket_lies_somewhere_though_nothing_is_configured)
{
    char expected[CONTROL_PATH_SIZE];
    cr_assert(control_place("", "setu.yaml", expected));
    const char *told = written_with("audit: {file: \"\"}\n", "]", NULL);
    cr_assert_eq(strlen(told), strlen(expected) + 1);
    cr_assert_eq(strncmp(told, expected, strlen(expected)), 0, "%s", told);
    if (access(CONTROL_FOLDER, W_OK) != 0) {
        setenv("XDG_RUNTIME_DIR", "/var/tmp", 1);
        cr_assert_eq(strncmp(written_with("audit: {file: \"\"}\n", "]", NULL), "/var/tmp/", 9), 0);
    }
}

static const char tickets[] = ", GSSAPI], gssapi: {keytab: /k}";
static const char one[] = "audit: {file: \"\"}\ncontrol: {socket: /c/s}\n";

Test(written, a_listener_of_tickets_has_a_replay_cache)
{
    cr_assert_str_eq(written_with(one, "]", NULL), "/c/s\n");
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n/var/tmp/\n");
    setenv("TMPDIR", "/t", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n/t/\n");
    setenv("KRB5RCACHEDIR", "/r", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n/r/\n");
    setenv("KRB5RCACHENAME", "dfl:", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n/r/\n");
    setenv("KRB5RCACHENAME", "file2:/f/cache", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n/f/cache\n");
    setenv("KRB5RCACHENAME", "none:", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n");
    unsetenv("KRB5RCACHENAME");
    setenv("KRB5RCACHETYPE", "none", 1);
    cr_assert_str_eq(written_with(one, tickets, NULL), "/c/s\n");
}

/* Whoever came first to /tmp/setu-UID would have us open for writing what their link leads to. */
Test(written, not_where_a_neighbour_was_before_us)
{
    static const char own[] = "/tmp/setu-61234";
    char path[CONTROL_PATH_SIZE];
    if (geteuid() != 0) {
        cr_skip_test("NOT TESTED: only root can be its own neighbour");
    }
    (void)unlink(own);
    (void)rmdir(own);
    cr_assert_eq(symlink("/etc", own), 0);
    cr_assert_eq(setresuid(61234, 61234, 0), 0);
    cr_expect_not(control_place("", "setu.yaml", path));
    cr_expect_not(control_path("", "setu.yaml", path));
    cr_expect_str_eq(written_with("audit: {file: \"\"}\n", "]", NULL), "");
    cr_assert_eq(setresuid(0, 0, 0), 0);
    cr_assert_eq(unlink(own), 0);
    cr_assert_eq(setresuid(61234, 61234, 0), 0);
    cr_expect(control_place("", "setu.yaml", path), "it is still to be made");
    cr_expect_neq(access(own, F_OK), 0);
    cr_expect(control_path("", "setu.yaml", path));
    cr_expect(control_place("", "setu.yaml", path), "it is ours");
    cr_expect_eq(chmod(own, 0755), 0);
    cr_expect_not(control_place("", "setu.yaml", path), "and others' too");
    cr_expect_eq(rmdir(own), 0);
}
