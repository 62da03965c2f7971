/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server end of SCRAM against a client written by hand, so that it can do wrong. What is common
 * to all mechanisms stands in test_exchange.c, hostile brokers in test_exchange_client.c, changed
 * bytes in test_exchange_mutation.c.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "auth/base64.h"
#include "auth/exchange.h"
#include "auth/mech.h"
#include "tests/unit/login_kit.h"

static struct credentials *users;

static void setup(void)
{
    users = kit_users();
}

static void teardown(void)
{
    credentials_unref(&users);
}

TestSuite(exchange, .init = setup, .fini = teardown);

static const char *const scrams[] = {"SCRAM-SHA-256", "SCRAM-SHA-512"};

#define assert_reason(got, wanted)                                                                 \
    cr_assert_eq(got, wanted, "%s instead of %s", auth_reason_name(got), auth_reason_name(wanted))

/* --- a SCRAM client written by hand, so that it can do wrong --- */

struct hand {
    struct kit_end server;
    const char *mechanism;
    char bare[5000], server_first[8192], nonce[6000];
    struct scram_keys keys;
};

/* Sends client-first and takes the challenge apart. */
static enum exchange_status hand_first(struct hand *h, const char *mechanism, const char *gs2,
                                       const char *bare)
{
    char token[6000];
    h->mechanism = mechanism;
    kit_server(&h->server, mechanism, users);
    snprintf(h->bare, sizeof h->bare, "%s", bare);
    snprintf(token, sizeof token, "%s%s", gs2, bare);
    enum exchange_status status = kit_step_text(&h->server, token);
    if (status != EXCHANGE_CONTINUE) {
        return status;
    }
    struct view said = kit_said(&h->server);
    snprintf(h->server_first, sizeof h->server_first, "%.*s", (int)said.length,
             (const char *)said.at);
    char salt_text[256];
    unsigned iterations;
    cr_assert_eq(
        sscanf(h->server_first, "r=%5999[^,],s=%255[^,],i=%u", h->nonce, salt_text, &iterations),
        3);
    uint8_t salt[128];
    size_t length;
    cr_assert(base64_read(view_from_string(salt_text), salt, sizeof salt, &length));
    enum scram_hash hash;
    cr_assert(scram_hash_of(mechanism, &hash));
    const char *password = strstr(bare, "alice") != NULL ? "wonderland" : "builder";
    cr_assert(scram_keys_make(hash, view_from_string(password), view_of(salt, length), iterations,
                              &h->keys));
    return status;
}

/* A proof that is right for this text of client-final-without-proof, whatever it says. */
static void hand_proof(struct hand *h, const char *without_proof, char *proof_r, size_t size)
{
    char message[20000];
    uint8_t proof[SCRAM_KEY_BYTES_MAX];
    struct writer out;
    snprintf(message, sizeof message, "%s,%s,%s", h->bare, h->server_first, without_proof);
    cr_assert(scram_proof(&h->keys, view_from_string(message), proof));
    writer_init_fixed(&out, proof_r, size - 1);
    base64_write(&out, view_of(proof, scram_key_bytes(h->keys.hash)));
    proof_r[out.length] = 0;
}

static enum exchange_status hand_final(struct hand *h, const char *without_proof)
{
    char token[20000], proof[128];
    hand_proof(h, without_proof, proof, sizeof proof);
    snprintf(token, sizeof token, "%s,p=%s", without_proof, proof);
    return kit_step_text(&h->server, token);
}

static enum auth_reason hand_end(struct hand *h)
{
    enum auth_reason reason = exchange_reason(h->server.ex);
    kit_free(&h->server);
    return reason;
}

/* Whole exchange of alice: gs2 header, bare, c= text, and a format for r= (of the whole nonce). */
static enum auth_reason hand_run(const char *mechanism, const char *gs2, const char *bare,
                                 const char *c, const char *before_nonce, const char *extensions)
{
    static struct hand h;
    char final[12000];
    if (hand_first(&h, mechanism, gs2, bare) != EXCHANGE_CONTINUE) {
        return hand_end(&h);
    }
    snprintf(final, sizeof final, "c=%s,r=%s%s%s", c, before_nonce, h.nonce, extensions);
    enum exchange_status status = hand_final(&h, final);
    cr_assert_eq(status == EXCHANGE_DONE, exchange_reason(h.server.ex) == AUTH_REASON_NONE);
    return hand_end(&h);
}

