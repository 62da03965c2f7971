/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/utf8.h"

#include <stdbool.h>

static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 3;
    }
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

static bool code_allowed(uint32_t code, size_t length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= smallest[length] && code <= 0x10ffff && !surrogate;
}

size_t utf8_next(const char *text, size_t left, uint32_t *code_r)
{
    unsigned char lead = (unsigned char)text[0];
    size_t length = sequence_length(lead);
    if (length == 0 || length > left) {
        return 0;
    }
    uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char more = (unsigned char)text[i];
        if ((more & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (more & 0x3fu);
    }
    if (!code_allowed(code, length)) {
        return 0;
    }
    *code_r = code;
    return length;
}
