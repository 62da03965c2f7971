/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer logins. The first byte chooses: tokens into the OAUTHBEARER server (two, each with two
 * bytes of length before it), a bare token, or a key set. The keys are those of published vectors,
 * and the corpus holds tokens signed with them; whoever gets in must have shown one of these very
 * texts with a signature under it.
 */
#include <stdint.h>
#include <string.h>

#include "auth/jwks.h"
#include "auth/jws.h"
#include "auth/oauth_message.h"
#include "auth/tokens.h"
#include "conf/config.h"
#include "tests/fuzz/login_fuzz.h"

/* RFC 7515 A.2 and A.3, RFC 8037 A.2 */
static const char key_set[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
    "wWJcyQoTbj"
    "i9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690"
    "r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmt"
    "dVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAc"
    "DTW9gb54h4FRWyuXpoQ\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV7"
    "6e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"c"
    "rv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const char joe[] = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL"
                          "mNvbS9pc19yb290Ijp0cnVlfQ.";
static const int64_t joe_ends_ms = INT64_C(1300819380) * 1000;

static struct jwks *keys(void)
{
    static struct jwks *made;
    if (made == NULL) {
        struct conf_errors errors;
        conf_errors_init(&errors);
        made = jwks_parse(view_from_string(key_set), "fuzz", &errors);
        must(made != NULL && jwks_count(made) == 3);
        conf_errors_deinit(&errors);
    }
    return made;
}

static const struct tokens *tokens(void)
{
    static struct tokens *made;
    static struct conf_oauth policy = {.jwks_file = "",
                                       .issuer = "joe",
                                       .principal_claim = "iss",
                                       .scope_claim = "scope",
                                       .clock_skew_ms = 1000};
    if (made == NULL) {
        made = tokens_new(&policy, keys());
    }
    return made;
}

static bool holds_joe(struct view message)
{
    return memmem(message.at, message.length, joe, sizeof joe - 1) != NULL;
}

static void fuzz_server(const uint8_t *data, size_t size)
{
    static uint8_t memory[EXCHANGE_REPLY_BYTES_MAX];
    struct writer reply;
    uint64_t seed = 1;
    struct exchange *ex = exchange_server_new("OAUTHBEARER", NULL, login_fuzz_random, &seed);
    exchange_trust_tokens(ex, tokens(), joe_ends_ms - 1000);
    struct view first = login_fuzz_token(&data, &size);
    writer_init_fixed(&reply, memory, sizeof memory);
    enum exchange_status status = exchange_step(ex, first, &reply);
    if (status == EXCHANGE_PENDING) {
        must(reply.length == 0);
        exchange_work(ex);
        status = exchange_resume(ex, &reply);
    }
    must(status == EXCHANGE_DENIED || status == EXCHANGE_DONE);
    must((status == EXCHANGE_DENIED) == (exchange_reason(ex) != AUTH_REASON_NONE));
    must(reply.length == 0);
    if (status == EXCHANGE_DONE) {
        must(strcmp(exchange_principal(ex), "joe") == 0 && holds_joe(first));
        must(exchange_expires_ms(ex) == joe_ends_ms + 1000);
    }
    exchange_free(&ex);
}

static void fuzz_token(struct view token)
{
    static uint8_t payload[JWS_BYTES_MAX];
    const struct jwk *key;
    size_t length = 99;
    if (token.length > JWS_BYTES_MAX) {
        return;
    }
    enum auth_reason signed_by_key = jws_open(token, keys(), false, payload, &length, &key);
    must(signed_by_key == AUTH_REASON_NONE || length == 0);
    enum auth_reason either = jws_open(token, keys(), true, payload, &length, &key);
    must(signed_by_key != AUTH_REASON_NONE || either == AUTH_REASON_NONE);
    must(jws_open(token, NULL, false, payload, &length, &key) != AUTH_REASON_NONE);
    struct token_facts facts;
    if (tokens_judge(tokens(), token, joe_ends_ms, &facts) == AUTH_REASON_NONE) {
        must(holds_joe(token) && strcmp(facts.principal, "joe") == 0);
    }
}

static void fuzz_keys(struct view text)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct jwks *made = jwks_parse(text, "fuzz", &errors);
    must((made == NULL) == (errors.errors > 0));
    must(made == NULL || jwks_count(made) > 0);
    jwks_unref(&made);
    conf_errors_deinit(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 3) {
    case 0:
        fuzz_server(data + 1, size - 1);
        break;
    case 1:
        fuzz_token(view_of(data + 1, size - 1));
        break;
    default:
        fuzz_keys(view_of(data + 1, size - 1));
        break;
    }
    return 0;
}