static enum auth_reason hand_plain_run(const char *gs2, const char *bare, const char *c)
{
    enum auth_reason reasons[2];
    for (int i = 0; i < 2; i++) {
        reasons[i] = hand_run(scrams[i], gs2, bare, c, "", "");
    }
    assert_reason(reasons[0], reasons[1]);
    return reasons[0];
}

Test(exchange, a_client_by_hand_logs_in)
{
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh", "biws"), AUTH_REASON_NONE);
}

Test(exchange, t19_the_longest_client_first_can_still_log_in)
{
    static char bare[EXCHANGE_SCRAM_TOKEN_BYTES_MAX];
    int length = snprintf(bare, sizeof bare, "n=alice,r=");
    memset(bare + length, 'z', 3900);
    assert_reason(hand_run("SCRAM-SHA-256", "n,,", bare, "biws", "", ""), AUTH_REASON_NONE);
}

/* --- T22 to T27: SCRAM grammar and binding --- */

Test(exchange, t22_scram_authzid_for_another_user_is_refused)
{
    assert_reason(hand_plain_run("n,a=bob,", "n=alice,r=abcdefgh", "bixhPWJvYiw="),
                  AUTH_REASON_AUTHZID_MISMATCH);
    assert_reason(hand_plain_run("n,a=alic,", "n=alice,r=abcdefgh", "biws"),
                  AUTH_REASON_AUTHZID_MISMATCH);
    assert_reason(hand_plain_run("n,a=bo=b,", "n=alice,r=abcdefgh", "biws"), AUTH_REASON_MALFORMED);
}

Test(exchange, t22_scram_authzid_for_the_same_user_is_accepted)
{
    assert_reason(hand_plain_run("n,a=alice,", "n=alice,r=abcdefgh", "bixhPWFsaWNlLA=="),
                  AUTH_REASON_NONE);
    assert_reason(hand_plain_run("n,a=alice,", "n=alice,r=abcdefgh", "biws"),
                  AUTH_REASON_CHANNEL_BINDING);
}

Test(exchange, t23_a_final_nonce_that_is_not_the_agreed_one_is_refused)
{
    static struct hand h;
    for (int variant = 0; variant < 7; variant++) {
        char final[12000];
        cr_assert_eq(hand_first(&h, "SCRAM-SHA-512", "n,,", "n=alice,r=abcdefgh"),
                     EXCHANGE_CONTINUE);
        const char *server_part = h.nonce + strlen("abcdefgh");
        switch (variant) {
        case 0: /* the client's own nonce only */
            snprintf(final, sizeof final, "c=biws,r=abcdefgh");
            break;
        case 1: /* CVE-2024-56128: any text that ends right */
            snprintf(final, sizeof final, "c=biws,r=evil%s", h.nonce);
            break;
        case 2:
            snprintf(final, sizeof final, "c=biws,r=%s", server_part);
            break;
        case 3: /* one character short */
            snprintf(final, sizeof final, "c=biws,r=%.*s", (int)strlen(h.nonce) - 1, h.nonce);
            break;
        case 4: /* one character long */
            snprintf(final, sizeof final, "c=biws,r=%sx", h.nonce);
            break;
        case 5: /* another server part */
            snprintf(final, sizeof final, "c=biws,r=abcdefgh%032d", 0);
            break;
        default: /* nonce of an earlier exchange, or of a later one */
            snprintf(final, sizeof final, "c=biws,r=abcdefghAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
            break;
        }
        cr_assert_eq(hand_final(&h, final), EXCHANGE_DENIED, "variant %d", variant);
        assert_reason(hand_end(&h), AUTH_REASON_NONCE_MISMATCH);
    }
}

Test(exchange, t24_the_doubled_client_nonce_of_librdkafka_before_2_6_1_is_accepted)
{
    for (int i = 0; i < 2; i++) {
        assert_reason(hand_run(scrams[i], "n,,", "n=alice,r=abcdefgh", "biws", "abcdefgh", ""),
                      AUTH_REASON_NONE);
    }
}

Test(exchange, t24_any_other_prefix_is_refused)
{
    static const char *const prefixes[] = {"abcdefgx", "abcdefg",   "bcdefgh", "abcdefghabcdefgh",
                                           "hgfedcba", "abcdefghi", "x",       "ABCDEFGH"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        assert_reason(
            hand_run("SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh", "biws", prefixes[i], ""),
            AUTH_REASON_NONCE_MISMATCH);
    }
}

Test(exchange, t25_a_mandatory_extension_is_refused_wherever_it_stands)
{
    assert_reason(hand_plain_run("n,,", "m=x,n=alice,r=abcdefgh", "biws"),
                  AUTH_REASON_MANDATORY_EXTENSION);
    assert_reason(hand_plain_run("n,,", "n=alice,m=x,r=abcdefgh", "biws"),
                  AUTH_REASON_MANDATORY_EXTENSION);
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,m=x", "biws"),
                  AUTH_REASON_MANDATORY_EXTENSION);
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,ext=1,m=x", "biws"),
                  AUTH_REASON_MANDATORY_EXTENSION);
    assert_reason(hand_run("SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh", "biws", "", ",m=x"),
                  AUTH_REASON_MANDATORY_EXTENSION);
}

