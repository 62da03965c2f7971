/* SPDX-License-Identifier: Apache-2.0 */
/* The judges alone; the verb as a whole is in test_cli. */
#include "proxy/cli/doctor.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "auth/fast_aes.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

static struct doctor doctor;

static const struct doctor_facts fit = {
    .descriptors_hard = 1048576,
    .somaxconn = 4096,
    .local_ports = {32768, 60999},
    .unprivileged_port_start = 1024,
    .tcp_rmem_max_bytes = 32 << 20,
    .tcp_wmem_max_bytes = 4 << 20,
    .tcp_mem_bytes = INT64_C(1) << 32,
    .cpus = 4,
    .now_s = 1800000000,
    .config_time_s = 1799999999,
    .entropy = 1,
    .clock_synchronised = true,
    .cpu_known = true,
    .cpu_aes = true,
    .cpu_pclmul = true,
};

static const struct conf_listener listener = {
    .name = "l", .port = 19092, .node_base_port = 19100, .node_ports_max = 1000};
static const struct conf_listener high = {
    .name = "h", .port = 19092, .node_base_port = 32760, .node_ports_max = 10};
static const struct conf_listener low = {
    .name = "p", .port = 900, .node_base_port = 19100, .node_ports_max = 10};

static struct config config_of(const struct conf_listener *only)
{
    return (struct config){.workers = 2,
                           .limits = {.connections = 10000},
                           .log = {.file = "-"},
                           .audit = {.file = ""},
                           .listeners = only,
                           .listeners_count = 1};
}

/* The worst status of a check; -1: it is not among the findings. */
static int says(const char *check)
{
    int worst = -1;
    for (size_t i = 0; i < doctor.count; i++) {
        const struct doctor_finding *finding = &doctor.findings[i];
        cr_assert_gt(strlen(finding->what), 3);
        cr_assert_gt(strlen(finding->why), 10, "%s", finding->check);
        cr_assert(finding->status == DOCTOR_OK || strlen(finding->fix) > 5, "%s", finding->check);
        if (strcmp(finding->check, check) == 0 && (int)finding->status > worst) {
            worst = (int)finding->status;
        }
    }
    return worst;
}

static void forget(void)
{
    doctor_free(&doctor);
    memset(&doctor, 0, sizeof doctor);
}

TestSuite(doctor, .fini = forget);

static void expect_machine(const struct doctor_facts *facts, const char *check, int status)
{
    forget();
    doctor_judge_machine(&doctor, facts);
    cr_assert_eq(says(check), status, "%s is %d", check, says(check));
}

static void expect_limit(const struct doctor_facts *facts, const struct config *config,
                         const char *check, int status)
{
    forget();
    doctor_judge_limits(&doctor, facts, config);
    cr_assert_eq(says(check), status, "%s is %d", check, says(check));
}

Test(doctor, a_fit_machine_is_fit)
{
    const struct config config = config_of(&listener);
    doctor_judge_machine(&doctor, &fit);
    doctor_judge_limits(&doctor, &fit, &config);
    cr_assert_eq(doctor.statuses[DOCTOR_OK], doctor.count);
    cr_assert_gt(doctor.count, 10);
}

Test(doctor, machines_that_are_not)
{
    struct doctor_facts facts = fit;
    facts.root = true;
    expect_machine(&facts, "user", DOCTOR_WARN);
    facts = fit;
    facts.cpu_pclmul = false;
    expect_machine(&facts, "cpu", DOCTOR_WARN);
    facts.cpu_known = false;
    expect_machine(&facts, "cpu", -1);
    facts = fit;
    facts.entropy = 0;
    expect_machine(&facts, "entropy", DOCTOR_FAIL);
    facts = fit;
    facts.fips = 1;
    expect_machine(&facts, "fips", DOCTOR_WARN);
    facts = fit;
    facts.now_s = 1000;
    facts.config_time_s = -1;
    expect_machine(&facts, "clock", DOCTOR_FAIL);
    facts = fit;
    facts.config_time_s = facts.now_s + 3600;
    expect_machine(&facts, "clock", DOCTOR_FAIL);
    facts = fit;
    facts.clock_synchronised = false;
    expect_machine(&facts, "clock", DOCTOR_WARN);
    facts = fit;
    facts.tcp_rmem_max_bytes = 262144;
    expect_machine(&facts, "tcp_rmem", DOCTOR_WARN);
    expect_machine(&facts, "tcp_wmem", DOCTOR_OK);
    facts.tcp_wmem_max_bytes = -1;
    expect_machine(&facts, "tcp_wmem", -1);
}

