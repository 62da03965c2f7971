/* SPDX-License-Identifier: Apache-2.0 */
/* A file of mapping cases: either refused with a reason, or every case is whole. */
#include <stdint.h>
#include <stdlib.h>

#include "auth/mapping_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct mapping_cases *cases = mapping_cases_parse((const char *)data, size, "f", &errors);
    must((cases == NULL) == conf_errors_failed(&errors));
    must(cases == NULL || mapping_cases_count(cases) > 0);
    for (size_t i = 0; cases != NULL && i < mapping_cases_count(cases); i++) {
        const struct mapping_case *it = mapping_cases_at(cases, i);
        must(it->query.principal != NULL && it->place.line > 0);
        must(it->expect == MAPPING_EXPECT_MAPPED ||
             (it->certificate == NULL && it->rule == NULL && it->predicted == NULL));
        must(mapping_case_expects(it, MAPPING_MAPPED, false) ==
             (it->expect == MAPPING_EXPECT_MAPPED));
    }
    mapping_cases_free(&cases);
    conf_errors_deinit(&errors);
    return 0;
}
