/* SPDX-License-Identifier: Apache-2.0 */
/* The judges of facts alone; files are in test_doctor_files, the verb as a whole in test_cli. */
#include "proxy/cli/doctor.h"

#include <criterion/criterion.h>
#include <linux/capability.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "auth/fast_aes.h"
#include "conf/config.h"
#include "tests/unit/doctor_kit.h"

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
    .synchronised = 1,
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
    facts.now_s = 1000;
    facts.config_time_s = -1;
    expect_machine(&facts, "clock", DOCTOR_FAIL);
    facts = fit;
    facts.config_time_s = facts.now_s + 3600;
    expect_machine(&facts, "clock", DOCTOR_FAIL);
    facts = fit;
    facts.synchronised = 0;
    expect_machine(&facts, "clock", DOCTOR_WARN);
    facts.synchronised = -1;
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

Test(doctor, files_are_limited_where_the_kernel_can)
{
    static const int without[] = {DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL};
    struct doctor_facts facts = fit;
    struct config config = config_of(&listener);
    for (int mode = CONF_LANDLOCK_OFF; mode <= CONF_LANDLOCK_REQUIRED; mode++) {
        config.security.landlock = (enum conf_landlock)mode;
        facts.landlock = 0;
        expect_limit(&facts, &config, "landlock", without[mode]);
        facts.landlock = 1;
        expect_limit(&facts, &config, "landlock", DOCTOR_OK);
    }
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
}

/* Never a failure: it is not known what the service will be given. */
Test(doctor, privileged_ports)
{
    const struct config config = config_of(&low);
    const struct config ordinary = config_of(&listener);
    struct doctor_facts facts = fit;
    expect_limit(&facts, &ordinary, "privileged_ports", -1);
    expect_limit(&facts, &config, "privileged_ports", DOCTOR_WARN);
    facts.root = true; /* in a container that has taken the capability away */
    expect_limit(&facts, &config, "privileged_ports", DOCTOR_WARN);
    facts.bind_service = -1;
    expect_limit(&facts, &config, "privileged_ports", DOCTOR_OK);
    facts.root = false;
    expect_limit(&facts, &config, "privileged_ports", DOCTOR_WARN);
    facts.bind_service = 1;
    expect_limit(&facts, &config, "privileged_ports", DOCTOR_OK);
    facts.bind_service = 0;
    facts.unprivileged_port_start = 900;
    expect_limit(&facts, &config, "privileged_ports", -1);
    facts.unprivileged_port_start = -1;
    expect_limit(&facts, &config, "privileged_ports", -1);
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

/* None takes the place of another, however many there are. */
Test(doctor, every_finding_is_kept)
{
    enum { MANY = 5000 };
    char text[16];
    for (int i = 0; i < MANY; i++) {
        struct doctor_finding *finding =
            doctor_add(&doctor, i == 0 ? "first" : "many", i == 0 ? DOCTOR_FAIL : DOCTOR_OK,
                       "why it matters", "do something", "%d", i + 1000);
        finding->values = json_pack("{s:i}", "n", i);
    }
    cr_assert_eq(doctor.count, MANY);
    cr_assert_eq(doctor.statuses[DOCTOR_OK], MANY - 1);
    cr_assert_eq(says("first"), DOCTOR_FAIL);
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%d", i + 1000);
        cr_assert_str_eq(doctor.findings[i].what, text);
        cr_assert_eq(json_integer_value(json_object_get(doctor.findings[i].values, "n")), i);
    }
    doctor_free(&doctor);
    cr_assert_eq(doctor.count + doctor.statuses[DOCTOR_OK], 0);
    doctor_free(&doctor);
}

/* adjtimex() that is forbidden leaves the status zero, which must not read as synchronised. */
Test(doctor, what_the_kernel_says_of_the_clock)
{
    cr_assert_eq(doctor_synchronised(TIME_OK, 0), 1);
    cr_assert_eq(doctor_synchronised(TIME_INS, STA_INS), 1);
    cr_assert_eq(doctor_synchronised(TIME_OK, STA_UNSYNC), 0);
    cr_assert_eq(doctor_synchronised(TIME_ERROR, 0), 0);
    cr_assert_eq(doctor_synchronised(-1, 0), -1);
}

