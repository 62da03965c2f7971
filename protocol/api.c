/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/api.h"

#include "protocol/endpoint.h"

/* Index = key, so that a lookup on the hot path is one load. */
static const struct api rows[] = {
#define API(k, n, min, max, flexible, request, response, brokers)                                  \
    [k] = {.key = (k),                                                                             \
           .name = #n,                                                                             \
           .version_min = (min),                                                                   \
           .version_max = (max),                                                                   \
           .flexible_since = (flexible),                                                           \
           .request_action = API_##request,                                                        \
           .response_action = API_##response,                                                      \
           .inter_broker = (brokers)},
#include "protocol/api.def"
#undef API
};

size_t api_count(void)
{
    return sizeof rows / sizeof rows[0];
}

const struct api *api_at(size_t i)
{
    return &rows[i];
}

const struct api *api_find(int16_t key)
{
    if (key < 0 || (size_t)key >= api_count()) {
        return NULL;
    }
    return &rows[key];
}

const char *api_name(int16_t key)
{
    const struct api *api = api_find(key);
    return api != NULL ? api->name : "unknown";
}

static const struct api *admitted(int16_t key, int16_t version)
{
    const struct api *api = api_find(key);
    if (api == NULL || api->request_action == API_HIDE || version < api->version_min ||
        version > api->version_max) {
        return NULL;
    }
    return api;
}

bool api_admits(int16_t key, int16_t version)
{
    return admitted(key, version) != NULL;
}

enum api_action api_request_action(int16_t key, int16_t version)
{
    const struct api *api = admitted(key, version);
    return api != NULL ? api->request_action : API_HIDE;
}

enum api_action api_response_action(int16_t key, int16_t version)
{
    const struct api *api = admitted(key, version);
    if (api == NULL) {
        return API_HIDE;
    }
    if (api->response_action == API_REWRITE && !endpoint_in(key, version)) {
        return API_FORWARD;
    }
    return api->response_action;
}

bool api_is_flexible(int16_t key, int16_t version)
{
    const struct api *api = api_find(key);
    return api != NULL && api->flexible_since >= 0 && version >= api->flexible_since;
}

int api_request_header_version(int16_t key, int16_t version)
{
    if (api_find(key) == NULL) {
        return -1;
    }
    if (key == API_CONTROLLED_SHUTDOWN && version == 0) {
        return 0;
    }
    return api_is_flexible(key, version) ? 2 : 1;
}

int api_response_header_version(int16_t key, int16_t version)
{
    if (api_find(key) == NULL) {
        return -1;
    }
    /* A client must be able to read it before it knows what its peer speaks (KIP-511). */
    if (key == API_API_VERSIONS) {
        return 0;
    }
    return api_is_flexible(key, version) ? 1 : 0;
}
