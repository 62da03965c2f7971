/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_context.h"

#include <string.h>

#include "conf/config.h"

void mapping_context_begin(struct mapping_context *context, const struct config *config,
                           const struct mapping_query *only)
{
    *context = (struct mapping_context){.config = config};
    if (only != NULL) {
        context->only = *only;
    }
}

static bool wanted(const char *only, const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

/* The mechanism at an index of a listener; past its own comes the client certificate. */
static const char *mechanism_at(const struct conf_listener *listener, size_t index)
{
    if (index < listener->mechanisms_count) {
        return listener->mechanisms[index];
    }
    return index == listener->mechanisms_count && config_listener_takes_certificates(listener)
               ? "SSL"
               : NULL;
}

static bool next_mechanism(struct mapping_context *context)
{
    while (context->listener != NULL && context->generation != NULL) {
        context->mechanism = mechanism_at(context->listener, context->next_mechanism);
        if (context->mechanism == NULL) {
            return false;
        }
        context->next_mechanism++;
        if (wanted(context->only.mechanism, context->mechanism)) {
            return true;
        }
    }
    return false;
}

static bool next_generation(struct mapping_context *context)
{
    while (context->cluster != NULL &&
           context->next_generation < context->cluster->generations_count) {
        context->generation = &context->cluster->generations[context->next_generation++];
        if (wanted(context->only.generation, context->generation->name)) {
            context->next_mechanism = 0;
            return true;
        }
    }
    return false;
}

static bool next_listener(struct mapping_context *context)
{
    const struct config *config = context->config;
    while (context->next_listener < config->listeners_count) {
        context->listener = &config->listeners[context->next_listener++];
        context->cluster = config_cluster(config, context->listener->cluster);
        if (context->cluster != NULL && wanted(context->only.listener, context->listener->name) &&
            wanted(context->only.cluster, context->cluster->name)) {
            context->next_generation = 0;
            return true;
        }
    }
    return false;
}

bool mapping_context_next(struct mapping_context *context)
{
    while (!next_mechanism(context)) {
        while (!next_generation(context)) {
            if (!next_listener(context)) {
                return false;
            }
        }
    }
    return true;
}

struct mapping_query mapping_context_query(const struct mapping_context *context,
                                           const char *principal)
{
    return (struct mapping_query){
        .principal = principal,
        .cluster = context->cluster->name,
        .generation = context->generation->name,
        .listener = context->listener->name,
        .mechanism = context->mechanism,
    };
}

bool mapping_context_shared(const struct mapping *mapping, const struct config *config, size_t rule,
                            size_t other)
{
    struct mapping_context context;
    mapping_context_begin(&context, config, NULL);
    while (mapping_context_next(&context)) {
        const struct mapping_query query = mapping_context_query(&context, NULL);
        if (mapping_holds(mapping, rule, &query) && mapping_holds(mapping, other, &query)) {
            return true;
        }
    }
    return false;
}
