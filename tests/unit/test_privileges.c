/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/privileges.h"

static struct conf_errors errors;

static struct config *config_of(const char *user, const char *group, int port)
{
    char text[2048];
    snprintf(text, sizeof text,
             "audit: {file: \"\"}\nusers: {file: /u.yaml}\ncontrol: {socket: /c/c.sock}\n"
             "security: {user: '%s', group: '%s'}\n"
             "clusters:\n  - name: main\n    bootstrap: ['127.0.0.1:1']\n    generations:\n"
             "      - {name: legacy, protocol: SASL_PLAINTEXT, login: passthrough}\n"
             "listeners:\n  - {name: l, cluster: main, bind: 127.0.0.1, port: %d, "
             "advertised_host: localhost, node_base_port: 20000, mechanisms: [SCRAM-SHA-512]}\n",
             user, group, port);
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(config);
    return config;
}

static const char *told(void)
{
    for (size_t i = 0; i < errors.count; i++) {
        if (errors.items[i].severity == CONF_ERROR) {
            return errors.items[i].text;
        }
    }
    return "";
}

Test(privileges, who_is_not_there)
{
    struct privileges who;
    struct config *config = config_of("no-such-user-here", "", 19092);
    cr_assert_not(privileges_find(config, &who, &errors));
    cr_assert_not_null(strstr(told(), "there is no user 'no-such-user-here' here"), "%s", told());
    config_unref(&config);
    conf_errors_deinit(&errors);
    config = config_of("nobody", "no-such-group-here", 19092);
    cr_assert_not(privileges_find(config, &who, &errors));
    cr_assert_not_null(strstr(told(), "there is no group 'no-such-group-here'"), "%s", told());
    config_unref(&config);
    conf_errors_deinit(&errors);
    config = config_of("root", "", 19092);
    cr_assert_not(privileges_find(config, &who, &errors));
    cr_assert_not_null(strstr(told(), "is root"), "%s", told());
    config_unref(&config);
    conf_errors_deinit(&errors);
}

Test(privileges, nobody_is_named)
{
    struct privileges who;
    struct config *config = config_of("", "", 19092);
    cr_assert(privileges_drop(config, &who, &errors));
    cr_assert_not(who.dropped);
    cr_assert_eq(who.uid, geteuid());
    config_unref(&config);
    conf_errors_deinit(&errors);
}

static void needs_root(void)
{
    if (geteuid() != 0) {
        cr_skip_test("NOT TESTED: only root can become somebody else");
    }
}

/* In a process of its own: 0, or the step that failed. */
static int after_drop(int port, int (*act)(const struct privileges *who))
{
    int status = 0;
    struct config *config = config_of("nobody", "daemon", port);
    pid_t pid = fork();
    if (pid == 0) {
        struct privileges who;
        bool good = privileges_drop(config, &who, &errors) && who.dropped;
        _exit(good ? act(&who) : 99);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    config_unref(&config);
    conf_errors_deinit(&errors);
    cr_assert(WIFEXITED(status), "%x", status);
    return WEXITSTATUS(status);
}

static bool listens_at_a_low_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = -1;
    for (uint16_t port = 700; failed != 0 && port < 720; port++) {
        at.sin_port = htons(port);
        failed = bind(fd, (struct sockaddr *)&at, sizeof at);
        if (failed != 0 && errno == EACCES) {
            break;
        }
    }
    close(fd);
    return failed == 0;
}

static int is_nobody(const struct privileges *who)
{
    gid_t groups[64];
    int count = getgroups(64, groups);
    return getuid() != who->uid || geteuid() != who->uid || who->uid == 0                  ? 1
           : getgid() != who->gid || getegid() != who->gid                                 ? 2
           : setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0                           ? 3
           : setgroups(0, NULL) == 0                                                       ? 4
           : count < 0 || (count > 0 && groups[0] == 0)                                    ? 5
           : access("/etc/shadow", R_OK) == 0                                              ? 6
           : prctl(PR_GET_DUMPABLE) != 0                                                   ? 7
           : prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0                           ? 8
           : who->low_ports || listens_at_a_low_port()                                     ? 9
           : prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) != 0 ? 10
                                                                                           : 0;
}

Test(privileges, there_is_no_way_back)
{
    needs_root();
    cr_assert_eq(after_drop(19092, is_nobody), 0);
}

static int may_listen(const struct privileges *who)
{
    return !who->low_ports || !listens_at_a_low_port()                                     ? 1
           : setuid(0) == 0 || seteuid(0) == 0                                             ? 2
           : prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) != 1 ? 3
           : prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYS_ADMIN, 0, 0) != 0        ? 4
           : access("/etc/shadow", R_OK) == 0                                              ? 5
                                                                                           : 0;
}

Test(privileges, low_ports_are_all_that_is_kept)
{
    needs_root();
    cr_assert_eq(after_drop(700, may_listen), 0);
}

static int cannot_change_again(const struct privileges *who)
{
    struct privileges other;
    struct config *config = config_of("daemon", "", 19092);
    (void)who;
    bool good = !privileges_drop(config, &other, &errors) && !other.dropped &&
                strstr(told(), "only root can become another user") != NULL;
    return good ? 0 : 1;
}

Test(privileges, who_is_not_root_stays_who_it_is)
{
    needs_root();
    cr_assert_eq(after_drop(19092, cannot_change_again), 0);
}
