/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/dn.h"

#include <criterion/criterion.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct vector {
    const char *label, *der, *text;
} vectors[] = {
#define VECTOR(label, der, text) {label, der, text},
#include "tests/unit/vectors/dn_vectors.def"
#undef VECTOR
};

enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

/* A block of exactly the decoded size, so that the sanitizer sees one byte too many. */
static uint8_t *decode(const char *hex, size_t *length_r)
{
    const size_t length = strlen(hex) / 2;
    uint8_t *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned value = 0;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    uint8_t *exact = malloc(length == 0 ? 1 : length);
    memcpy(exact, bytes, length);
    free(bytes);
    *length_r = length;
    return exact;
}

static enum dn_status print_hex(const char *hex, char *out, size_t capacity)
{
    size_t length = 0;
    uint8_t *der = decode(hex, &length);
    const enum dn_status status = dn_print_der((struct view){der, length}, out, capacity, NULL);
    free(der);
    return status;
}

Test(dn, prints_what_a_jdk_prints)
{
    for (size_t i = 0; i < VECTORS; i++) {
        char out[DN_BYTES_MAX];
        cr_assert_eq(print_hex(vectors[i].der, out, sizeof(out)), DN_OK, "%s", vectors[i].label);
        cr_assert_str_eq(out, vectors[i].text, "%s", vectors[i].label);
    }
}

Test(dn, an_x509_name_prints_as_its_der)
{
    for (size_t i = 0; i < VECTORS; i++) {
        size_t length = 0;
        uint8_t *der = decode(vectors[i].der, &length);
        const unsigned char *at = der;
        X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)length);
        char out[DN_BYTES_MAX];
        size_t printed = 0;
        if (name != NULL) { /* OpenSSL refuses some names that Java takes */
            cr_assert_eq(dn_print(name, out, sizeof(out), &printed), DN_OK);
            cr_assert_str_eq(out, vectors[i].text, "%s", vectors[i].label);
            cr_assert_eq(printed, strlen(out));
        }
        X509_NAME_free(name);
        free(der);
    }
    char out[8] = "dirty";
    cr_assert_eq(dn_print(NULL, out, sizeof(out), NULL), DN_BAD);
    cr_assert_str_eq(out, "");
}

Test(dn, every_prefix_and_every_longer_input_is_bad)
{
    for (size_t i = 0; i < VECTORS; i++) {
        size_t length = 0;
        uint8_t *der = decode(vectors[i].der, &length);
        for (size_t cut = 0; cut < length; cut++) {
            uint8_t *prefix = malloc(cut == 0 ? 1 : cut);
            memcpy(prefix, der, cut);
            char out[DN_BYTES_MAX] = "dirty";
            cr_assert_eq(dn_print_der((struct view){prefix, cut}, out, sizeof(out), NULL), DN_BAD);
            cr_assert_str_eq(out, "");
            free(prefix);
        }
        char longer[4096], out[DN_BYTES_MAX];
        snprintf(longer, sizeof(longer), "%s00", vectors[i].der);
        cr_assert_eq(print_hex(longer, out, sizeof(out)), DN_BAD);
        free(der);
    }
}

Test(dn, the_text_is_never_cut)
{
    for (size_t i = 0; i < VECTORS; i++) {
        const size_t need = strlen(vectors[i].text) + 1;
        char out[DN_BYTES_MAX];
        for (size_t capacity = 0; capacity < need; capacity++) {
            memset(out, 'x', sizeof(out));
            cr_assert_eq(print_hex(vectors[i].der, out, capacity), DN_TOO_LONG);
            cr_assert_eq(out[0], capacity == 0 ? 'x' : '\0');
        }
        cr_assert_eq(print_hex(vectors[i].der, out, need), DN_OK);
    }
}

Test(dn, names_beyond_the_limits_are_refused)
{
    X509_NAME *name = X509_NAME_new();
    char out[DN_BYTES_MAX + 100];
    for (int i = 0; i < DN_RDNS_MAX; i++) {
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"x", 1, -1, 0);
    }
    cr_assert_eq(dn_print(name, out, sizeof(out), NULL), DN_OK);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"x", 1, -1, 0);
    cr_assert_eq(dn_print(name, out, sizeof(out), NULL), DN_TOO_LONG);
    X509_NAME_free(name);
}

Test(dn, forms_that_are_not_der_are_bad)
{
    static const char *const bad[] = {
        "",
        "30",
        "3080",                                             /* indefinite length */
        "308100",                                           /* length not as short as possible */
        "30820000",                                         /* leading zero */
        "3100",                                             /* a SET */
        "30023100",                                         /* an empty RDN */
        "3004310230 00",                                    /* an empty attribute */
        "300b31093007060055040c0161",                       /* wrong OID tag */
        "30093107300506000c0161",                           /* empty OID */
        "300a310830060601800c0161",                         /* OID arc starting with 0x80 */
        "300a310830060601ff0c0161",                         /* unfinished OID arc */
        "300c310a3008060355040c0161",                       /* no room for the value */
        "300d310b3009060355040c1f0161",                     /* tag of several bytes */
        "30143112301006112affffffffffffffffffffffff7f0500", /* arc beyond 63 bits, and cut */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char out[DN_BYTES_MAX];
        cr_assert_eq(print_hex(bad[i], out, sizeof(out)), DN_BAD, "%s", bad[i]);
    }
}
