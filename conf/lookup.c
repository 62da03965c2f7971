/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a finished snapshot. */
#include "conf/config.h"

#include <string.h>

#include "conf/glob.h"

const struct conf_certificate *config_certificate(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->certificates_count; i++) {
        if (strcmp(config->certificates[i].name, name) == 0) {
            return &config->certificates[i];
        }
    }
    return NULL;
}

const struct conf_cluster *config_cluster(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->clusters_count; i++) {
        if (strcmp(config->clusters[i].name, name) == 0) {
            return &config->clusters[i];
        }
    }
    return NULL;
}

bool config_cluster_logs_in(const struct conf_cluster *cluster, enum conf_login login)
{
    for (size_t i = 0; i < cluster->generations_count; i++) {
        if (cluster->generations[i].login == login) {
            return true;
        }
    }
    return false;
}

bool config_offers(const struct config *config, const char *mechanism)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        for (size_t k = 0; k < listener->mechanisms_count; k++) {
            if (strcmp(listener->mechanisms[k], mechanism) == 0) {
                return true;
            }
        }
    }
    return false;
}

const struct conf_listener *config_listener(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (strcmp(config->listeners[i].name, name) == 0) {
            return &config->listeners[i];
        }
    }
    return NULL;
}

const struct conf_generation *config_generation(const struct conf_cluster *cluster,
                                                const char *name)
{
    for (size_t i = 0; i < cluster->generations_count; i++) {
        if (strcmp(cluster->generations[i].name, name) == 0) {
            return &cluster->generations[i];
        }
    }
    return NULL;
}

static bool node_id_matches(const struct conf_match *match, int32_t node_id)
{
    if (match->node_ids_count == 0) {
        return true;
    }
    for (size_t i = 0; i < match->node_ids_count; i++) {
        if (node_id >= match->node_ids[i].first && node_id <= match->node_ids[i].last) {
            return true;
        }
    }
    return false;
}

bool config_generation_matches(const struct conf_generation *generation, int32_t node_id,
                               const char *host, int port, const char *rack)
{
    const struct conf_match *match = &generation->match;
    if (!node_id_matches(match, node_id)) {
        return false;
    }
    if (match->host[0] != '\0' && (host == NULL || !glob_matches_fold(match->host, host))) {
        return false;
    }
    if (match->port != 0 && match->port != port) {
        return false;
    }
    return match->rack[0] == '\0' || (rack != NULL && strcmp(match->rack, rack) == 0);
}
