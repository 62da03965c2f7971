/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the message of one ledger block: its checksum is made to hold, so that the content is reached; what it
 * tells is judged, as all of one partition.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/batch.h"
#include "proxy/ops/ledger_block.h"
#include "proxy/ops/ledger_judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 4096 };

struct collected {
    struct ledger_record records[RECORDS_MAX];
    struct ledger_gap gaps[16];
    size_t count, gap_count;
};

static void on_record(void *context, uint32_t partition, const struct ledger_record *record)
{
    struct collected *to = context;
    (void)partition;
    if (to->count < RECORDS_MAX) {
        to->records[to->count++] = *record;
    }
}

static void on_gap(void *context, const struct ledger_gap *gap)
{
    struct collected *to = context;
    if (to->gap_count < 16) {
        to->gaps[to->gap_count++] = *gap;
    }
}

static void on_partition(void *context, const struct ledger_partition *partition)
{
    (void)context;
    if (partition->cluster.length > 0 && partition->cluster.at[0] == 0) {
        abort();
    }
}

static const struct ledger_visitor visitor = {
    .partition = on_partition, .record = on_record, .gap = on_gap};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ledger_log log;
    static struct collected collected;
    struct ledger_verdict verdict = {0};
    if (size > LEDGER_BLOCK_BYTES_MAX - LEDGER_HEAD_BYTES) {
        return 0;
    }
    uint8_t *block = malloc(size + LEDGER_HEAD_BYTES);
    if (size > 0) {
        memcpy(block + LEDGER_HEAD_BYTES, data, size);
    }
    bytes_store_u32(block, (uint32_t)size);
    bytes_store_u32(block + 4, batch_crc_end(2, batch_crc_update(2, batch_crc_begin(2),
                                                                 block + LEDGER_HEAD_BYTES, size)));
    collected.count = collected.gap_count = 0;
    if (ledger_block_read(view_of(block, size + LEDGER_HEAD_BYTES), &visitor, &collected)) {
        const struct ledger_holes holes = {.gaps = collected.gaps,
                                           .gap_count = collected.gap_count};
        if (!ledger_judge(&log, collected.records, collected.count, &holes, &verdict, NULL, NULL)) {
            abort();
        }
    }
    free(block);
    return 0;
}
