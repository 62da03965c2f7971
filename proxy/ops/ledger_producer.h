/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_producer: batches with a producer's id, epoch and sequence. */
#pragma once

#include "proxy/ops/ledger_case.h"

/* Those that were read, and those acknowledged at an offset, by their identity. */
void ledger_producer_index(struct ledger_case *c);

/* With that index: the same batch at two offsets, and doubts that something there resolves. */
void ledger_producer_judge_copies(struct ledger_case *c);
void ledger_producer_judge_doubts(struct ledger_case *c);

/* Do a producer's batches lie in the order of their numbers? Last: sorts the index anew. */
void ledger_producer_judge_order(struct ledger_case *c);
