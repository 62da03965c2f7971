/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"

#include <stdio.h>

#include "conf/config.h"
#include "conf/credential.h"
#include "conf/errors.h"
#include "proxy/cli/cli_failure.h"
#include "proxy/cli/cli_out.h"
#include "proxy/cli/doctor.h"
#include "proxy/privileges.h"
#include "proxy/shared.h"

enum { STATS_FILE };

const struct cli_option cli_doctor_options[] = {
    [STATS_FILE] = {"stats-file", "FILE", "check that this file can be written, too"},
    {NULL, NULL, NULL},
};

static json_t *finding_json(const struct doctor_finding *finding)
{
    json_t *row = json_object();
    const bool good = finding->status == DOCTOR_OK;
    json_object_set_new(row, "check", json_string(finding->check));
    json_object_set_new(row, "status", json_string(doctor_status_name(finding->status)));
    json_object_set_new(row, "what", cli_out_string(finding->what));
    json_object_set_new(row, "why", json_string(finding->why));
    json_object_set_new(row, "fix", good ? json_null() : json_string(finding->fix));
    json_object_set(row, "values", finding->values != NULL ? finding->values : json_null());
    return row;
}

static void print_json(const struct doctor *doctor)
{
    json_t *root = json_object();
    json_t *findings = json_array();
    for (size_t i = 0; i < doctor->count; i++) {
        json_array_append_new(findings, finding_json(&doctor->findings[i]));
    }
    json_object_set_new(root, "ok", json_boolean(doctor->statuses[DOCTOR_FAIL] == 0));
    json_object_set_new(root, "warnings", json_integer((json_int_t)doctor->statuses[DOCTOR_WARN]));
    json_object_set_new(root, "failures", json_integer((json_int_t)doctor->statuses[DOCTOR_FAIL]));
    json_object_set_new(root, "findings", findings);
    cli_out_json(root);
}

static void print_text(const struct doctor *doctor)
{
    char safe[CLI_OUT_TEXT_SIZE];
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        printf("%-4s  %-16s  %s\n", doctor_status_name(finding->status), finding->check,
               cli_out_safe(finding->what, safe));
        if (finding->status != DOCTOR_OK) {
            printf("%24s%s\n%24s=> %s\n", "", finding->why, "", finding->fix);
        }
    }
    printf("%zu ok, %zu warning%s, %zu failure%s\n", doctor->statuses[DOCTOR_OK],
           doctor->statuses[DOCTOR_WARN], doctor->statuses[DOCTOR_WARN] == 1 ? "" : "s",
           doctor->statuses[DOCTOR_FAIL], doctor->statuses[DOCTOR_FAIL] == 1 ? "" : "s");
}

/* Whether its files have their paths: another file by the name of a credential is not to be taken for it. */
static bool has_files(const struct config *config)
{
    struct conf_errors told_already;
    conf_errors_init(&told_already);
    const bool has = credential_check(config, &told_already);
    conf_errors_deinit(&told_already);
    return has;
}

/* The configuration alone may be good where a file it names is not: then limits can be judged. */
static void judge(struct doctor *doctor, const struct cli_call *call, const struct shared *shared,
                  const struct config *config, const struct conf_errors *errors)
{
    struct doctor_facts facts;
    struct doctor_fips fips;
    doctor_gather(&facts, call->config_file);
    doctor_judge_machine(doctor, &facts);
    doctor_gather_fips(&fips);
    doctor_judge_fips(doctor, &fips, facts.fips == 1);
    doctor_judge_speed(doctor, config);
    doctor_judge_config(doctor, errors, shared != NULL);
    if (config != NULL) {
        doctor_judge_limits(doctor, &facts, config);
        doctor_judge_files(doctor, config, call->values[STATS_FILE]);
        doctor_judge_landlock(doctor, config, call->config_file, call->values[STATS_FILE]);
        doctor_judge_ems(doctor, &fips, config);
    }
    if (config != NULL && has_files(config)) {
        doctor_judge_trust(doctor, config, facts.now_s);
        doctor_judge_keytabs(doctor, config);
    }
    if (shared != NULL) {
        doctor_judge_certificates(doctor, shared->certificates, facts.now_s);
    }
}

/* 78 exactly when `setu run` would exit with it; what stops it later, as an audit log that cannot
 * be written, is no fault of the configuration. */
static int exit_status(const struct doctor *doctor, bool loaded)
{
    if (!loaded) {
        return CLI_BAD_CONFIG;
    }
    return doctor->statuses[DOCTOR_FAIL] == 0 ? CLI_OK : CLI_NEGATIVE;
}

int cli_doctor(const struct cli_call *call)
{
    struct conf_errors errors, again;
    conf_errors_init(&errors);
    conf_errors_init(&again);
    struct doctor doctor = {0};
    privileges_judge(call->config_file, &errors);
    struct shared *shared = shared_load(call->config_file, &errors);
    struct config *config =
        shared != NULL ? config_ref(shared->config) : config_load(call->config_file, &again);
    judge(&doctor, call, shared, config, &errors);
    if (call->json) {
        cli_failure_keep_problems(&errors);
        print_json(&doctor);
    } else {
        print_text(&doctor);
    }
    const int status = exit_status(&doctor, shared != NULL);
    doctor_free(&doctor);
    shared_unref(&shared);
    config_unref(&config);
    conf_errors_deinit(&again);
    conf_errors_deinit(&errors);
    return status;
}
