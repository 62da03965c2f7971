/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_judge: what the records of one partition prove. Pure: an array in, counts and findings out.
 *
 *   lost        acknowledged, and not among what was read, though readers went past it, or were told that the log ends
 *               before it; or read once, and readers were told so later
 *   duplicated  one batch of a producer lies at two offsets; without a producer id: more copies were read than sent
 *   altered     what was read is not what was sent, and nothing that brokers do explains it; or its checksum is wrong
 *   reordered   a producer's batches lie in the log in another order than it numbered them
 *   in doubt    sent, never answered, and neither read nor acknowledged later: nobody was promised anything
 *
 * Brokers may change a batch: they set its time (LogAppendTime), compress it anew, convert it for old readers, take
 * records out of it (compaction), and drop it with its segment (retention). Those are counted as explained.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "proxy/ops/ledger_block.h"
#include "proxy/ops/ledger_record.h"

enum ledger_finding_kind {
    LEDGER_LOST,
    LEDGER_DUPLICATED,
    LEDGER_ALTERED,
    LEDGER_REORDERED,
    LEDGER_STILL_IN_DOUBT,
    LEDGER_UNPROVEN, /* as lost, but the ledger was blind when the reading of it may have been */
    LEDGER_FINDINGS
};

/* Why a batch that was acknowledged is not there as it was sent, and nothing is wrong. */
enum ledger_explanation {
    LEDGER_SAME,
    LEDGER_LOG_APPEND_TIME,
    LEDGER_RECOMPRESSED,
    LEDGER_CONVERTED,
    LEDGER_COMPACTED,
    LEDGER_EXPIRED, /* before the first offset of the log */
    LEDGER_EXPLANATIONS,
    LEDGER_UNEXPLAINED
};

struct ledger_log {
    struct view cluster, topic; /* topic: its id in hexadecimal where the name is not known */
    int32_t partition;
};

struct ledger_finding {
    enum ledger_finding_kind kind;
    const struct ledger_log *log;
    const struct ledger_record *record; /* the batch it is about */
    int64_t other_offset;               /* where else it is, or what was read beyond it; -1 none */
    const char *text;                   /* what happened to it; constant */
};

typedef void (*ledger_finding_fn)(void *context, const struct ledger_finding *finding);

struct ledger_verdict {
    uint64_t found[LEDGER_FINDINGS]; /* batches */
    uint64_t found_records[LEDGER_FINDINGS];
    uint64_t explained[LEDGER_EXPLANATIONS];        /* batches; SAME: as they were sent */
    uint64_t batches[LEDGER_KINDS];                 /* of each kind in the ledger */
    uint64_t acknowledged_records, fetched_records; /* each offset once */
    uint64_t fetched_offsets;                       /* batches read, each offset once */
    uint64_t not_yet_read;                          /* acknowledged, above all that was read */
    uint64_t not_read; /* acknowledged, below all that was read, or nothing was */
    uint64_t unproved; /* of both: nobody read them, nor was told that the log goes beyond them */
    uint64_t unread_partitions; /* batches were acknowledged there, and none was read */
    uint64_t resolved;          /* in doubt once, found since */
    /* copies without producer id that retries may have made while the ledger was blind */
    uint64_t repeated;
    uint64_t partitions;
    uint64_t missing_files; /* that others tell of (ledger_verify) */
};

/* A writer was killed: what came after its last record and before its host's next file may be missing. */
struct ledger_kill {
    int64_t from_ms, to_ms; /* both excluded */
};

/* Where the ledger is blind. */
struct ledger_holes {
    const struct ledger_kill *kills;
    size_t kill_count;
    const struct ledger_gap *gaps;
    size_t gap_count;
};

/** Judges and adds to the verdict; sorts records. False: no memory. */
bool ledger_judge(const struct ledger_log *log, struct ledger_record *records, size_t count,
                  const struct ledger_holes *holes, struct ledger_verdict *verdict,
                  ledger_finding_fn finding, void *context) __attribute__((warn_unused_result));

/** What ledger_judge allocates for each record, beside the array it is given. */
enum { LEDGER_JUDGE_BYTES = 16 };

/** "lost", "duplicated", ...; "log_append_time", ... */
const char *ledger_finding_name(enum ledger_finding_kind kind);
const char *ledger_explanation_name(enum ledger_explanation explanation);