Test(doctor, limits_below_what_is_wanted)
{
    struct config config = config_of(&listener);
    struct doctor_facts facts = fit;
    facts.descriptors_hard = 21023;
    expect_limit(&facts, &config, "descriptors", DOCTOR_FAIL);
    facts.descriptors_hard = 21024;
    expect_limit(&facts, &config, "descriptors", DOCTOR_OK);
    facts.somaxconn = 128;
    expect_limit(&facts, &config, "somaxconn", DOCTOR_WARN);
    facts.tcp_mem_bytes = 64 << 20;
    expect_limit(&facts, &config, "tcp_mem", DOCTOR_WARN);
    facts.local_ports = (struct doctor_range){32768, 40000};
    expect_limit(&facts, &config, "outgoing_ports", DOCTOR_WARN);
    config.workers = 5;
    expect_limit(&facts, &config, "workers", DOCTOR_WARN);
}

Test(doctor, ports_that_somebody_else_may_take)
{
    struct config config = config_of(&high);
    struct doctor_facts facts = fit;
    expect_limit(&facts, &config, "ports", DOCTOR_WARN);
    facts.reserved[facts.reserved_count++] = (struct doctor_range){32000, 32768};
    expect_limit(&facts, &config, "ports", DOCTOR_WARN);
    facts.reserved[facts.reserved_count++] = (struct doctor_range){32769, 32769};
    expect_limit(&facts, &config, "ports", DOCTOR_OK);
    facts.local_ports = (struct doctor_range){0, -1};
    facts.reserved_count = 0;
    expect_limit(&facts, &config, "ports", DOCTOR_OK);
    config = config_of(&low);
    expect_limit(&fit, &config, "privileged_ports", DOCTOR_FAIL);
    facts.root = true;
    expect_limit(&facts, &config, "privileged_ports", -1);
}

Test(doctor, configuration_and_its_problems)
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

Test(doctor, files_that_cannot_be_written)
{
    struct config config = config_of(&listener);
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
    cr_assert_eq(access(config.audit.file, F_OK), -1, "looking made it");
    forget();
    config.audit.file = pki_path("."); /* a directory */
    doctor_judge_files(&doctor, &config, "/nonexistent/stats");
    cr_assert_eq(says("audit"), DOCTOR_FAIL);
    cr_assert_eq(says("stats"), DOCTOR_FAIL);
    pki_close();
}

/* A day before expiry, long before, after. */
Test(doctor, certificates_near_their_end)
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

static int aes_says(const struct doctor_aes *speeds, bool active, bool failed, bool wanted,
                    const char *check)
{
    struct fast_aes_decision decision = {.active = active,
                                         .failed = failed,
                                         .implementation = active ? "ipsec-mb" : "openssl",
                                         .why = "because of this"};
    forget();
    doctor_judge_aes(&doctor, speeds, &decision, wanted);
    return says(check);
}

Test(doctor, aes)
{
    const struct doctor_aes alone = {4e9, 3e9, 0, 0};
    const struct doctor_aes better = {4e9, 3e9, 12e9, 11e9};
    const struct doctor_aes same = {4e9, 3e9, 4.1e9, 3.1e9};
    const struct doctor_aes slow = {4e8, 3e8, 0, 0};
    const struct doctor_aes none = {0, 0, 0, 0};
    cr_assert_eq(aes_says(&alone, false, false, false, "aes"), DOCTOR_OK);
    cr_assert_eq(aes_says(&alone, false, false, false, "fast_aes"), DOCTOR_OK);
    cr_assert_eq(aes_says(&alone, false, false, true, "fast_aes"), DOCTOR_WARN);
    cr_assert_eq(aes_says(&better, false, false, false, "fast_aes"), DOCTOR_WARN);
    cr_assert_eq(aes_says(&better, true, false, true, "fast_aes"), DOCTOR_OK);
    cr_assert_eq(aes_says(&same, false, false, false, "fast_aes"), DOCTOR_OK);
    cr_assert_eq(aes_says(&better, false, true, true, "fast_aes"), DOCTOR_FAIL);
    cr_assert_eq(aes_says(&slow, false, false, false, "aes"), DOCTOR_WARN);
    cr_assert_eq(aes_says(&none, false, false, false, "aes"), DOCTOR_WARN);
}

Test(doctor, more_findings_than_fit_are_counted)
{
    for (size_t i = 0; i < DOCTOR_FINDINGS_MAX + 10; i++) {
        struct doctor_finding *finding = doctor_add(&doctor, "many", DOCTOR_FAIL, "why it matters",
                                                    "do something", "%zu", i + 1000);
        finding->values = json_pack("{s:i}", "n", 1);
    }
    cr_assert_eq(doctor.count, DOCTOR_FINDINGS_MAX);
    cr_assert_eq(doctor.statuses[DOCTOR_FAIL], DOCTOR_FINDINGS_MAX + 10);
}

Test(doctor, this_machine_answers)
{
    struct doctor_facts facts;
    doctor_gather(&facts, "/nonexistent");
    cr_assert_gt(facts.cpus, 0);
    cr_assert_gt(facts.now_s, 0);
    cr_assert_eq(facts.config_time_s, -1);
    cr_assert_gt(facts.descriptors_hard, 0);
    cr_assert_eq(facts.root, geteuid() == 0);
}
