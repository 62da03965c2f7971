/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_order.h"

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

int ledger_order_by_place(const void *left, const void *right)
{
    const struct ledger_record *a = left, *b = right;
    int order = compare(a->kind, b->kind);
    if (order == 0 && a->kind != LEDGER_MARK) {
        order = compare(a->offset, b->offset);
    }
    return order != 0 ? order : compare(a->time_ms, b->time_ms);
}

int ledger_order_compare_identity(const struct ledger_record *a, const struct ledger_record *b)
{
    int order = compare(a->producer_id, b->producer_id);
    order = order != 0 ? order : compare(a->epoch, b->epoch);
    return order != 0 ? order : compare(a->sequence, b->sequence);
}

int ledger_order_by_identity(const void *left, const void *right, void *records)
{
    const struct ledger_record *a = (const struct ledger_record *)records + *(const uint32_t *)left;
    const struct ledger_record *b =
        (const struct ledger_record *)records + *(const uint32_t *)right;
    int order = ledger_order_compare_identity(a, b);
    order = order != 0 ? order : compare(a->kind, b->kind);
    return order != 0 ? order : compare(a->offset, b->offset);
}

/* Of one producer; what was read before what was promised for the same offset. */
int ledger_order_by_producer(const void *left, const void *right, void *records)
{
    const struct ledger_record *a = (const struct ledger_record *)records + *(const uint32_t *)left;
    const struct ledger_record *b =
        (const struct ledger_record *)records + *(const uint32_t *)right;
    int order = compare(a->producer_id, b->producer_id);
    order = order != 0 ? order : compare(a->offset, b->offset);
    return order != 0 ? order : compare(b->kind, a->kind);
}

/* Without a producer id a batch is known by its content. */
int ledger_order_compare_content(const struct ledger_record *a, const struct ledger_record *b)
{
    int order = compare(a->crc, b->crc);
    order = order != 0 ? order : compare(a->count, b->count);
    order = order != 0 ? order : compare(a->length, b->length);
    return order != 0 ? order : compare(a->max_timestamp, b->max_timestamp);
}

int ledger_order_by_content(const void *left, const void *right, void *records)
{
    const struct ledger_record *a = (const struct ledger_record *)records + *(const uint32_t *)left;
    const struct ledger_record *b =
        (const struct ledger_record *)records + *(const uint32_t *)right;
    int order = ledger_order_compare_content(a, b);
    order = order != 0 ? order : compare(a->kind, b->kind);
    return order != 0 ? order : compare(a->offset, b->offset);
}
