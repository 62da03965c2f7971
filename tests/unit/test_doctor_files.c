/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's problems, files that are written to, the certificates shown to brokers. */
#include "proxy/cli/doctor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "conf/config.h"
#include "tests/unit/doctor_kit.h"
#include "tests/unit/pki_kit.h"

TestSuite(doctor_files, .fini = forget);

Test(doctor_files, configuration_and_its_problems)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    doctor_judge_config(&doctor, &errors, true);
    cr_assert_eq(says("configuration"), DOCTOR_OK);
    conf_errors_warn(&errors, (struct conf_place){3, 4, "f"}, "odd");
    doctor_judge_config(&doctor, &errors, true);
    cr_assert_eq(says("configuration"), DOCTOR_WARN);
    conf_errors_add(&errors, (struct conf_place){3, 4, "f"}, "bad");
    doctor_judge_config(&doctor, &errors, false);
    cr_assert_eq(says("configuration"), DOCTOR_FAIL);
    cr_assert_not_null(strstr(doctor.findings[doctor.count - 1].what, "f:3:4: bad"));
    conf_errors_deinit(&errors);
}

Test(doctor_files, files_that_cannot_be_written)
{
    struct config config = {
        .log = {.file = "-"}, .audit = {.file = ""}, .ledger = {.directory = ""}};
    pki_open();
    doctor_judge_files(&doctor, &config, NULL);
    cr_assert_eq(says("audit"), DOCTOR_WARN, "there is none");
    forget();
    config.audit.file = pki_path("audit.log");
    config.log.file = pki_path("no/setu.log");
    doctor_judge_files(&doctor, &config, pki_path("stats"));
    cr_assert_eq(says("audit"), DOCTOR_OK);
    cr_assert_eq(says("log"), DOCTOR_FAIL);
    cr_assert_eq(says("stats"), DOCTOR_OK);
    cr_assert_neq(says("audit_space"), -1);
    cr_assert_eq(says("audit_signing"), DOCTOR_WARN, "nobody signs it");
    cr_assert_eq(access(config.audit.file, F_OK), -1, "looking made it");
    forget();
    config.audit.file = pki_path("."); /* a directory */
    doctor_judge_files(&doctor, &config, "/nonexistent/stats");
    cr_assert_eq(says("audit"), DOCTOR_FAIL);
    cr_assert_eq(says("stats"), DOCTOR_FAIL);
    pki_close();
}

/* With security.landlock, and a socket of its own, as `mode` and `log` say. */
static void judge_landlock(const char *mode, const char *log, const char *stats)
{
    char text[2048];
    struct conf_errors errors;
    snprintf(text, sizeof text,
             "security: {landlock: %s}\n"
             "control: {socket: %s}\n"
             "log: {file: %s}\n"
             "audit: {file: \"\"}\n"
             "clusters: [{name: main, bootstrap: [\"127.0.0.1:1\"],"
             " generations: [{name: g, protocol: SASL_PLAINTEXT, login: passthrough}]}]\n"
             "users: {file: /u}\n"
             "listeners: [{name: l, cluster: main, bind: 127.0.0.1, port: 19092,"
             " advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}]\n",
             mode, pki_path("control.sock"), log);
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(config, "%s", errors.count > 0 ? errors.items[0].text : "");
    forget();
    doctor_judge_landlock(&doctor, config, "setu.yaml", stats);
    config_unref(&config);
    conf_errors_deinit(&errors);
}

Test(doctor_files, what_is_written_among_others_files_opens_all_of_them)
{
    pki_open();
    judge_landlock("best_effort", "/var/log/setu.log", NULL);
    cr_assert_eq(says("landlock_folder"), DOCTOR_WARN);
    cr_assert_str_eq(doctor.findings[0].what,
                     "/var/log/setu.log: all of /var/log is opened for it");
    judge_landlock("best_effort", "\"-\"", "/var/tmp/setu.prom");
    cr_assert_eq(says("landlock_folder"), DOCTOR_WARN);
    cr_assert_not_null(strstr(doctor.findings[0].fix, "--stats-file"));
    judge_landlock("off", "\"-\"", "/var/tmp/setu.prom");
    cr_assert_eq(doctor.count, 0u, "there is no landlock");
    judge_landlock("required", pki_path("setu.log"), pki_path("stats"));
    cr_assert_eq(doctor.count, 0u, "a folder of its own");
    pki_close();
}

static void expect_audit(const char *path, int status)
{
    const struct config config = {
        .log = {.file = "-"}, .audit = {.file = path}, .ledger = {.directory = ""}};
    forget();
    doctor_judge_files(&doctor, &config, NULL);
    cr_assert_eq(says("audit"), status, "%s: %s", path, doctor.findings[0].what);
}

