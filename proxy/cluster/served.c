/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/served.h"

#include <stdlib.h>

#include "protocol/api.h"

static void fill(struct served *served, const struct api_versions *versions)
{
    for (size_t key = 0; key < SERVED_KEYS; key++) {
        served->min[key] = 0;
        served->max[key] = -1;
    }
    for (size_t i = 0; i < versions->count; i++) {
        const struct api_range *range = &versions->ranges[i];
        if (range->key >= 0 && range->key < SERVED_KEYS) {
            served->min[range->key] = range->min;
            served->max[range->key] = range->max;
        }
    }
}

struct served *served_new(const struct api_versions *versions)
{
    struct served *served = malloc(sizeof *served);
    if (served != NULL) {
        served->refs = 1;
        fill(served, versions);
    }
    return served;
}

struct served *served_ref(struct served *served)
{
    if (served != NULL) {
        served->refs++;
    }
    return served;
}

void served_unref(struct served **served_p)
{
    struct served *served = *served_p;
    *served_p = NULL;
    if (served != NULL && --served->refs == 0) {
        free(served);
    }
}

bool served_is(const struct served *served, const struct api_versions *versions)
{
    size_t found = 0;
    for (size_t i = 0; i < versions->count; i++) {
        const struct api_range *range = &versions->ranges[i];
        if (range->key < 0 || range->key >= SERVED_KEYS) {
            continue;
        }
        if (served->min[range->key] != range->min || served->max[range->key] != range->max) {
            return false;
        }
        found++;
    }
    for (size_t key = 0; key < SERVED_KEYS; key++) {
        found -= served->min[key] <= served->max[key] ? 1 : 0;
    }
    return found == 0;
}

/* Nobody asks a broker for these on a client's behalf. */
static bool is_ours(int16_t key)
{
    const struct api *api = api_find(key);
    return api != NULL && api->request_action == API_ANSWER;
}

bool served_keeps(const struct served *served, const struct api_versions *promised)
{
    for (size_t i = 0; i < promised->count; i++) {
        const struct api_range *range = &promised->ranges[i];
        if (!is_ours(range->key) && !(served_takes(served, range->key, range->min) &&
                                      served_takes(served, range->key, range->max))) {
            return false;
        }
    }
    return true;
}

void served_limit(const struct served *served, struct api_versions *versions)
{
    size_t kept = 0;
    for (size_t i = 0; i < versions->count; i++) {
        struct api_range range = versions->ranges[i];
        if (!is_ours(range.key)) {
            int16_t min = range.key < SERVED_KEYS ? served->min[range.key] : 0;
            int16_t max = range.key < SERVED_KEYS ? served->max[range.key] : -1;
            range.min = min > range.min ? min : range.min;
            range.max = max < range.max ? max : range.max;
        }
        if (range.min <= range.max) {
            versions->ranges[kept++] = range;
        }
    }
    versions->count = kept;
}
