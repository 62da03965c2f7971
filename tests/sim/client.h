/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: a Kafka client of a run. It dials, logs in (with Setu's own login for brokers), pipelines requests of its
 * trade, checks each answer against its book, leaves, comes again. A few do what no good client does.
 *
 *   idle ─ dial ─▶ login ─▶ talk ─▶ idle … gone
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct end;

void client_begin(size_t count);
/** Frees what is not the run's memory. */
void client_end(void);

/** All have done what they came for, or have given up. */
bool client_all_gone(void);

/** The end is a client's whose login is done, and it waits for answers. For planted faults. */
bool client_talks(const struct end *end);
struct book *client_book(const struct end *end);
