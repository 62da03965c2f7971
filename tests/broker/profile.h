/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions the broker pretends to speak: the ranges of real releases, of what it can do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct api_versions;

bool profile_known(const char *name);
/* Fills what an ApiVersions response says; the name must be known. */
void profile_versions(const char *name, struct api_versions *versions_r);
/* May this request be served? Produce before v3 never is, though it is advertised (KAFKA-18659). */
bool profile_serves(const char *name, int16_t key, int16_t version);
