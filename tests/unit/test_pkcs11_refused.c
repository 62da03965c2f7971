/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pkcs11_refused.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char uri[] = "pkcs11:token=setu;object=a";

static struct view text(const char *pin)
{
    return view_of((const uint8_t *)pin, strlen(pin));
}

static enum pkcs11_refused before(const char *token, const char *pin)
{
    return pkcs11_refused_before(token, text(pin));
}

Test(pkcs11_refused, a_pin_is_known_again_for_every_key_of_its_token)
{
    cr_expect_eq(before(uri, "4242"), PKCS11_REFUSED_NEVER);
    pkcs11_refused_add(uri, text("4242"));
    cr_expect_eq(before(uri, "4242"), PKCS11_REFUSED_BEFORE);
    cr_expect_eq(before("pkcs11:id=%01;token=setu", "4242"), PKCS11_REFUSED_BEFORE);
    cr_expect_eq(before(uri, "4243"), PKCS11_REFUSED_NEVER);
    cr_expect_eq(before(uri, ""), PKCS11_REFUSED_NEVER);
    cr_expect_eq(before("pkcs11:token=set;object=a", "4242"), PKCS11_REFUSED_NEVER);
    cr_expect_eq(before("pkcs11:token=setu;serial=1", "4242"), PKCS11_REFUSED_NEVER);
}

/* Each of these is the same token, and a locked one when it is shown the PIN for each. */
Test(pkcs11_refused, a_token_is_the_same_however_it_is_written)
{
    static const char *const same[] = {"pkcs11:token=my%20hsm;serial=4:2",
                                       "pkcs11:serial=4:2;token=my%20hsm",
                                       "pkcs11:token=%6dy%20hs%6D;object=o;serial=4%3A2",
                                       "pkcs11:serial=%34%3a2;id=%01;token=my%20hsm",
                                       "pkcs11:manufacturer=m;token=my%20hsm;model=x;serial=4:2"};
    pkcs11_refused_add(same[0], text("4242"));
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        cr_expect_eq(before(same[i], "4242"), PKCS11_REFUSED_BEFORE, "%s", same[i]);
        cr_expect_eq(before(same[i], "4243"), PKCS11_REFUSED_NEVER, "%s", same[i]);
    }
}

/* What one token has refused says nothing of the others. */
Test(pkcs11_refused, tokens_whose_names_look_alike_are_different)
{
    static const char *const other[] = {
        "pkcs11:token=a:y;object=o", "pkcs11:token=a",
        "pkcs11:token=a:",           "pkcs11:serial=a:x",
        "pkcs11:token=x;serial=a",   "pkcs11:token=a%3bx",
        "pkcs11:token=a%253ax",      "pkcs11:token=A:x",
        "pkcs11:token=a:x;serial=1", "pkcs11:object=token=a:x;serial=2",
        "pkcs11:token=a:x%3bserial="};
    pkcs11_refused_add("pkcs11:token=a:x;object=o", text("4242"));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        cr_expect_eq(before(other[i], "4242"), PKCS11_REFUSED_NEVER, "%s", other[i]);
    }
    cr_expect_eq(before("pkcs11:object=b:token=2;token=a:x", "4242"), PKCS11_REFUSED_BEFORE);
    cr_expect_eq(before("pkcs11:object=b:token=3;token=a%3Ax", "4242"), PKCS11_REFUSED_BEFORE);
}

Test(pkcs11_refused, the_last_ones_of_a_token_are_kept)
{
    char pin[16];
    for (int i = 0; i < 100; i++) {
        snprintf(pin, sizeof pin, "%d", i);
        pkcs11_refused_add(uri, text(pin));
    }
    for (int i = 0; i < 100; i++) {
        snprintf(pin, sizeof pin, "%d", i);
        cr_expect_eq(before(uri, pin),
                     i < 100 - PKCS11_REFUSED_PINS ? PKCS11_REFUSED_NEVER : PKCS11_REFUSED_BEFORE);
    }
    cr_expect_eq(before("pkcs11:token=other", "99"), PKCS11_REFUSED_NEVER);
}

Test(pkcs11_refused, a_token_that_could_not_be_kept_is_not_asked)
{
    char token[32];
    for (int i = 0; i < PKCS11_REFUSED_TOKENS; i++) {
        snprintf(token, sizeof token, "pkcs11:token=%d", i);
        cr_expect_eq(before(token, "1"), PKCS11_REFUSED_NEVER);
        pkcs11_refused_add(token, text("1"));
    }
    cr_expect_eq(before(uri, "1"), PKCS11_REFUSED_ROOM);
    pkcs11_refused_add(uri, text("1"));
    cr_expect_eq(before("pkcs11:token=3", "2"), PKCS11_REFUSED_NEVER);
    cr_expect_eq(before("pkcs11:token=3", "1"), PKCS11_REFUSED_BEFORE);
}

Test(pkcs11_refused, wiped_is_forgotten)
{
    pkcs11_refused_add(uri, text("1"));
    pkcs11_refused_wipe();
    cr_expect_eq(before(uri, "1"), PKCS11_REFUSED_NEVER);
    pkcs11_refused_add(uri, text("1"));
    cr_expect_eq(before(uri, "1"), PKCS11_REFUSED_BEFORE);
}

extern char __data_start, _end; /* of this program's variables, by the linker */

/* Redzones lie in between. */
__attribute__((no_sanitize("address", "undefined"))) static size_t
times_in_variables(const uint8_t digest[32], uint8_t mask)
{
    size_t found = 0;
    for (const char *at = &__data_start; at + 32 <= &_end; at++) {
        size_t i = 0;
        while (i < 32 && (uint8_t)at[i] == (digest[i] ^ mask)) {
            i++;
        }
        found += i == 32;
    }
    return found;
}

static uint8_t planted[32];

/* Whoever sees the memory does not find the PIN by trying all of them. */
Test(pkcs11_refused, no_digest_without_a_key_is_kept)
{
    static const char *const hashed[] = {"4242",        "token=setu;4242", "token=setu4242",
                                         "token=setu;", "token=setu",      "setu4242"};
    pkcs11_refused_add(uri, text("4242"));
    for (size_t i = 0; i < sizeof hashed / sizeof hashed[0]; i++) {
        uint8_t digest[32];
        cr_assert_eq(EVP_Digest(hashed[i], strlen(hashed[i]), digest, NULL, EVP_sha256(), NULL), 1);
        cr_expect_eq(times_in_variables(digest, 0), 0u, "%s", hashed[i]);
        for (size_t k = 0; k < 32; k++) {
            planted[k] = digest[k] ^ 0x5a;
        }
        cr_expect_eq(times_in_variables(digest, 0x5a), 1u, "what is there is found");
    }
}
