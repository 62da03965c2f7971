/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on a PKCS#11 token, named as RFC 7512 does: "pkcs11:token=hsm;object=orders;type=private". */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "conf/config.h"
#include "conf/forms.h"

enum { URI_BYTES_MAX = 1024, SCHEME_BYTES = 7 };

/* What may stand between the semicolons. Slot numbers change when a module is started anew. */
enum attribute { TOKEN, SERIAL, MANUFACTURER, MODEL, OBJECT, ID, TYPE, ATTRIBUTES };

static const char *const attributes[ATTRIBUTES] = {"token",  "serial", "manufacturer", "model",
                                                   "object", "id",     "type"};

static bool is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* RFC 7512's pk11-pchar: unreserved, some delimiters, and what is escaped; not "%00". */
static bool is_value(const char *at, size_t length)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~:[]@!$'()*+,=&";
    for (size_t i = 0; i < length; i++) {
        if (at[i] == '%') {
            if (length - i < 3 || !is_hex(at[i + 1]) || !is_hex(at[i + 2]) ||
                (at[i + 1] == '0' && at[i + 2] == '0')) {
                return false;
            }
            i += 2;
        } else if (strchr(plain, at[i]) == NULL) {
            return false;
        }
    }
    return length > 0;
}

static size_t find_attribute(const char *name, size_t length)
{
    size_t i = 0;
    while (i < ATTRIBUTES &&
           (strlen(attributes[i]) != length || strncmp(attributes[i], name, length) != 0)) {
        i++;
    }
    return i;
}

/* One "name=value" of `length` bytes. */
static const char *attribute_problem(const char *at, size_t length, bool seen[ATTRIBUTES])
{
    const char *equals = memchr(at, '=', length);
    const size_t name = equals != NULL ? (size_t)(equals - at) : 0;
    const size_t which = find_attribute(at, name);
    if (equals == NULL || which == ATTRIBUTES) {
        return "has a part that Setu does not know (use token, serial, manufacturer, model, "
               "object, id and type, as in 'pkcs11:token=hsm;object=orders')";
    }
    if (seen[which]) {
        return "names a part twice (keep one)";
    }
    seen[which] = true;
    const size_t value = length - name - 1;
    if (!is_value(equals + 1, value)) {
        return "has a part that is empty or not written as RFC 7512 has it (escape other bytes as "
               "%20)";
    }
    if (which == TYPE && (value != 7 || memcmp(equals + 1, "private", 7) != 0)) {
        return "is not that of a private key (write 'type=private', or leave the type out)";
    }
    return NULL;
}

static const char *uri_problem(const char *text)
{
    bool seen[ATTRIBUTES] = {false};
    if (strlen(text) > URI_BYTES_MAX) {
        return "is too long for a PKCS#11 URI (1024 bytes at most)";
    }
    /* Never shown again: it may be real. */
    if (strstr(text, "pin-value") != NULL) {
        return "holds a PIN, which everybody can read here (change the PIN, keep it in a file and "
               "name that in 'pkcs11.pin_file')";
    }
    if (strchr(text, '?') != NULL) {
        return "has a query (name the module and the file of the PIN in 'pkcs11')";
    }
    for (const char *at = text + SCHEME_BYTES;;) {
        const size_t length = strcspn(at, ";");
        const char *problem = attribute_problem(at, length, seen);
        if (problem != NULL) {
            return problem;
        }
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (!seen[TOKEN] && !seen[SERIAL]) {
        return "does not say which token (add 'token=' or 'serial=')";
    }
    return seen[OBJECT] || seen[ID] ? NULL
                                    : "does not say which key (add 'object=' or 'id=')";
}

const char *form_module(const char *text)
{
    return text[0] == '/' ? form_path(text)
                          : "is not an absolute path (begin with /: it is code, and nothing is "
                            "searched for it)";
}

const char *form_key(const char *text)
{
    return config_key_is_token(text) ? uri_problem(text) : form_path(text);
}
