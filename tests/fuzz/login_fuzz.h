/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of logins share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "conf/errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline bool login_fuzz_random(void *context, uint8_t *at, size_t length)
{
    uint64_t *state = context;
    for (size_t i = 0; i < length; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        at[i] = (uint8_t)(*state >> 56);
    }
    return true;
}

/* One user, "user" with the password "pencil" (RFC 7677), made once and kept. */
static inline struct credentials *login_fuzz_users(void)
{
    static struct credentials *users;
    static const char yaml[] =
        "users:\n"
        "  - name: user\n"
        "    scram-sha-256: \"salt=W22ZaJ0SNY7soEsUEjb6gQ==,"
        "stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
        "server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096\"\n";
    if (users == NULL) {
        struct conf_errors errors;
        conf_errors_init(&errors);
        users = credentials_parse(view_from_string(yaml), "fuzz", &errors);
        must(users != NULL);
        conf_errors_deinit(&errors);
    }
    return users;
}

/* Cuts the next token off the input: two bytes of length, then as many bytes as there are. */
static inline struct view login_fuzz_token(const uint8_t **data, size_t *size)
{
    if (*size < 2) {
        return view_of(NULL, 0);
    }
    size_t length = (size_t)(*data)[0] << 8 | (*data)[1];
    *data += 2;
    *size -= 2;
    length = length < *size ? length : *size;
    struct view token = view_of(*data, length);
    *data += length;
    *size -= length;
    return token;
}
