/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct doctor_finding *next_place(struct doctor *doctor)
{
    if (doctor->count == doctor->capacity) {
        doctor->capacity = doctor->capacity == 0 ? 64 : 2 * doctor->capacity;
        doctor->findings = realloc(doctor->findings, doctor->capacity * sizeof *doctor->findings);
        if (doctor->findings == NULL) {
            abort();
        }
    }
    return &doctor->findings[doctor->count++];
}

struct doctor_finding *doctor_add(struct doctor *doctor, const char *check,
                                  enum doctor_status status, const char *why, const char *fix,
                                  const char *format, ...)
{
    struct doctor_finding *finding = next_place(doctor);
    doctor->statuses[status]++;
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
    free(doctor->findings);
    *doctor = (struct doctor){0};
}

const char *doctor_status_name(enum doctor_status status)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[status];
}
