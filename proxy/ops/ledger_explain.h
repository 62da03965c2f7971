/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_explain: what brokers may do to a batch. */
#pragma once

#include "proxy/ops/ledger_judge.h"

/** Why read differs from sent, which was at the same offset; LEDGER_UNEXPLAINED: no broker does that. */
enum ledger_explanation ledger_explain(const struct ledger_record *sent,
                                       const struct ledger_record *read);
