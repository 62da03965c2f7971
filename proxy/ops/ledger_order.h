/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_order: the orders in which ledger_judge looks at records. By what a batch is known: its producer's numbers
 * where it has them, otherwise its content.
 */
#pragma once

#include "proxy/ops/ledger_record.h"

/** Producer id, epoch, sequence. */
int ledger_order_compare_identity(const struct ledger_record *a, const struct ledger_record *b);
/** Checksum, count, length, time. */
int ledger_order_compare_content(const struct ledger_record *a, const struct ledger_record *b);

/** For qsort, of records: kind, then offset (MARK: not), then time. */
int ledger_order_by_place(const void *left, const void *right);

/** For qsort_r, of uint32_t that are indexes of the records given as the third argument. */
int ledger_order_by_identity(const void *left, const void *right, void *records); /* kind, offset */
int ledger_order_by_content(const void *left, const void *right, void *records);  /* kind, offset */
/** Producer, offset, and what was read before what was promised for the same offset. */
int ledger_order_by_producer(const void *left, const void *right, void *records);
