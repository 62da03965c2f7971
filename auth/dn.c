/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/dn.h"

#include <stdbool.h>
#include <string.h>

enum {
    TAG_OID = 0x06,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
};

/* The output, sticky on overflow so that printing needs no checks on the way. */
struct text {
    char *at;
    size_t capacity, length;
    bool failed;
};

static void text_bytes(struct text *text, const void *bytes, size_t length)
{
    if (text->failed || length >= text->capacity - text->length) {
        text->failed = true;
        return;
    }
    memcpy(text->at + text->length, bytes, length);
    text->length += length;
}

static void text_string(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

static void text_number(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    text_bytes(text, digits + at, sizeof(digits) - at);
}

static void text_hex(struct text *text, struct view bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.length && !text->failed; i++) {
        const char pair[2] = {digits[bytes.at[i] >> 4], digits[bytes.at[i] & 15]};
        text_bytes(text, pair, 2);
    }
}

struct element {
    uint8_t tag;
    struct view content;
    struct view whole; /* tag and length included */
};

/* The definite length octets at `at`; DER: as short as possible. 0 octets used = not DER. */
static size_t der_length(const uint8_t *at, size_t available, size_t *length_r)
{
    if (available == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        *length_r = at[0];
        return 1;
    }
    const size_t octets = at[0] & 0x7fU;
    if (octets == 0 || octets > 3 || octets >= available || at[1] == 0) {
        return 0;
    }
    size_t length = 0;
    for (size_t i = 1; i <= octets; i++) {
        length = length << 8 | at[i];
    }
    *length_r = length;
    return length < 0x80 ? 0 : octets + 1;
}

/* Take one element off `rest`. Tags of more than one byte have no place in a name. */
static bool der_next(struct view *rest, struct element *element_r)
{
    if (rest->length < 2 || (rest->at[0] & 0x1f) == 0x1f) {
        return false;
    }
    size_t length = 0;
    const size_t octets = der_length(rest->at + 1, rest->length - 1, &length);
    if (octets == 0 || length > rest->length - 1 - octets) {
        return false;
    }
    const size_t whole = 1 + octets + length;
    *element_r = (struct element){
        .tag = rest->at[0],
        .content = {rest->at + 1 + octets, length},
        .whole = {rest->at, whole},
    };
    rest->at += whole;
    rest->length -= whole;
    return true;
}

static bool der_expect(struct view *rest, uint8_t tag, struct view *content_r)
{
    struct element element;
    if (!der_next(rest, &element) || element.tag != tag) {
        return false;
    }
    *content_r = element.content;
    return true;
}

/* The only keywords RFC 2253 names; Java prints every other type as an OID. */
static const struct keyword {
    const char *name;
    uint8_t length;
    uint8_t oid[10];
} keywords[] = {
    {"CN", 3, {0x55, 0x04, 0x03}},
    {"C", 3, {0x55, 0x04, 0x06}},
    {"L", 3, {0x55, 0x04, 0x07}},
    {"ST", 3, {0x55, 0x04, 0x08}},
    {"STREET", 3, {0x55, 0x04, 0x09}},
    {"O", 3, {0x55, 0x04, 0x0a}},
    {"OU", 3, {0x55, 0x04, 0x0b}},
    {"UID", 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01}},
    {"DC", 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19}},
};

static const char *keyword_of(struct view oid)
{
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (oid.length == keywords[i].length && memcmp(oid.at, keywords[i].oid, oid.length) == 0) {
            return keywords[i].name;
        }
    }
    return NULL;
}

static bool print_oid(struct text *text, struct view oid)
{
    uint64_t arc = 0;
    bool inside = false, first = true;
    for (size_t i = 0; i < oid.length; i++) {
        const uint8_t byte = oid.at[i];
        if ((!inside && byte == 0x80) || arc >> 56 != 0) {
            return false;
        }
        arc = arc << 7 | (byte & 0x7f);
        inside = (byte & 0x80) != 0;
        if (inside) {
            continue;
        }
        if (first) {
            const uint64_t root = arc < 80 ? arc / 40 : 2;
            text_number(text, root);
            arc -= root * 40;
        }
        text_string(text, ".");
        text_number(text, arc);
        arc = 0;
        first = false;
    }
    return !inside && !first;
}

/* String types that Java prints as text; all of them as if they held UTF-8. */
static bool is_string_tag(uint8_t tag)
{
    switch (tag) {
    case 0x0c: /* UTF8String */
    case 0x13: /* PrintableString */
    case 0x14: /* T61String */
    case 0x16: /* IA5String */
    case 0x1b: /* GeneralString */
    case 0x1e: /* BMPString */
        return true;
    default:
        return false;
    }
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* May `second` follow `lead` in a sequence of three or four bytes? */
static bool may_follow(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_continuation(second);
    }
}

