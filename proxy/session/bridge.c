/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/bridge.h"

#include <string.h>

#include "proxy/cluster/cluster.h"

bool bridge_admits(const struct session *s, const char *principal)
{
    const struct conf_listener *conf = s->gate->conf;
    if (!bridge_is(s)) {
        return true;
    }
    for (size_t i = 0; i < conf->peers_count; i++) {
        if (strcmp(conf->peers[i], principal) == 0) {
            return true;
        }
    }
    return false;
}

bool bridge_versions(const struct session *s, struct api_versions *versions_r)
{
    if (!cluster_told_versions(s->gate->cluster, versions_r)) {
        return false;
    }
    for (size_t i = 0; i < versions_r->count; i++) {
        struct api_range *range = &versions_r->ranges[i];
        const struct api *own = api_find(range->key);
        if (own != NULL && own->request_action == API_ANSWER) {
            range->min = own->version_min;
            range->max = own->version_max;
        }
    }
    return true;
}

bool bridge_is_certified(const struct session *s)
{
    return bridge_is(s) && s->client.ssl != NULL &&
           SSL_get0_peer_certificate(s->client.ssl) != NULL;
}

enum api_action bridge_request_action(int16_t key, int16_t version)
{
    switch (key) {
    case API_PRODUCE:
        return api_admits(key, version) ? API_WATCH : API_HIDE;
    case API_SASL_HANDSHAKE:
    case API_SASL_AUTHENTICATE:
        return API_ANSWER;
    default:
        return API_FORWARD;
    }
}

enum api_action bridge_response_action(int16_t key, int16_t version)
{
    return key == API_FETCH && api_admits(key, version) ? API_WATCH : API_FORWARD;
}
