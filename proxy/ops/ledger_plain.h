/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_plain: batches without a producer's numbers, known by their content: copies against what was sent, doubts. */
#pragma once

#include "proxy/ops/ledger_case.h"

/* Makes an index of its own. */
void ledger_plain_judge(struct ledger_case *c);