/*
 * Length of the character at `at`, or of the malformed piece that Java's decoder replaces by one
 * U+FFFD: the longest start of a valid sequence, but a whole surrogate at once.
 */
static size_t character_length(const uint8_t *at, size_t available, bool *valid_r)
{
    const uint8_t lead = at[0];
    *valid_r = lead < 0x80;
    if (lead < 0xc2 || lead > 0xf4) {
        return 1;
    }
    const size_t wanted = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    size_t used = 1;
    while (used < wanted && used < available &&
           (used == 1 ? may_follow(lead, at[1]) : is_continuation(at[used]))) {
        used++;
    }
    *valid_r = used == wanted && !(lead == 0xed && at[1] >= 0xa0);
    return used;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\r';
}

static void print_value(struct text *text, struct view value)
{
    size_t lead = 0, trail = value.length; /* blanks outside [lead, trail) are escaped */
    while (lead < value.length && is_blank(value.at[lead])) {
        lead++;
    }
    while (trail > 0 && is_blank(value.at[trail - 1])) {
        trail--;
    }
    size_t i = 0;
    while (i < value.length && !text->failed) {
        bool valid = false;
        const uint8_t *at = value.at + i;
        const size_t length = character_length(at, value.length - i, &valid);
        if (!valid) {
            text_string(text, "\xef\xbf\xbd");
        } else if (at[0] == 0) {
            text_string(text, "\\00");
        } else {
            if (i < lead || i >= trail || strchr(",=+<>#;\"\\", at[0]) != NULL) {
                text_string(text, "\\");
            }
            text_bytes(text, at, length);
        }
        i += length;
    }
}

static bool print_attribute(struct text *text, struct view attribute)
{
    struct view oid;
    struct element value;
    if (!der_expect(&attribute, TAG_OID, &oid) || !der_next(&attribute, &value) ||
        attribute.length != 0) {
        return false;
    }
    const char *keyword = keyword_of(oid);
    if (keyword != NULL) {
        text_string(text, keyword);
    } else if (!print_oid(text, oid)) {
        return false;
    }
    if (keyword != NULL && is_string_tag(value.tag)) {
        text_string(text, "=");
        print_value(text, value.content);
    } else {
        text_string(text, "=#");
        text_hex(text, value.whole);
    }
    return true;
}

static bool print_rdn(struct text *text, struct view rdn)
{
    struct view attribute;
    for (bool first = true; rdn.length != 0; first = false) {
        if (!der_expect(&rdn, TAG_SEQUENCE, &attribute)) {
            return false;
        }
        if (!first) {
            text_string(text, "+");
        }
        if (!print_attribute(text, attribute)) {
            return false;
        }
    }
    return true;
}

static enum dn_status print_name(struct text *text, struct view der)
{
    struct view name, rdns[DN_RDNS_MAX];
    size_t count = 0;
    if (!der_expect(&der, TAG_SEQUENCE, &name) || der.length != 0) {
        return DN_BAD;
    }
    while (name.length != 0) {
        if (count == DN_RDNS_MAX) {
            return DN_TOO_LONG;
        }
        if (!der_expect(&name, TAG_SET, &rdns[count]) || rdns[count].length == 0) {
            return DN_BAD;
        }
        count++;
    }
    for (size_t i = count; i-- > 0;) {
        if (!print_rdn(text, rdns[i])) {
            return DN_BAD;
        }
        if (i > 0) {
            text_string(text, ",");
        }
    }
    return text->failed ? DN_TOO_LONG : DN_OK;
}

enum dn_status dn_print_der(struct view der, char *out, size_t capacity, size_t *length_r)
{
    if (capacity == 0) {
        return DN_TOO_LONG;
    }
    struct text text = {.at = out, .capacity = capacity < DN_BYTES_MAX ? capacity : DN_BYTES_MAX};
    const enum dn_status status = print_name(&text, der);
    if (status != DN_OK) {
        text.length = 0;
    }
    out[text.length] = '\0';
    if (length_r != NULL) {
        *length_r = text.length;
    }
    return status;
}

enum dn_status dn_print(const X509_NAME *name, char *out, size_t capacity, size_t *length_r)
{
    const unsigned char *der = NULL;
    size_t length = 0;
    if (capacity != 0) {
        out[0] = '\0';
    }
    if (name == NULL || X509_NAME_get0_der(name, &der, &length) != 1) {
        return DN_BAD;
    }
    return dn_print_der((struct view){der, length}, out, capacity, length_r);
}