static void expect_log(const char *path, int status)
{
    const struct config config = {
        .log = {.file = path}, .audit = {.file = ""}, .ledger = {.directory = ""}};
    forget();
    doctor_judge_files(&doctor, &config, NULL);
    cr_assert_eq(says("log"), status, "%s: %s", path, doctor.findings[1].what);
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

/* log.c opens anything that can be appended to. */
Test(doctor_files, logs_of_all_kinds)
{
    pki_open();
    pki_write_text("file", 0600, "");
    expect_log(pki_path("file"), DOCTOR_OK);
    expect_log("/dev/null", DOCTOR_OK);
    cr_assert_eq(mkfifo(pki_path("pipe"), 0600), 0);
    expect_log(pki_path("pipe"), DOCTOR_OK);
    cr_assert_eq(symlink("/dev/null", pki_path("to_device")), 0);
    expect_log(pki_path("to_device"), DOCTOR_OK);
    cr_assert_eq(symlink("file", pki_path("to_file")), 0);
    expect_log(pki_path("to_file"), DOCTOR_OK);
    cr_assert_eq(symlink("new", pki_path("to_new")), 0);
    cr_assert_eq(symlink(pki_path("to_new"), pki_path("to_link")), 0);
    expect_log(pki_path("to_link"), DOCTOR_OK);
    cr_assert_eq(access(pki_path("new"), F_OK), -1, "looking made it");
    cr_assert_eq(symlink("no/new", pki_path("to_nowhere")), 0);
    expect_log(pki_path("to_nowhere"), DOCTOR_FAIL);
    cr_assert_eq(symlink("loop", pki_path("loop")), 0);
    expect_log(pki_path("loop"), DOCTOR_FAIL);
    expect_log(pki_path("file/below"), DOCTOR_FAIL);
    expect_log(pki_path("."), DOCTOR_FAIL);
    make_socket(pki_path("socket"));
    expect_log(pki_path("socket"), DOCTOR_FAIL);
    pki_close();
}

/* audit_log.c wants a file of its own, to read and to write. */
Test(doctor_files, audit_logs_of_all_kinds)
{
    pki_open();
    pki_write_text("file", 0600, "");
    expect_audit(pki_path("file"), DOCTOR_OK);
    cr_assert_eq(symlink("file", pki_path("to_file")), 0);
    expect_audit(pki_path("to_file"), DOCTOR_FAIL);
    cr_assert_eq(symlink("new", pki_path("to_new")), 0);
    expect_audit(pki_path("to_new"), DOCTOR_FAIL);
    expect_audit("/dev/null", DOCTOR_FAIL);
    expect_audit(pki_path("file/below"), DOCTOR_FAIL);
    pki_close();
}

/* Root may read everything, so that somebody else has to ask. */
Test(doctor_files, an_audit_log_has_to_be_readable)
{
    enum { NOBODY = 65534 };
    const bool root = geteuid() == 0;
    pki_open();
    pki_write_text("write_only", 0200, "");
    pki_write_text("both", 0600, "");
    if (root) {
        cr_assert_eq(chmod(pki_path("."), 0755), 0);
        cr_assert_eq(chown(pki_path("write_only"), NOBODY, NOBODY), 0);
        cr_assert_eq(chown(pki_path("both"), NOBODY, NOBODY), 0);
        cr_assert_eq(setresuid(NOBODY, NOBODY, 0), 0);
    }
    expect_audit(pki_path("both"), DOCTOR_OK);
    expect_audit(pki_path("write_only"), DOCTOR_FAIL);
    expect_log(pki_path("write_only"), DOCTOR_OK);
    if (root) {
        cr_assert_eq(setresuid(0, 0, 0), 0);
        prctl(PR_SET_DUMPABLE, 1); /* for the leak sanitizer */
    }
    pki_close();
}

/* A day before expiry, long before, after. */
Test(doctor_files, certificates_near_their_end)
{
    char text[1024];
    struct conf_errors errors;
    const struct pki_options options = {.common_name = "orders"};
    pki_open();
    struct pki_cert cert = pki_make(&options, NULL);
    X509 *const chain[] = {cert.cert, NULL};
    pki_write_certs("orders.pem", 0644, chain);
    pki_write_key("orders.key", 0400, cert.key, NULL);
    snprintf(
        text, sizeof text,
        "certificates: [{name: orders, chain: %s, key: %s}]\n"
        "audit: {file: /a}\n"
        "clusters: [{name: main, bootstrap: [\"127.0.0.1:1\"], identity: {certificate: orders},"
        " generations: [{name: g, protocol: SSL, login: mapped-certificate,"
        " tls: {ca: /ca.pem}}]}]\n"
        "mapping: [{principal: orders, certificate: orders}]\n"
        "users: {file: /u}\n"
        "listeners: [{name: l, cluster: main, bind: 127.0.0.1, port: 19092,"
        " advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}]\n",
        pki_path("orders.pem"), pki_path("orders.key"));
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config);
    struct certificates *certs = certificates_load(config, (int64_t)time(NULL), &errors);
    cr_assert_not_null(certs);
    const int64_t end_s = certificates_at(certs, 0)->not_after_s;
    doctor_judge_certificates(&doctor, certs, end_s - 60 * 86400);
    cr_assert_eq(says("certificate"), DOCTOR_OK);
    doctor_judge_certificates(&doctor, certs, end_s - 86400);
    cr_assert_eq(says("certificate"), DOCTOR_WARN);
    doctor_judge_certificates(&doctor, certs, end_s + 86400);
    cr_assert_eq(says("certificate"), DOCTOR_FAIL);
    certificates_unref(&certs);
    config_unref(&config);
    conf_errors_deinit(&errors);
    pki_free(&cert);
    pki_close();
}

Test(doctor_files, a_ledger_wants_a_folder)
{
    struct config config = {.log = {.file = "-"}, .audit = {.file = ""}};
    pki_open();
    config.ledger.directory = pki_path(".");
    doctor_judge_files(&doctor, &config, NULL);
    cr_assert_eq(says("ledger"), DOCTOR_OK);
    cr_assert_neq(says("ledger_space"), -1);
    forget();
    config.ledger.directory = pki_path("nothing");
    doctor_judge_files(&doctor, &config, NULL);
    cr_assert_eq(says("ledger"), DOCTOR_FAIL);
    pki_close();
}
