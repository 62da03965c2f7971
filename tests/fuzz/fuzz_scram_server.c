/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens into the SCRAM server: up to four, each with two bytes of length before it. The server's
 * randomness is fixed and the corpus holds a whole good login, so that mutations reach the last
 * comparison. Whoever gets in must be the user, by that very proof.
 */
#include <stdint.h>
#include <string.h>

#include "auth/scram_message.h"
#include "tests/fuzz/login_fuzz.h"

/* What the only way in looks like: two tokens, the second ending in a proof of the right length. */
static void judge_success(const struct exchange *ex, struct view first, struct view final)
{
    struct scram_client_first parsed_first;
    struct scram_client_final parsed_final;
    must(strcmp(exchange_principal(ex), "user") == 0);
    must(scram_client_first_parse(first, &parsed_first) == AUTH_REASON_NONE);
    must(scram_client_final_parse(final, &parsed_final) == AUTH_REASON_NONE);
    must(view_is(parsed_first.user, "user") && !parsed_first.tokenauth);
    must(parsed_final.proof.length == 44);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    uint64_t seed = 1;
    struct exchange *ex = exchange_server_new(size % 2 == 0 ? "SCRAM-SHA-256" : "SCRAM-SHA-512",
                                              login_fuzz_users(), login_fuzz_random, &seed);
    struct view before = view_of(NULL, 0);
    enum exchange_status status = EXCHANGE_CONTINUE;
    for (int i = 0; i < 4 && status == EXCHANGE_CONTINUE; i++) {
        struct view token = login_fuzz_token(&data, &size);
        writer_init_fixed(&reply, memory, sizeof memory);
        status = exchange_step(ex, token, &reply);
        must(status != EXCHANGE_PENDING && status != EXCHANGE_ERROR);
        must((status == EXCHANGE_DENIED) == (reply.length == 0));
        must((status == EXCHANGE_DENIED) == (exchange_reason(ex) != AUTH_REASON_NONE));
        if (status == EXCHANGE_DONE) {
            judge_success(ex, before, token);
        }
        before = token;
    }
    must(status != EXCHANGE_CONTINUE);
    exchange_free(&ex);
    return 0;
}
