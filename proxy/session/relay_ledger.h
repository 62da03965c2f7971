/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_ledger: what the ledger is told of the batches of one session.
 *
 *   Produce request   on_partition, on_batch ─▶ note ─┐                     answered ─▶ acknowledged, or refused
 *   Produce response  partition, offset, error ───────┴─ joined, in order ─┤
 *   Fetch response    on_partition, on_batch ─▶ fetched                     no answer ─▶ in doubt
 *
 * Notes (relay_notes) are kept oldest first: responses come in the order of the requests, so the notes of the request
 * that is answered are always the first. A batch for which there is no room is missed, and told. Nothing of this
 * exists for a session that the ledger does not want: the ledger is off, or the listener is not one for clients.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "protocol/bytes.h"

struct records_partition;
struct relay_ledger;
struct session;

/** The ledger wants this session's batches. */
bool relay_ledger_wants(const struct session *s);

/* ---- a Produce request ---- */

/** It begins; its acks are not known yet. */
void relay_ledger_request(struct session *s);
/** It will be answered, or not. Before its partitions. */
void relay_ledger_acks(struct session *s, int16_t acks);
void relay_ledger_sent_partition(struct session *s, const struct records_partition *partition);
void relay_ledger_sent(struct session *s, const struct batch_head *head,
                       enum batch_verdict verdict);

/* ---- a Produce response ---- */

/**
 * The oldest Produce request is being answered, by frame_bytes. true: give all of it to relay_ledger_answer; false: it
 * may pass unread (nothing waits for it, or it is too large to be kept, and its batches stay in doubt).
 */
bool relay_ledger_reads(struct session *s, size_t frame_bytes);
/**
 * The next bytes of the response, its size left out; `more` follow. With the last ones it is read; batches that it does
 * not tell of stay in doubt.
 */
void relay_ledger_answer(struct session *s, int16_t version, struct view part, size_t more);

/* ---- responses to readers ---- */

void relay_ledger_fetch(struct session *s);
void relay_ledger_fetched_partition(struct session *s, const struct records_partition *partition);
void relay_ledger_fetched(struct session *s, const struct batch_head *head,
                          enum batch_verdict verdict);

/** A Metadata response, whole, without its size: which topic has which id. */
void relay_ledger_metadata(struct session *s, int16_t version, struct view payload);

/** The session ends: what was sent and not answered is in doubt. Frees. */
void relay_ledger_free(struct relay_ledger **ledger);
