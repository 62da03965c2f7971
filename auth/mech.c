/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mech.h"

#include <string.h>

#include "auth/mech_end.h"

enum { MECH_COUNT = 5 };

const struct mech mech_scram_sha_256 = {
    .name = "SCRAM-SHA-256",
    .server = &mech_scram_server,
    .client = &mech_scram_client,
};

const struct mech mech_scram_sha_512 = {
    .name = "SCRAM-SHA-512",
    .server = &mech_scram_server,
    .client = &mech_scram_client,
};

static const struct mech *const mechs[MECH_COUNT] = {
    &mech_gssapi, &mech_scram_sha_512, &mech_scram_sha_256, &mech_oauthbearer, &mech_plain};

static const char *const names[MECH_COUNT + 1] = {"GSSAPI",      "SCRAM-SHA-512", "SCRAM-SHA-256",
                                                  "OAUTHBEARER", "PLAIN",         NULL};

const char *const *mech_names(size_t *count_r)
{
    if (count_r != NULL) {
        *count_r = MECH_COUNT;
    }
    return names;
}

const struct mech *mech_find(const char *name)
{
    for (size_t i = 0; i < MECH_COUNT; i++) {
        if (strcmp(mechs[i]->name, name) == 0) {
            return mechs[i];
        }
    }
    return NULL;
}

bool mech_known(const char *name)
{
    return mech_find(name) != NULL;
}

bool mech_needs_users(const char *name)
{
    const struct mech *mech = mech_find(name);
    return mech != NULL && !mech->without_users;
}

bool mech_cleartext(const char *name)
{
    const struct mech *mech = mech_find(name);
    return mech != NULL && mech->cleartext;
}
