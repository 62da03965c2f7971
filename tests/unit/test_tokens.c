/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "auth/tokens.h"

#include "conf/config.h"
#include "tests/unit/token_kit.h"

enum { NOW_S = 1800000000 };

static EVP_PKEY *key;
static struct jwks *keys;
static const char *const audiences[] = {"kafka", "streams"};
static const char *const scopes[] = {"kafka.read", "kafka.write"};
static struct conf_oauth policy;

static void setup(void)
{
    key = EVP_EC_gen("P-256");
    char *jwk = token_kit_jwk(key, "");
    keys = token_kit_keys(jwk);
    free(jwk);
    policy = (struct conf_oauth){.jwks_file = "",
                                 .issuer = "https://login.example",
                                 .audience = audiences,
                                 .audience_count = 2,
                                 .principal_claim = "sub",
                                 .scope_claim = "scope",
                                 .clock_skew_ms = 30000};
}

static void teardown(void)
{
    jwks_unref(&keys);
    EVP_PKEY_free(key);
}

TestSuite(tokens, .init = setup, .fini = teardown);

static struct token_facts facts;

static enum auth_reason judge_at(const char *claims, int64_t now_ms)
{
    struct tokens *tokens = tokens_new(&policy, keys);
    char *token = token_kit_sign("{\"alg\":\"ES256\"}", claims, key, "SHA256", false, 32);
    enum auth_reason reason = tokens_judge(tokens, view_from_string(token), now_ms, &facts);
    free(token);
    tokens_unref(&tokens);
    return reason;
}

static enum auth_reason judge(const char *claims)
{
    return judge_at(claims, (int64_t)NOW_S * 1000);
}

#define BASE "\"sub\":\"orders\",\"iss\":\"https://login.example\",\"aud\":\"kafka\""
#define EXP ",\"exp\":1800000060"

static void is_judged(const char *claims, enum auth_reason wanted)
{
    enum auth_reason got = judge(claims);
    cr_assert_eq(got, wanted, "%s: %s", auth_reason_name(got), claims);
}

#define assert_judged(claims, wanted) is_judged(claims, AUTH_REASON_##wanted)

/* T71 */
Test(tokens, a_good_token_names_its_principal_and_its_end)
{
    assert_judged("{" BASE EXP "}", NONE);
    cr_assert_str_eq(facts.principal, "orders");
    cr_assert_eq(facts.expires_ms, 1800000060000 + 30000);
    assert_judged("{" BASE ",\"exp\":1800000060.5,\"iat\":1799999999.25}", NONE);
    cr_assert_eq(facts.expires_ms, 1800000060500 + 30000);
    assert_judged("{" BASE EXP ",\"nbf\":1800000000,\"iat\":1800000000,\"jti\":\"x\",\"n\":{}}",
                  NONE);
}

Test(tokens, time_is_kept_to_the_millisecond)
{
    static const char claims[] = "{" BASE EXP ",\"nbf\":1800000000,\"iat\":1799999990}";
    cr_assert_eq(judge_at(claims, 1800000090000 - 1), AUTH_REASON_NONE);
    cr_assert_eq(judge_at(claims, 1800000090000), AUTH_REASON_TOKEN_EXPIRED);
    cr_assert_str_eq(facts.principal, "orders", "for the log");
    cr_assert_eq(judge_at(claims, 1800000000000 - 30000), AUTH_REASON_NONE);
    cr_assert_eq(judge_at(claims, 1800000000000 - 30001), AUTH_REASON_TOKEN_NOT_YET);
    policy.clock_skew_ms = 0;
    cr_assert_eq(judge_at(claims, 1800000060000 - 1), AUTH_REASON_NONE);
    cr_assert_eq(judge_at(claims, 1800000060000), AUTH_REASON_TOKEN_EXPIRED);
    assert_judged("{" BASE EXP ",\"iat\":1800000001}", TOKEN_NOT_YET);
}

/* T71 */
Test(tokens, times_that_are_none)
{
    assert_judged("{" BASE "}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":null}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":\"1800000060\"}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":true}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":-1}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":1e300}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":1e999}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":9223372036854775807}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":92233720368547758070}", TOKEN_MALFORMED);
    assert_judged("{" BASE ",\"exp\":0}", TOKEN_EXPIRED);
    assert_judged("{" BASE EXP ",\"nbf\":\"x\"}", TOKEN_MALFORMED);
    assert_judged("{" BASE EXP ",\"iat\":[]}", TOKEN_MALFORMED);
    assert_judged("{" BASE EXP EXP "}", TOKEN_MALFORMED);
}

