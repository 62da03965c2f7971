/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile broker: up to three tokens into the SCRAM client, each with two bytes of length before
 * it. The client's randomness is fixed and the corpus holds a whole good login. PBKDF2 runs only
 * for the salt and iterations of that login, by kept keys; any other challenge ends at PENDING.
 */
#include <stdint.h>
#include <string.h>

#include "tests/fuzz/login_fuzz.h"

static const struct scram_keys *kept_keys(void)
{
    static struct scram_keys keys;
    static const uint8_t salt[] = "saltsalt";
    if (keys.iterations == 0) {
        must(scram_keys_make(SCRAM_SHA_256, view_from_string("pencil"), view_of(salt, 8), 4096,
                             &keys));
    }
    return &keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    uint64_t seed = 1;
    struct exchange_client options = {.username = view_from_string("user"),
                                      .password = view_from_string("pencil"),
                                      .random = login_fuzz_random,
                                      .random_context = &seed};
    struct exchange *ex = exchange_client_new("SCRAM-SHA-256", &options);
    exchange_offer_keys(ex, kept_keys());
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_step(ex, view_of(NULL, 0), &reply);
    must(status == EXCHANGE_CONTINUE);
    struct view token = view_of(NULL, 0);
    for (int i = 0; i < 3 && status == EXCHANGE_CONTINUE; i++) {
        token = login_fuzz_token(&data, &size);
        writer_init_fixed(&reply, memory, sizeof memory);
        status = exchange_step(ex, token, &reply);
        must(status != EXCHANGE_ERROR && reply.length <= EXCHANGE_REPLY_BYTES_MAX);
    }
    must(status != EXCHANGE_CONTINUE);
    must((status == EXCHANGE_DENIED) == (exchange_reason(ex) != AUTH_REASON_NONE));
    must(status != EXCHANGE_DONE || (token.length >= 46 && memcmp(token.at, "v=", 2) == 0));
    exchange_free(&ex);
    return 0;
}
