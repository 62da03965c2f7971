/* SPDX-License-Identifier: Apache-2.0 */
/* audit_queue: events that wait for the writer. Not locked: audit_log does that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_event;

struct audit_entry {
    struct audit_entry *next;
    struct audit_event *event; /* owned */
    int64_t queued_ns;         /* when it joined the queue, on the clock that nobody sets */
};

struct audit_queue {
    struct audit_entry *head, **tail;
    size_t count, max;
};

void audit_queue_init(struct audit_queue *queue, size_t max);
void audit_queue_free(struct audit_queue *queue);

/* A copy of the event, with the time of now_ns when it has none. NULL: no memory. */
struct audit_entry *audit_entry_new(const struct audit_event *event, int64_t now_ns)
    __attribute__((warn_unused_result));
void audit_entry_free(struct audit_entry **entry); /* nulls; NULL is fine */

/* The queue's from here on. False: it is full, and the entry stays the caller's. */
bool audit_queue_push(struct audit_queue *queue, struct audit_entry *entry)
    __attribute__((warn_unused_result));

/* Before all others, beyond the maximum if need be. */
void audit_queue_put_back(struct audit_queue *queue, struct audit_entry *first);

/* Up to `count` of the oldest, as a list; NULL: none. */
struct audit_entry *audit_queue_take(struct audit_queue *queue, size_t count)
    __attribute__((warn_unused_result));
