/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/ledger_explain.h"

#include "protocol/batch.h"
#include "proxy/ops/ledger_case.h"

enum ledger_explanation ledger_explain(const struct ledger_record *sent,
                                       const struct ledger_record *read)
{
    if (sent->crc == read->crc && sent->magic == read->magic) {
        return LEDGER_SAME;
    }
    if (sent->magic != read->magic) {
        return LEDGER_CONVERTED;
    }
    if (sent->span == read->span && read->count >= 0 && read->count < sent->count) {
        return LEDGER_COMPACTED;
    }
    if (sent->span != read->span || sent->count != read->count) {
        return LEDGER_UNEXPLAINED;
    }
    const uint16_t changed = sent->attributes ^ read->attributes;
    const bool codec = (changed & BATCH_CODEC_MASK) != 0;
    const bool time = (changed & read->attributes & BATCH_LOG_APPEND_TIME) != 0 ||
                      ((sent->flags & LEDGER_APPEND_TIME) != 0 &&
                       (read->attributes & BATCH_LOG_APPEND_TIME) != 0);
    /* Without a producer's numbers only what stays the same tells that it is this batch. */
    const bool numbered = ledger_case_has_producer(sent) && ledger_case_has_producer(read);
    if (time && (numbered || codec || sent->length == read->length)) {
        return LEDGER_LOG_APPEND_TIME;
    }
    if (codec && (numbered || sent->max_timestamp == read->max_timestamp)) {
        return LEDGER_RECOMPRESSED;
    }
    return (changed & BATCH_DELETE_HORIZON) != 0 ? LEDGER_COMPACTED : LEDGER_UNEXPLAINED;
}
