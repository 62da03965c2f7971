/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/generation.h"

#include <string.h>

#include "conf/config.h"
#include "conf/glob.h"

static bool has_node(const struct conf_match *match, int32_t node_id)
{
    for (size_t i = 0; i < match->node_ids_count; i++) {
        if (node_id >= match->node_ids[i].first && node_id <= match->node_ids[i].last) {
            return true;
        }
    }
    return false;
}

enum generation_match generation_match(const struct conf_generation *generation,
                                       const struct generation_subject *subject)
{
    const struct conf_match *match = &generation->match;
    bool wants_node = match->node_ids_count > 0;
    bool wants_rack = match->rack[0] != '\0';
    if (wants_node && subject->node_id >= 0 && !has_node(match, subject->node_id)) {
        return GENERATION_NO;
    }
    if (match->host[0] != '\0' && !glob_matches_fold(match->host, subject->host)) {
        return GENERATION_NO;
    }
    if (match->port != 0 && match->port != subject->port) {
        return GENERATION_NO;
    }
    if (wants_rack && subject->rack != NULL && strcmp(match->rack, subject->rack) != 0) {
        return GENERATION_NO;
    }
    if ((wants_node && subject->node_id < 0) || (wants_rack && subject->rack == NULL)) {
        return GENERATION_MAYBE;
    }
    return match->probe ? GENERATION_LOOK : GENERATION_YES;
}

static bool offers(const struct generation_look *look, const char *mechanism)
{
    for (size_t i = 0; i < look->mechanism_count; i++) {
        if (strcmp(look->mechanisms[i], mechanism) == 0) {
            return true;
        }
    }
    return false;
}

bool generation_fits(const struct conf_generation *generation, const struct generation_look *look)
{
    bool sasl = config_protocol_has_sasl(generation->protocol);
    if (config_protocol_has_tls(generation->protocol) != look->tls) {
        return false;
    }
    if (look->certificate_wanted) {
        return !sasl;
    }
    if (sasl != look->sasl) {
        return false;
    }
    return !generation->sasl.present || offers(look, generation->sasl.mechanism);
}

const struct conf_generation *generation_by_rule(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 bool *look_r)
{
    *look_r = false;
    for (size_t i = 0; i < cluster->generations_count; i++) {
        enum generation_match match = generation_match(&cluster->generations[i], subject);
        if (match == GENERATION_YES && !*look_r) {
            return &cluster->generations[i];
        }
        if (match != GENERATION_NO) {
            *look_r = true;
        }
    }
    return NULL;
}

const struct conf_generation *generation_by_look(const struct conf_cluster *cluster,
                                                 const struct generation_subject *subject,
                                                 const struct generation_look *look)
{
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        if (generation_match(generation, subject) != GENERATION_NO &&
            generation_fits(generation, look)) {
            return generation;
        }
    }
    return NULL;
}
