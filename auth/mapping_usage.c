/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mapping_context.h"
#include "conf/config.h"

struct mapping_usages *mapping_usages_new(const struct mapping *mapping)
{
    struct mapping_usages *usages = calloc(1, sizeof *usages);
    if (usages == NULL ||
        (usages->rules = calloc(mapping_count(mapping) + 1, sizeof *usages->rules)) == NULL) {
        abort();
    }
    usages->count = mapping_count(mapping);
    return usages;
}

void mapping_usages_free(struct mapping_usages **usages)
{
    if (*usages != NULL) {
        free((*usages)->rules);
        free(*usages);
        *usages = NULL;
    }
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void count_use(struct mapping_usage *usage, const struct audit_event *event)
{
    const int64_t at = event->time_ns;
    usage->count++;
    if (usage->first_ns == 0 || at < usage->first_ns) {
        usage->first_ns = at;
    }
    if (at >= usage->last_ns) {
        usage->last_ns = at;
        snprintf(usage->last_source, sizeof usage->last_source, "%s", event->client_address);
    }
}

/* A record from before the broker was known has no generation: any will do. */
static bool takes_part(const struct config *config, const struct mapping *mapping, size_t rule,
                       const struct audit_event *event)
{
    struct mapping_context context;
    const struct mapping_query only = {
        .cluster = or_null(event->cluster),
        .generation = or_null(event->generation),
        .listener = or_null(event->listener),
        .mechanism = or_null(event->mechanism),
    };
    mapping_context_begin(&context, config, &only);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, event->principal);
        if (mapping_holds(mapping, rule, &query)) {
            return true;
        }
    }
    return false;
}

static void take_decision(struct mapping_usages *usages, const struct config *config,
                          const struct mapping *mapping, const struct audit_event *event)
{
    usages->decisions++;
    for (size_t i = 0; i < usages->count; i++) {
        if (mapping_takes(mapping, i, event->principal) == MAPPING_YES &&
            takes_part(config, mapping, i, event)) {
            count_use(&usages->rules[i], event);
        }
    }
}

enum audit_status mapping_usages_read(struct mapping_usages *usages, const struct config *config,
                                      const struct mapping *mapping, struct view log,
                                      uint64_t *seq_r)
{
    struct audit_reader reader;
    struct audit_record record;
    enum audit_status status = AUDIT_OK;
    *seq_r = 0;
    audit_reader_init(&reader, log);
    while ((status = audit_read(&reader, &record)) == AUDIT_OK && record.hash_ok) {
        const int64_t at = record.event.time_ns;
        *seq_r = record.seq;
        usages->first_ns = usages->first_ns == 0 || at < usages->first_ns ? at : usages->first_ns;
        usages->last_ns = at > usages->last_ns ? at : usages->last_ns;
        if (record.event.code == AUDIT_MAPPING_DECIDED) {
            take_decision(usages, config, mapping, &record.event);
        }
    }
    audit_reader_end(&reader);
    return status == AUDIT_OK ? AUDIT_BROKEN : status;
}

bool mapping_usages_since(const struct mapping_usages *usages, size_t rule, int64_t since_ns)
{
    return usages->rules[rule].count > 0 && usages->rules[rule].last_ns >= since_ns;
}