static struct __user_cap_data_struct capabilities[2];
static struct __user_cap_header_struct ours = {.version = _LINUX_CAPABILITY_VERSION_3};

Test(doctor, the_capability_is_that_of_the_effective_set)
{
    struct doctor_facts facts;
    cr_assert_eq(syscall(SYS_capget, &ours, capabilities), 0);
    doctor_gather(&facts, NULL);
    cr_assert_eq(facts.bind_service, capabilities[0].effective >> CAP_NET_BIND_SERVICE & 1);
    capabilities[0].effective &= ~(1u << CAP_NET_BIND_SERVICE);
    cr_assert_eq(syscall(SYS_capset, &ours, capabilities), 0);
    doctor_gather(&facts, NULL);
    cr_assert_eq(facts.bind_service, 0);
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

static void expect_fips(struct doctor_fips fips, bool kernel, const char *check, int status)
{
    forget();
    doctor_judge_fips(&doctor, &fips, kernel);
    cr_assert_eq(says(check), status, "%s is %d", check, says(check));
}

/* T56: a machine in FIPS mode, or half in it. */
Test(doctor, t56_fips_mode_is_explained)
{
    expect_fips((struct doctor_fips){0}, false, "fips", DOCTOR_OK);
    expect_fips((struct doctor_fips){.provider = true}, true, "fips", DOCTOR_WARN);
    expect_fips((struct doctor_fips){.by_default = true, .provider = true}, true, "fips",
                DOCTOR_OK);
    expect_fips((struct doctor_fips){.by_default = true}, true, "fips", DOCTOR_FAIL);
    expect_fips((struct doctor_fips){.missing = ""}, false, "algorithms", DOCTOR_OK);
    expect_fips((struct doctor_fips){.missing = "ED25519"}, false, "algorithms", DOCTOR_WARN);
    expect_fips((struct doctor_fips){.missing = "HMAC, PBKDF2"}, false, "algorithms", DOCTOR_FAIL);
}

/* T56: who would suffer from the extended-master-secret rule is named. */
Test(doctor, t56_the_trap_of_extended_master_secret_is_explained)
{
    struct conf_generation generation = {.name = "old", .protocol = CONF_PROTOCOL_SSL};
    const struct conf_cluster cluster = {
        .name = "main", .generations = &generation, .generations_count = 1};
    struct config config = config_of(&listener);
    config.clusters = &cluster;
    config.clusters_count = 1;
    struct doctor_fips fips = {.by_default = true, .provider = true};
    doctor_judge_ems(&doctor, &fips, &config);
    cr_assert_eq(says("master_secret"), DOCTOR_WARN);
    cr_expect_not_null(strstr(doctor.findings[0].what, "generation old"));
    cr_expect_not_null(strstr(doctor.findings[0].why, "OpenSSL 1.0"));
    forget();
    fips.by_default = false;
    doctor_judge_ems(&doctor, &fips, &config);
    cr_assert_eq(says("master_secret"), DOCTOR_OK);
    forget();
    fips.by_default = true;
    generation.tls.min_version = CONF_TLS_1_3;
    doctor_judge_ems(&doctor, &fips, &config);
    cr_assert_eq(says("master_secret"), DOCTOR_OK);
    cr_expect_not_null(strstr(doctor.findings[0].what, "nobody speaks TLS 1.2"));
}

/* T56: properties that only a fips provider meets leave nothing where there is none, and it is said. */
Test(doctor, t56_an_openssl_without_what_setu_uses_is_noticed)
{
    struct doctor_fips fips;
    doctor_gather_fips(&fips);
    cr_assert_not(fips.by_default);
    cr_assert_str_eq(fips.missing, "");
    cr_assert_eq(EVP_default_properties_enable_fips(NULL, 1), 1);
    doctor_gather_fips(&fips);
    cr_assert(fips.by_default);
    if (!fips.provider) {
        cr_assert_not_null(strstr(fips.missing, "SHA2-256"), "%s", fips.missing);
        cr_assert_not_null(strstr(fips.missing, "TLS1-PRF"), "%s", fips.missing);
    }
}
