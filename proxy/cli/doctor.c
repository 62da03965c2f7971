/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>

struct doctor_finding *doctor_add(struct doctor *doctor, const char *check,
                                  enum doctor_status status, const char *why, const char *fix,
                                  const char *format, ...)
{
    doctor->statuses[status]++;
    /* When the list is full the last place is written again. */
    if (doctor->count < DOCTOR_FINDINGS_MAX) {
        doctor->count++;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count - 1];
    json_decref(finding->values);
    *finding = (struct doctor_finding){.check = check, .status = status, .why = why, .fix = fix};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->what, sizeof finding->what, format, arguments);
    va_end(arguments);
    return finding;
}

void doctor_free(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        json_decref(doctor->findings[i].values);
    }
    doctor->count = 0;
}

const char *doctor_status_name(enum doctor_status status)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[status];
}