Test(tokens, issuer_and_audience_are_compared_exactly)
{
    assert_judged("{\"sub\":\"orders\",\"iss\":\"https://login.example/\",\"aud\":\"kafka\"" EXP
                  "}",
                  TOKEN_ISSUER);
    assert_judged("{\"sub\":\"orders\",\"aud\":\"kafka\"" EXP "}", TOKEN_ISSUER);
    assert_judged("{\"sub\":\"orders\",\"iss\":5,\"aud\":\"kafka\"" EXP "}", TOKEN_ISSUER);
    assert_judged("{\"sub\":\"orders\",\"iss\":\"https://login.example\"" EXP "}", TOKEN_AUDIENCE);
#define FOR(aud) "{\"sub\":\"orders\",\"iss\":\"https://login.example\",\"aud\":" aud EXP "}"
    assert_judged(FOR("\"Kafka\""), TOKEN_AUDIENCE);
    assert_judged(FOR("\"kafka2\""), TOKEN_AUDIENCE);
    assert_judged(FOR("[]"), TOKEN_AUDIENCE);
    assert_judged(FOR("[\"other\"]"), TOKEN_AUDIENCE);
    assert_judged(FOR("[5,null,\"streams\"]"), NONE);
    assert_judged(FOR("\"streams\""), NONE);
    policy.audience_count = 0;
    policy.issuer = "";
    assert_judged("{\"sub\":\"orders\"" EXP "}", NONE);
}

Test(tokens, all_scopes_that_are_asked_for)
{
    policy.scopes = scopes;
    policy.scopes_count = 2;
    assert_judged("{" BASE EXP "}", TOKEN_SCOPE);
    assert_judged("{" BASE EXP ",\"scope\":\"kafka.read\"}", TOKEN_SCOPE);
    assert_judged("{" BASE EXP ",\"scope\":\"kafka.read kafka.writer\"}", TOKEN_SCOPE);
    assert_judged("{" BASE EXP ",\"scope\":\"kafka.readkafka.write\"}", TOKEN_SCOPE);
    assert_judged("{" BASE EXP ",\"scope\":\"a kafka.write b kafka.read\"}", NONE);
    assert_judged("{" BASE EXP ",\"scope\":[\"kafka.write\",5,\"kafka.read\"]}", NONE);
    assert_judged("{" BASE EXP ",\"scp\":\"kafka.write kafka.read\"}", TOKEN_SCOPE);
    policy.scope_claim = "scp";
    assert_judged("{" BASE EXP ",\"scp\":\"kafka.write kafka.read\"}", NONE);
}

Test(tokens, the_principal_is_a_name)
{
#define WHO(name) "{\"iss\":\"https://login.example\",\"aud\":\"kafka\",\"sub\":" name EXP "}"
    assert_judged(WHO("\"\""), TOKEN_PRINCIPAL);
    assert_judged(WHO("5"), TOKEN_PRINCIPAL);
    assert_judged(WHO("[\"orders\"]"), TOKEN_PRINCIPAL);
    assert_judged(WHO("\"or\\u0000ders\""), TOKEN_MALFORMED);
    assert_judged(WHO("\"or\\u00adders\""), TOKEN_PRINCIPAL);
    assert_judged(WHO("\" orders\""), TOKEN_PRINCIPAL);
    assert_judged(WHO("\"svc@example\""), NONE);
    policy.principal_claim = "client_id";
    assert_judged(WHO("\"orders\""), TOKEN_PRINCIPAL);
    assert_judged("{" BASE EXP ",\"client_id\":\"payments\"}", NONE);
    cr_assert_str_eq(facts.principal, "payments");
}

Test(tokens, claims_that_are_no_object)
{
    assert_judged("", TOKEN_MALFORMED);
    assert_judged("[]", TOKEN_MALFORMED);
    assert_judged("\"orders\"", TOKEN_MALFORMED);
    assert_judged("{" BASE EXP "},{}", TOKEN_MALFORMED);
    assert_judged("{" BASE EXP ",\"sub\":\"admin\"}", TOKEN_MALFORMED);
    assert_judged("{" BASE EXP
                  ",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
                  TOKEN_MALFORMED);
}

