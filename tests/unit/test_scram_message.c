/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram_message.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A copy at the end of its own allocation, so that the sanitizer sees a read beyond it. */
static struct view exact(const char *text, size_t length)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(length > 0 ? length : 1);
    memcpy(copy, text, length);
    return view_of(copy, length);
}

/* The examples of RFC 5802 §5. */
static const char client_first[] = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
static const char server_first[] =
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
static const char client_final[] =
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
static const char server_final[] = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

Test(scram_message, examples_of_rfc_5802)
{
    struct scram_client_first first;
    cr_assert_eq(scram_client_first_parse(view_from_string(client_first), &first),
                 AUTH_REASON_NONE);
    cr_assert(view_is(first.gs2_header, "n,,"));
    cr_assert(view_is(first.bare, client_first + 3));
    cr_assert(view_is(first.user, "user"));
    cr_assert(view_is(first.nonce, "fyko+d2lbbFgONRv9qkxdawL"));
    cr_assert_eq(first.authzid.length, 0);
    cr_assert_not(first.tokenauth);
    struct scram_server_first challenge;
    cr_assert_eq(scram_server_first_parse(view_from_string(server_first), &challenge),
                 AUTH_REASON_NONE);
    cr_assert(view_is(challenge.nonce, "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"));
    cr_assert(view_is(challenge.salt, "QSXCR+Q6sek8bf92"));
    cr_assert_eq(challenge.iterations, 4096);
    struct scram_client_final final;
    cr_assert_eq(scram_client_final_parse(view_from_string(client_final), &final),
                 AUTH_REASON_NONE);
    cr_assert(view_is(final.channel_binding, "biws"));
    cr_assert(view_is(final.proof, "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
    cr_assert(view_is(final.without_proof, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"));
    struct scram_server_final verdict;
    cr_assert_eq(scram_server_final_parse(view_from_string(server_final), &verdict),
                 AUTH_REASON_NONE);
    cr_assert(view_is(verdict.signature, "rmF9pqV8S7suAoZWja4dJRkFsKQ="));
    cr_assert_eq(scram_server_final_parse(view_from_string("e=other-error"), &verdict),
                 AUTH_REASON_NONE);
    cr_assert(view_is(verdict.error, "other-error"));
}

/* A message cut short is either refused, or a shorter message: then its parts are cut short too. */
Test(scram_message, every_prefix_is_refused_or_is_shorter)
{
    struct scram_client_first first;
    struct scram_server_first challenge;
    struct scram_client_final final;
    struct scram_server_final verdict;
    for (size_t n = 0; n < strlen(client_first); n++) {
        enum auth_reason reason = scram_client_first_parse(exact(client_first, n), &first);
        cr_assert(reason == AUTH_REASON_NONE ? n > 12 && first.nonce.length == n - 12 : n <= 12);
    }
    for (size_t n = 0; n < strlen(server_first); n++) {
        enum auth_reason reason = scram_server_first_parse(exact(server_first, n), &challenge);
        cr_assert(reason == AUTH_REASON_NONE ? challenge.iterations < 4096
                                             : n < strlen(server_first) - 3);
    }
    for (size_t n = 0; n < strlen(client_final); n++) {
        enum auth_reason reason = scram_client_final_parse(exact(client_final, n), &final);
        cr_assert(reason != AUTH_REASON_NONE || final.proof.length < 28);
    }
    for (size_t n = 0; n < strlen(server_final); n++) {
        enum auth_reason reason = scram_server_final_parse(exact(server_final, n), &verdict);
        cr_assert(reason != AUTH_REASON_NONE || verdict.signature.length < 28);
    }
}

Test(scram_message, every_byte_of_every_message_may_be_anything_without_harm)
{
    static const char *const messages[] = {client_first, server_first, client_final, server_final};
    for (size_t i = 0; i < 4; i++) {
        char text[128];
        size_t length = strlen(messages[i]);
        for (size_t at = 0; at < length; at++) {
            for (unsigned value = 0; value < 256; value++) {
                memcpy(text, messages[i], length);
                text[at] = (char)value;
                struct scram_client_first first;
                struct scram_server_first challenge;
                struct scram_client_final final;
                struct scram_server_final verdict;
                (void)!scram_client_first_parse(exact(text, length), &first);
                (void)!scram_server_first_parse(exact(text, length), &challenge);
                (void)!scram_client_final_parse(exact(text, length), &final);
                (void)!scram_server_final_parse(exact(text, length), &verdict);
            }
        }
    }
}

static enum auth_reason first_of(const char *text)
{
    struct scram_client_first first;
    return scram_client_first_parse(exact(text, strlen(text)), &first);
}

Test(scram_message, client_first_grammar)
{
    static const char *const malformed[] = {"",
                                            "n",
                                            "n,",
                                            "n,,",
                                            "n,n=a,r=b",
                                            "x,,n=a,r=b",
                                            "n,,n=,r=b",
                                            "n,,n=a,r=",
                                            "n,,n=a",
                                            "n,,r=b,n=a",
                                            "n,,n=a,r=b,",
                                            "n,,n=a,r=b,x",
                                            "n,,n=a,r=b,x=",
                                            "n,,n=a,r=b,1=x",
                                            "n,a=,n=a,r=b",
                                            "n,b=x,n=a,r=b",
                                            "N,,n=a,r=b",
                                            "n,,N=a,r=b",
                                            " n,,n=a,r=b",
                                            "n,,n=a,r=b c",
                                            "n,,n=a,r=b\x7f",
                                            "n,,n=a,r=\xc3\xa4",
                                            "n,,n=a,,r=b",
                                            "p",
                                            "y"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        cr_assert_eq(first_of(malformed[i]), AUTH_REASON_MALFORMED, "%s", malformed[i]);
    }
    cr_assert_eq(first_of("n,a=x,n=a,r=b"), AUTH_REASON_NONE);
    cr_assert_eq(first_of("n,,n=a,r=b==x"), AUTH_REASON_NONE);
    struct scram_client_first first;
    cr_assert_eq(scram_client_first_parse(view_of("n,,n=a\0b,r=c", 12), &first),
                 AUTH_REASON_MALFORMED);
    cr_assert_eq(scram_client_first_parse(view_of("n,,n=a,r=c\0", 11), &first),
                 AUTH_REASON_MALFORMED);
}

Test(scram_message, names_are_escaped_and_back)
{
    static const char *const pairs[][2] = {
        {"a", "a"}, {",", "=2C"}, {"=", "=3D"}, {"a=b,c", "a=3Db=2Cc"}, {"=2C", "=3D2C"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char name[16];
        size_t length;
        uint8_t memory[64];
        struct writer out;
        writer_init_fixed(&out, memory, sizeof memory);
        scram_name_write(&out, view_from_string(pairs[i][0]));
        cr_assert(view_is(writer_view(&out), pairs[i][1]));
        cr_assert(scram_name_read(view_from_string(pairs[i][1]), name, sizeof name, &length));
        cr_assert(view_is(view_of(name, length), pairs[i][0]));
    }
    char name[4];
    size_t length;
    static const char *const bad[] = {"", "=", "=2", "=2c", "=3d", "=41", "a=", "abcde"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(scram_name_read(view_from_string(bad[i]), name, sizeof name, &length), "%s",
                      bad[i]);
    }
    cr_assert(scram_name_read(view_from_string("abcd"), name, sizeof name, &length));
}
