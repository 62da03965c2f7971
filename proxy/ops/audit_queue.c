/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/audit_queue.h"

#include <stdlib.h>

#include "auth/audit.h"

void audit_queue_init(struct audit_queue *queue, size_t max)
{
    *queue = (struct audit_queue){.max = max};
    queue->tail = &queue->head;
}

void audit_queue_free(struct audit_queue *queue)
{
    while (queue->head != NULL) {
        struct audit_entry *gone = queue->head;
        queue->head = gone->next;
        audit_entry_free(&gone);
    }
}

struct audit_entry *audit_entry_new(const struct audit_event *event, int64_t now_ns)
{
    struct audit_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->event = audit_event_clone(event);
    if (entry->event->time_ns == 0) {
        entry->event->time_ns = now_ns;
    }
    return entry;
}

void audit_entry_free(struct audit_entry **entry)
{
    struct audit_entry *gone = *entry;
    *entry = NULL;
    if (gone != NULL) {
        audit_event_free(&gone->event);
        free(gone);
    }
}

bool audit_queue_push(struct audit_queue *queue, struct audit_entry *entry)
{
    if (queue->count >= queue->max) {
        return false;
    }
    *queue->tail = entry;
    queue->tail = &entry->next;
    queue->count++;
    return true;
}

void audit_queue_put_back(struct audit_queue *queue, struct audit_entry *first)
{
    struct audit_entry **tail = &first;
    for (; *tail != NULL; tail = &(*tail)->next) {
        queue->count++;
    }
    if (tail == &first) {
        return;
    }
    *tail = queue->head;
    queue->tail = queue->head == NULL ? tail : queue->tail;
    queue->head = first;
}

struct audit_entry *audit_queue_take(struct audit_queue *queue, size_t count)
{
    struct audit_entry *first = queue->head, **link = &queue->head;
    size_t n = 0;
    for (; *link != NULL && n < count; n++) {
        link = &(*link)->next;
    }
    if (n == 0) {
        return NULL;
    }
    queue->head = *link;
    if (queue->head == NULL) {
        queue->tail = &queue->head;
    }
    *link = NULL;
    queue->count -= n;
    return first;
}
