/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mapping is expected to decide, as a file that is kept beside the configuration:
 *
 *     cases:
 *       - principal: orders               # as the client sends it
 *         generation: ajna                # optional, like cluster, listener and mechanism:
 *         certificate: orders             #   a case holds everywhere that is not excluded
 *         rule: orders-team               # optional: the rule, by its name
 *         predicted: "CN=orders"          # optional: as whom brokers are to take it
 *       - {principal: nobody, expect: unmapped}
 *
 * expect: mapped, unmapped, ambiguous, error, refused (it is no principal), or denied (any but
 * mapped); mapped when 'certificate', 'rule' or 'predicted' is given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "auth/mapping.h"
#include "conf/errors.h"

enum mapping_expect {
    MAPPING_EXPECT_MAPPED,
    MAPPING_EXPECT_UNMAPPED,
    MAPPING_EXPECT_AMBIGUOUS,
    MAPPING_EXPECT_ERROR,
    MAPPING_EXPECT_REFUSED,
    MAPPING_EXPECT_DENIED
};

/* Texts live as long as the cases; NULL = not given. */
struct mapping_case {
    struct conf_place place;
    const char *name;
    struct mapping_query query; /* its principal is as written, not canonical */
    enum mapping_expect expect;
    const char *certificate, *rule, *predicted; /* MAPPING_EXPECT_MAPPED only */
};

struct mapping_cases;

/* NULL: every problem is in `errors`. Read with conf/yaml.h and as strictly. */
struct mapping_cases *mapping_cases_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));
struct mapping_cases *mapping_cases_parse(const char *text, size_t length, const char *file,
                                          struct conf_errors *errors)
    __attribute__((warn_unused_result));
void mapping_cases_free(struct mapping_cases **cases); /* NULL is allowed; sets NULL */

size_t mapping_cases_count(const struct mapping_cases *cases);
const struct mapping_case *mapping_cases_at(const struct mapping_cases *cases, size_t index);

/* Whether an outcome is what the case expects; `refused`: the name is no principal. */
bool mapping_case_expects(const struct mapping_case *wanted, enum mapping_outcome outcome,
                          bool refused);
const char *mapping_expect_name(enum mapping_expect expect); /* "mapped", ... */