Test(tokens, nothing_is_learned_from_a_token_that_is_not_signed)
{
    struct tokens *tokens = tokens_new(&policy, keys);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char *token =
        token_kit_sign("{\"alg\":\"ES256\"}", "{" BASE EXP "}", other, "SHA256", false, 32);
    cr_assert_eq(tokens_judge(tokens, view_from_string(token), (int64_t)NOW_S * 1000, &facts),
                 AUTH_REASON_TOKEN_SIGNATURE);
    cr_assert_str_eq(facts.principal, "");
    cr_assert_eq(facts.expires_ms, 0);
    free(token);
    EVP_PKEY_free(other);
    tokens_unref(&tokens);
}

Test(tokens, unsecured_ones_are_judged_all_the_same)
{
    policy.allow_unsecured_jws = true;
    struct tokens *tokens = tokens_new(&policy, NULL);
    struct tokens *again = tokens_ref(tokens);
    tokens_unref(&tokens);
    char *token = token_kit_sign("{\"alg\":\"none\"}", "{" BASE EXP "}", NULL, "", false, 0);
    cr_assert_eq(tokens_judge(again, view_from_string(token), (int64_t)NOW_S * 1000, &facts),
                 AUTH_REASON_NONE);
    cr_assert_eq(
        tokens_judge(again, view_from_string(token), (int64_t)(NOW_S + 100) * 1000, &facts),
        AUTH_REASON_TOKEN_EXPIRED);
    free(token);
    tokens_unref(&again);
}

/* --- what a reload asks --- */

static bool stands(const struct jwks *with)
{
    struct tokens *now = tokens_new(&policy, with);
    bool yes = tokens_stand(now, facts.stamp);
    tokens_unref(&now);
    return yes;
}

Test(tokens, a_token_stands_as_long_as_its_key_and_the_rules)
{
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char *mine = token_kit_jwk(key, "\"kid\":\"renamed\","), *its = token_kit_jwk(other, ""), *list;
    cr_assert(asprintf(&list, "%s,%s", its, mine) > 0);
    struct jwks *both = token_kit_keys(list), *without = token_kit_keys(its);
    static const uint8_t zero[TOKEN_STAMP_BYTES];
    assert_judged("{" BASE EXP "}", NONE);
    cr_assert(stands(keys) && stands(both));
    cr_assert_not(stands(without));
    cr_assert_not(stands(NULL));
    policy.clock_skew_ms = 1;
    cr_assert(stands(keys));
    policy.allow_unsecured_jws = true;
    cr_assert(stands(keys));
    cr_assert_not(stands(without), "signed then, not known now");
    policy.audience_count = 1;
    cr_assert_not(stands(keys));
    policy.audience_count = 2;
    policy.issuer = "https://login.example/";
    cr_assert_not(stands(keys));
    memcpy(facts.stamp, zero, sizeof zero);
    cr_assert_not(stands(keys), "who has shown no token");
    free(list);
    free(mine);
    free(its);
    jwks_unref(&both);
    jwks_unref(&without);
    EVP_PKEY_free(other);
}

Test(tokens, an_unsecured_one_stands_while_such_are_believed)
{
    policy.allow_unsecured_jws = true;
    struct tokens *tokens = tokens_new(&policy, keys);
    char *token = token_kit_sign("{\"alg\":\"none\"}", "{" BASE EXP "}", NULL, "", false, 0);
    cr_assert_eq(tokens_judge(tokens, view_from_string(token), (int64_t)NOW_S * 1000, &facts),
                 AUTH_REASON_NONE);
    cr_assert(stands(keys) && stands(NULL));
    policy.allow_unsecured_jws = false;
    cr_assert_not(stands(keys));
    free(token);
    tokens_unref(&tokens);
}

Test(tokens, equal_is_the_same_rules_and_keys)
{
    struct jwks *other = token_kit_keys(JWK_JOE_EC);
    struct tokens *a = tokens_new(&policy, keys), *b = tokens_new(&policy, keys);
    struct tokens *c = tokens_new(&policy, other);
    cr_assert(tokens_equal(a, b));
    cr_assert_not(tokens_equal(a, c));
    policy.principal_claim = "azp";
    struct tokens *d = tokens_new(&policy, keys);
    cr_assert_not(tokens_equal(a, d));
    tokens_unref(&a);
    tokens_unref(&b);
    tokens_unref(&c);
    tokens_unref(&d);
    jwks_unref(&other);
}
