/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that are generated from the key table and kept in the repository; a test compares them.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* conf/REFERENCE.md */
void docs_reference(FILE *out);
/* conf/setu.example.yaml: a whole, valid configuration with a comment at every key. false = the
 * built-in sample has a problem, which is on standard error. */
bool docs_example(FILE *out) __attribute__((warn_unused_result));
