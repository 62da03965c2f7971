/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_promise: what was acknowledged, and whether it was kept. */
#pragma once

#include "proxy/ops/ledger_case.h"

/* After ledger_reading_judge, with the index of ledger_producer_index. */
void ledger_promise_judge(struct ledger_case *c);
