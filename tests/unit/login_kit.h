/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of a login share: a users file, predictable randomness, and one end of an exchange
 * driven by hand. Include criterion first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "conf/errors.h"

/* Not random at all: every call gives other bytes, every run the same. */
static inline bool kit_random(void *context, uint8_t *at, size_t length)
{
    static uint64_t state = 88172645463325252u;
    uint64_t *own = context != NULL ? context : &state;
    for (size_t i = 0; i < length; i++) {
        *own ^= *own << 13;
        *own ^= *own >> 7;
        *own ^= *own << 17;
        at[i] = (uint8_t)(*own >> 32);
    }
    return true;
}

static inline bool kit_no_random(void *context, uint8_t *at, size_t length)
{
    (void)context, (void)at, (void)length;
    return false;
}

static inline void kit_record(char *text, size_t size, enum scram_hash hash, const char *password,
                              uint32_t iterations, const char *salt)
{
    struct scram_record record;
    struct writer out;
    cr_assert(scram_record_make(hash, view_from_string(password), view_from_string(salt),
                                iterations, &record));
    writer_init_fixed(&out, text, size - 1);
    scram_record_print(&record, &out);
    cr_assert(writer_ok(&out));
    text[out.length] = 0;
}

static inline struct credentials *kit_parse(const char *yaml)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct credentials *users = credentials_parse(view_from_string(yaml), "users.yaml", &errors);
    if (users == NULL) {
        conf_errors_print(&errors, stderr);
    }
    cr_assert_not_null(users);
    conf_errors_deinit(&errors);
    return users;
}

/*
 * alice      wonderland      SHA-256, SHA-512 (and so PLAIN)
 * bob        builder         SHA-256 only
 * carol      christmas       SHA-512, may use SCRAM-SHA-512 only
 * "d=,e"     escaped         SHA-256
 */
static inline struct credentials *kit_users(void)
{
    char yaml[8192], a256[512], a512[512], b256[512], c512[512], d256[512];
    kit_record(a256, sizeof a256, SCRAM_SHA_256, "wonderland", 4096, "1abcdefghijklmnopqrstuvwxy");
    kit_record(a512, sizeof a512, SCRAM_SHA_512, "wonderland", 4096, "ab0defghijklmnopqrstuvwxy");
    kit_record(b256, sizeof b256, SCRAM_SHA_256, "builder", 4096, "1bbcdefghijklmnopqrstuvwxy");
    kit_record(c512, sizeof c512, SCRAM_SHA_512, "christmas", 4096, "1cbcdefghijklmnopqrstuvwxy");
    kit_record(d256, sizeof d256, SCRAM_SHA_256, "escaped", 4096, "1dbcdefghijklmnopqrstuvwxy");
    snprintf(yaml, sizeof yaml,
             "users:\n"
             "  - name: alice\n"
             "    scram-sha-256: \"%s\"\n"
             "    scram-sha-512: \"%s\"\n"
             "  - name: bob\n"
             "    scram-sha-256: \"%s\"\n"
             "  - name: carol\n"
             "    scram-sha-512: \"%s\"\n"
             "    mechanisms: [SCRAM-SHA-512]\n"
             "  - name: \"d=,e\"\n"
             "    scram-sha-256: \"%s\"\n",
             a256, a512, b256, c512, d256);
    return kit_parse(yaml);
}

/* One end and the last thing it said. */
struct kit_end {
    struct exchange *ex;
    struct writer reply;
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    bool pended;
};

static inline struct view kit_said(const struct kit_end *end)
{
    return writer_view(&end->reply);
}

static inline void kit_server(struct kit_end *end, const char *mechanism,
                              const struct credentials *users)
{
    end->ex = exchange_server_new(mechanism, users, kit_random, NULL);
    end->pended = false;
    writer_init_fixed(&end->reply, end->memory, sizeof end->memory);
    cr_assert_not_null(end->ex);
}

static inline void kit_client(struct kit_end *end, const char *mechanism, const char *user,
                              const char *password)
{
    struct exchange_client client = {.username = view_from_string(user),
                                     .password = view_from_string(password),
                                     .random = kit_random};
    end->ex = exchange_client_new(mechanism, &client);
    end->pended = false;
    writer_init_fixed(&end->reply, end->memory, sizeof end->memory);
    cr_assert_not_null(end->ex);
}

/* A step, with the slow part done at once. The token may be the other end's reply. */
static inline enum exchange_status kit_step(struct kit_end *end, struct view token)
{
    writer_reset(&end->reply);
    enum exchange_status status = exchange_step(end->ex, token, &end->reply);
    if (status == EXCHANGE_PENDING) {
        cr_assert_eq(end->reply.length, 0);
        end->pended = true;
        exchange_work(end->ex);
        status = exchange_resume(end->ex, &end->reply);
        cr_assert_neq(status, EXCHANGE_PENDING);
    }
    if (status == EXCHANGE_DENIED || status == EXCHANGE_ERROR) {
        cr_assert_eq(end->reply.length, 0, "nothing is said to who is refused");
        cr_assert_null(exchange_principal(end->ex));
    }
    if (status == EXCHANGE_DENIED) {
        cr_assert_neq(exchange_reason(end->ex), AUTH_REASON_NONE);
    }
    return status;
}

static inline enum exchange_status kit_step_text(struct kit_end *end, const char *token)
{
    return kit_step(end, view_from_string(token));
}

static inline void kit_free(struct kit_end *end)
{
    exchange_free(&end->ex);
    cr_assert_null(end->ex);
}

/* One token straight into a new server: the reason it is denied for, NONE when it is not. */
static inline enum auth_reason kit_first(const struct credentials *users, const char *mechanism,
                                         struct view token)
{
    struct kit_end server;
    kit_server(&server, mechanism, users);
    enum exchange_status status = kit_step(&server, token);
    enum auth_reason reason = exchange_reason(server.ex);
    cr_assert_eq(status == EXCHANGE_DENIED, reason != AUTH_REASON_NONE);
    kit_free(&server);
    return reason;
}
