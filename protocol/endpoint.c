/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/endpoint.h"

#include "protocol/api.h"

bool endpoint_in(int16_t key, int16_t version)
{
    const struct api *api = api_find(key);
    if (api == NULL || version < api->version_min || version > api->version_max) {
        return false;
    }
    switch (key) {
    case API_METADATA:
    case API_FIND_COORDINATOR:
    case API_DESCRIBE_CLUSTER:
    case API_SHARE_FETCH:
    case API_SHARE_ACKNOWLEDGE:
        return true;
    case API_PRODUCE:
        return version >= 10; /* KIP-951 */
    case API_FETCH:
        return version >= 16;
    default:
        return false;
    }
}