Test(exchange, t25_unknown_extensions_are_ignored_yet_proven)
{
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,x=1,foo=b\xc3\xa4r", "biws"),
                  AUTH_REASON_NONE);
    assert_reason(hand_run("SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh", "biws", "", ",x=1,y=2"),
                  AUTH_REASON_NONE);
}

Test(exchange, t25_what_has_a_meaning_may_not_return_as_an_extension)
{
    static const char taken[] = "aceinprsv";
    for (size_t i = 0; i < sizeof taken - 1; i++) {
        char bare[64];
        snprintf(bare, sizeof bare, "n=alice,r=abcdefgh,%c=bob", taken[i]);
        assert_reason(hand_run("SCRAM-SHA-256", "n,,", bare, "biws", "", ""),
                      AUTH_REASON_MALFORMED);
    }
}

Test(exchange, t26_channel_binding_is_refused_in_every_form)
{
    assert_reason(hand_plain_run("p=tls-unique,,", "n=alice,r=abcdefgh", "biws"),
                  AUTH_REASON_CHANNEL_BINDING);
    assert_reason(hand_plain_run("y,,", "n=alice,r=abcdefgh", "eSws"), AUTH_REASON_CHANNEL_BINDING);
    static const char *const wrong[] = {"eSws",     "bixhPWFsaWNlLA==",
                                        "biwsAA==", "bg==",
                                        "biwt",     "cD10bHMtdW5pcXVlLCw=",
                                        "biw=",     "b iws",
                                        "biw",      "biwsbiws"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh", wrong[i]),
                      AUTH_REASON_CHANNEL_BINDING);
    }
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh", ""), AUTH_REASON_MALFORMED);
}

