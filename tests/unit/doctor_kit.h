/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the doctor share: one doctor, and what it found. Include criterion first. */
#pragma once

#include <string.h>

#include "proxy/cli/doctor.h"

static struct doctor doctor;

/* The worst status of a check; -1: it is not among the findings. */
static inline int says(const char *check)
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

static inline void forget(void)
{
    doctor_free(&doctor);
}
