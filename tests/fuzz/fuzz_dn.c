/* SPDX-License-Identifier: Apache-2.0 */
/* The DER of a name, as a peer's certificate brings it. What is printed must be one C string of
 * valid UTF-8, never cut, and be refused when there is one byte too little room. */
#include <stdlib.h>
#include <string.h>

#include "auth/dn.h"
#include "auth/principal.h"
#include "conf/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good)
{
    if (!good) {
        abort();
    }
}

static void check_text(const char *text, size_t length)
{
    must(strlen(text) == length);
    for (size_t i = 0; i < length;) {
        uint32_t point = 0;
        const size_t used = utf8_next(text + i, length - i, &point);
        must(used != 0);
        i += used;
    }
}

static void check_room(struct view der, const char *text, size_t length)
{
    char *exact = malloc(length + 1);
    must(dn_print_der(der, exact, length, NULL) == DN_TOO_LONG);
    must(dn_print_der(der, exact, length + 1, NULL) == DN_OK);
    must(strcmp(exact, text) == 0);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[DN_BYTES_MAX], again[DN_BYTES_MAX], principal[PRINCIPAL_SIZE];
    size_t length = 0;
    const struct view der = {data, size};
    if (dn_print_der(der, text, sizeof(text), &length) != DN_OK) {
        must(text[0] == '\0');
        return 0;
    }
    check_text(text, length);
    check_room(der, text, length);
    const unsigned char *at = data;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)size);
    if (name != NULL && at == data + size) {
        must(dn_print(name, again, sizeof(again), NULL) == DN_OK);
        must(strcmp(again, text) == 0);
    }
    X509_NAME_free(name);
    const struct view raw = {(const uint8_t *)text, length};
    if (principal_canonical(raw, principal) == PRINCIPAL_OK) {
        must(strcmp(principal, text) == 0);
    }
    return 0;
}