Test(exchange, t27_a_proof_that_is_not_one_is_refused)
{
    static struct hand h;
    static const char *const names[] = {"empty",  "absent",      "not base64",  "short",
                                        "long",   "field after", "comma after", "twice",
                                        "spaced", "zero"};
    for (size_t variant = 0; variant < sizeof names / sizeof names[0]; variant++) {
        char final[12000], token[14000], proof[128];
        cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh"),
                     EXCHANGE_CONTINUE);
        snprintf(final, sizeof final, "c=biws,r=%s", h.nonce);
        hand_proof(&h, final, proof, sizeof proof);
        static const char zero[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        switch (variant) {
        case 0:
            snprintf(token, sizeof token, "%s,p=", final);
            break;
        case 1:
            snprintf(token, sizeof token, "%s", final);
            break;
        case 2:
            snprintf(token, sizeof token, "%s,p=%.43s!", final, proof);
            break;
        case 3:
            snprintf(token, sizeof token, "%s,p=%.40s", final, proof);
            break;
        case 4:
            snprintf(token, sizeof token, "%s,p=%.43sAAAAA", final, proof);
            break;
        case 5:
            snprintf(token, sizeof token, "%s,p=%s,x=1", final, proof);
            break;
        case 6:
            snprintf(token, sizeof token, "%s,p=%s,", final, proof);
            break;
        case 7:
            snprintf(token, sizeof token, "%s,p=%s,p=%s", final, proof, proof);
            break;
        case 8:
            snprintf(token, sizeof token, "%s,p=%s ", final, proof);
            break;
        default:
            snprintf(token, sizeof token, "%s,p=%s", final, zero);
            break;
        }
        cr_assert_eq(kit_step_text(&h.server, token), EXCHANGE_DENIED, "%s", names[variant]);
        assert_reason(hand_end(&h),
                      variant == 9 ? AUTH_REASON_BAD_PASSWORD : AUTH_REASON_MALFORMED);
    }
}

/* --- T28: who does not exist cannot be told from who does --- */

static void challenge(const char *mechanism, const char *user, char *text_r, size_t size)
{
    struct kit_end server;
    char token[512];
    kit_server(&server, mechanism, users);
    snprintf(token, sizeof token, "n,,n=%s,r=abcdefgh", user);
    cr_assert_eq(kit_step_text(&server, token), EXCHANGE_CONTINUE, "%s", user);
    struct view said = kit_said(&server);
    snprintf(text_r, size, "%.*s", (int)said.length, (const char *)said.at);
    kit_free(&server);
}

Test(exchange, t28_an_unknown_user_is_challenged_like_a_known_one)
{
    static const char *const names[] = {"alice", "mallory", "bob", "root", "carol"};
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            char first[512], second[512];
            challenge(scrams[i], names[j], first, sizeof first);
            challenge(scrams[i], names[j], second, sizeof second);
            cr_assert_str_neq(first, second, "another nonce each time");
            cr_assert_eq(strlen(first), strlen(second));
            cr_assert_str_eq(strstr(first, ",s="), strstr(second, ",s="), "but the same salt");
            cr_assert_not_null(strstr(first, ",i=4096"));
            size_t salt = strlen(strstr(first, ",s=")) - strlen(",s=,i=4096");
            cr_assert_eq(salt, 36, "25 or 26 bytes: 36 characters, for everybody");
        }
    }
}

Test(exchange, t28_salts_survive_a_restart_and_are_the_same_on_another_instance)
{
    char before[512], after[512];
    challenge("SCRAM-SHA-512", "mallory", before, sizeof before);
    credentials_unref(&users);
    users = kit_users();
    challenge("SCRAM-SHA-512", "mallory", after, sizeof after);
    cr_assert_str_eq(strstr(before, ",s="), strstr(after, ",s="));
}

