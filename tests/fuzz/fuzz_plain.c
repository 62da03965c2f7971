/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any token into the PLAIN server. PBKDF2 is left out (it is the same for every token): the work is
 * replaced by a resume without it, which must let nobody in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/login_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credentials *users = login_fuzz_users();
    uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    uint64_t seed = 1;
    writer_init_fixed(&reply, memory, sizeof memory);
    struct exchange *ex = exchange_server_new("PLAIN", users, login_fuzz_random, &seed);
    enum exchange_status status = exchange_step(ex, view_of(data, size), &reply);
    must(status == EXCHANGE_PENDING || status == EXCHANGE_DENIED);
    if (status == EXCHANGE_PENDING) {
        const char *claimed = exchange_claimed(ex);
        must(claimed != NULL && strlen(claimed) >= 1 && strlen(claimed) <= 255);
        must(memmem(data, size, claimed, strlen(claimed)) != NULL);
        must(exchange_step(ex, view_of(data, size), &reply) == EXCHANGE_ERROR);
        status = exchange_resume(ex, &reply);
        must(status == EXCHANGE_DENIED);
    }
    must(exchange_reason(ex) != AUTH_REASON_NONE && exchange_principal(ex) == NULL);
    must(reply.length == 0);
    exchange_free(&ex);
    return 0;
}
