/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/profile.h"

#include <stddef.h>
#include <string.h>

#include "protocol/handshake.h"

enum { PROFILES = 4 };

static const char *const names[PROFILES] = {"2.8", "3.9", "4.4", "future"};

/* Lowest and highest version by profile; -1: not there. */
static const struct row {
    int16_t key;
    int16_t range[PROFILES][2];
} rows[] = {
    {0, {{0, 9}, {0, 11}, {0, 13}, {0, 14}}}, {1, {{0, 12}, {0, 17}, {4, 18}, {4, 19}}},
    {2, {{0, 6}, {0, 9}, {1, 11}, {1, 12}}},  {3, {{0, 11}, {0, 12}, {0, 13}, {0, 14}}},
    {10, {{0, 3}, {0, 6}, {0, 6}, {0, 7}}},   {17, {{0, 1}, {0, 1}, {0, 1}, {0, 2}}},
    {18, {{0, 3}, {0, 4}, {0, 4}, {0, 4}}},   {22, {{0, 4}, {0, 5}, {0, 5}, {0, 5}}},
    {26, {{0, 3}, {0, 4}, {0, 5}, {0, 5}}},   {36, {{0, 2}, {0, 2}, {0, 2}, {0, 3}}},
    {60, {{0, 0}, {0, 1}, {0, 2}, {0, 3}}},   {200, {{-1, -1}, {-1, -1}, {-1, -1}, {0, 7}}},
};

static size_t profile_index(const char *name)
{
    size_t i = 0;
    while (i < PROFILES && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

bool profile_known(const char *name)
{
    return profile_index(name) < PROFILES;
}

void profile_versions(const char *name, struct api_versions *versions_r)
{
    size_t profile = profile_index(name);
    *versions_r = (struct api_versions){0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].range[profile][0] >= 0) {
            versions_r->ranges[versions_r->count++] = (struct api_range){
                rows[i].key, rows[i].range[profile][0], rows[i].range[profile][1]};
        }
    }
}

bool profile_serves(const char *name, int16_t key, int16_t version)
{
    struct api_versions versions;
    profile_versions(name, &versions);
    const struct api_range *range = api_versions_find(&versions, key);
    bool too_old = key == 0 && version < 3;
    return range != NULL && !too_old && version >= range->min && version <= range->max;
}