Test(exchange, t28_refusals_differ_in_the_reason_for_the_log_only)
{
    static struct hand h;
    static const char *const bares[] = {"n=bob,r=abcdefgh", "n=mallory,r=abcdefgh"};
    for (int i = 0; i < 2; i++) {
        char final[8192];
        cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", bares[i]), EXCHANGE_CONTINUE);
        h.keys.client_key[0] ^= 1;
        snprintf(final, sizeof final, "c=biws,r=%s", h.nonce);
        cr_assert_eq(hand_final(&h, final), EXCHANGE_DENIED);
        cr_assert_eq(kit_said(&h.server).length, 0);
        assert_reason(hand_end(&h), i == 0 ? AUTH_REASON_BAD_PASSWORD : AUTH_REASON_UNKNOWN_USER);
    }
    cr_assert_str_eq(exchange_denial_text(), "Authentication failed");
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { LATENCY_SAMPLES = 3000 };

static double first_step_ns(const char *token)
{
    struct timespec from, to;
    struct kit_end server;
    kit_server(&server, "SCRAM-SHA-256", users);
    clock_gettime(CLOCK_MONOTONIC, &from);
    enum exchange_status status = exchange_step(server.ex, view_from_string(token), &server.reply);
    clock_gettime(CLOCK_MONOTONIC, &to);
    cr_assert_eq(status, EXCHANGE_CONTINUE);
    kit_free(&server);
    return (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
}

/* The largest distance between the two distributions of latency (Kolmogorov-Smirnov). */
static double latency_distance(const char *a, const char *b)
{
    static double known[LATENCY_SAMPLES], unknown[LATENCY_SAMPLES];
    unsigned order = 12345;
    for (int i = 0; i < LATENCY_SAMPLES; i++) {
        order = order * 1103515245u + 12345u;
        bool known_first = (order >> 16 & 1) != 0;
        known[i] = known_first ? first_step_ns(a) : 0;
        unknown[i] = first_step_ns(b);
        known[i] = known_first ? known[i] : first_step_ns(a);
    }
    qsort(known, LATENCY_SAMPLES, sizeof known[0], double_compare);
    qsort(unknown, LATENCY_SAMPLES, sizeof unknown[0], double_compare);
    double distance = 0;
    for (int i = 0, j = 0; i < LATENCY_SAMPLES && j < LATENCY_SAMPLES;) {
        known[i] <= unknown[j] ? i++ : j++;
        double d = (double)(i - j) / LATENCY_SAMPLES;
        d = d < 0 ? -d : d;
        distance = d > distance ? d : distance;
    }
    return distance;
}

Test(exchange, t28_latency_of_known_and_unknown_users_is_of_one_distribution)
{
    double least = 1;
    for (int attempt = 0; attempt < 10 && least > 0.1; attempt++) {
        double d = latency_distance("n,,n=bob,r=abcdefgh", "n,,n=eve,r=abcdefgh");
        least = d < least ? d : least;
    }
    cr_assert_leq(least, 0.1, "D = %f in the quietest of ten attempts", least);
}

/* --- T30, T36: mechanisms and order of calls --- */

Test(exchange, t30_a_user_cannot_use_a_mechanism_he_has_no_record_for)
{
    assert_reason(hand_run("SCRAM-SHA-512", "n,,", "n=bob,r=abcdefgh", "biws", "", ""),
                  AUTH_REASON_MECHANISM_NOT_ALLOWED);
    assert_reason(hand_run("SCRAM-SHA-256", "n,,", "n=bob,r=abcdefgh", "biws", "", ""),
                  AUTH_REASON_NONE);
}

Test(exchange, t36_after_the_end_every_token_is_an_error_and_changes_nothing)
{
    static struct hand h;
    char final[8192];
    for (int good = 0; good < 2; good++) {
        cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh"),
                     EXCHANGE_CONTINUE);
        h.keys.client_key[0] ^= (uint8_t)(good == 0);
        snprintf(final, sizeof final, "c=biws,r=%s", h.nonce);
        enum exchange_status end = hand_final(&h, final);
        cr_assert_eq(end, good ? EXCHANGE_DONE : EXCHANGE_DENIED);
        writer_reset(&h.server.reply);
        for (int again = 0; again < 3; again++) {
            cr_assert_eq(
                exchange_step(h.server.ex, view_from_string("n,,n=bob,r=x"), &h.server.reply),
                EXCHANGE_ERROR);
            cr_assert_eq(exchange_resume(h.server.ex, &h.server.reply), EXCHANGE_ERROR);
        }
        cr_assert_eq(h.server.reply.length, 0);
        cr_assert_eq(exchange_principal(h.server.ex) != NULL, good == 1);
        cr_assert(!good || strcmp(exchange_principal(h.server.ex), "alice") == 0);
        (void)hand_end(&h);
    }
}

Test(exchange, t36_messages_out_of_turn_are_refused)
{
    static struct hand h;
    assert_reason(kit_first(users, "SCRAM-SHA-256", view_from_string("c=biws,r=abcdefgh,p=AAAA")),
                  AUTH_REASON_MALFORMED);
    assert_reason(kit_first(users, "SCRAM-SHA-256", view_of("", 0)), AUTH_REASON_MALFORMED);
    assert_reason(kit_first(users, "SCRAM-SHA-256", view_of("\0alice\0wonderland", 17)),
                  AUTH_REASON_MALFORMED);
    cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh"), EXCHANGE_CONTINUE);
    cr_assert_eq(kit_step_text(&h.server, "n,,n=alice,r=abcdefgh"), EXCHANGE_DENIED);
    (void)hand_end(&h);
}

Test(exchange, an_exchange_may_be_dropped_at_any_moment)
{
    static struct hand h;
    struct kit_end server;
    for (size_t i = 0; i < 3; i++) {
        kit_server(&server, mech_names(NULL)[i], users);
        kit_free(&server);
    }
    kit_server(&server, "PLAIN", users);
    cr_assert_eq(exchange_step(server.ex, view_of("\0alice\0wonderland", 17), &server.reply),
                 EXCHANGE_PENDING);
    kit_free(&server);
    (void)hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh");
    (void)hand_end(&h);
    struct exchange *none = NULL;
    exchange_free(&none);
}

Test(exchange, an_exchange_outlives_a_reload_of_the_users)
{
    static struct hand h;
    char final[8192];
    cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh"), EXCHANGE_CONTINUE);
    credentials_unref(&users);
    snprintf(final, sizeof final, "c=biws,r=%s", h.nonce);
    cr_assert_eq(hand_final(&h, final), EXCHANGE_DONE);
    (void)hand_end(&h);
}

/* --- T40, T41 --- */

Test(exchange, t40_names_with_a_second_spelling_are_refused_before_any_lookup)
{
    static const char *const names[] = {"alice ",
                                        " alice",
                                        "ali\xc2\xad"
                                        "ce",
                                        "\xef\xac\x81 x",
                                        "al\x01ice",
                                        "al\x7fice",
                                        "a\xc0\xaf"
                                        "ice",
                                        "alice\xe2\x80\x8b",
                                        "=00",
                                        "a=2c",
                                        "a=",
                                        "a=2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char bare[128];
        snprintf(bare, sizeof bare, "n=%s,r=abcdefgh", names[i]);
        assert_reason(hand_run("SCRAM-SHA-256", "n,,", bare, "biws", "", ""),
                      AUTH_REASON_MALFORMED);
    }
}

Test(exchange, t41_a_delegation_token_is_refused)
{
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,tokenauth=true", "biws"),
                  AUTH_REASON_TOKENAUTH);
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,tokenauth=TRUE", "biws"),
                  AUTH_REASON_TOKENAUTH);
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,x=y,tokenauth=true", "biws"),
                  AUTH_REASON_TOKENAUTH);
    assert_reason(
        hand_plain_run("n,,", "n=alice,r=abcdefgh,tokenauth=true,tokenauth=false", "biws"),
        AUTH_REASON_TOKENAUTH);
    assert_reason(hand_plain_run("n,,", "n=alice,r=abcdefgh,tokenauth=false", "biws"),
                  AUTH_REASON_NONE);
}

Test(exchange, no_prefix_of_a_good_scram_final_logs_in)
{
    static struct hand h;
    char final[8192], token[9000], proof[128];
    for (size_t n = 0;; n++) {
        cr_assert_eq(hand_first(&h, "SCRAM-SHA-256", "n,,", "n=alice,r=abcdefgh"),
                     EXCHANGE_CONTINUE);
        snprintf(final, sizeof final, "c=biws,r=%s", h.nonce);
        hand_proof(&h, final, proof, sizeof proof);
        int length = snprintf(token, sizeof token, "%s,p=%s", final, proof);
        enum exchange_status status = kit_step(&h.server, view_of(token, n));
        (void)hand_end(&h);
        cr_assert_eq(status, n < (size_t)length ? EXCHANGE_DENIED : EXCHANGE_DONE, "%zu", n);
        if (n == (size_t)length) {
            break;
        }
    }
}
