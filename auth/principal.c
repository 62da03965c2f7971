/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/principal.h"

#include "conf/utf8.h"

#include <stdint.h>
#include <string.h>

static const struct range {
    uint32_t first, last;
    enum principal_status why;
} ranges[] = {
#define RANGE(first, last, why) {first, last, PRINCIPAL_##why},
#include "auth/principal_ranges.def"
#undef RANGE
};

static enum principal_status judge(uint32_t point)
{
    size_t low = 0, high = sizeof(ranges) / sizeof(ranges[0]);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (point > ranges[middle].last) {
            low = middle + 1;
        } else if (point < ranges[middle].first) {
            high = middle;
        } else {
            return ranges[middle].why;
        }
    }
    return PRINCIPAL_OK;
}

static enum principal_status check(struct view raw)
{
    if (raw.length == 0) {
        return PRINCIPAL_EMPTY;
    }
    if (raw.length > PRINCIPAL_BYTES_MAX) {
        return PRINCIPAL_TOO_LONG;
    }
    for (size_t i = 0; i < raw.length;) {
        uint32_t point = 0;
        const size_t length = utf8_next((const char *)raw.at + i, raw.length - i, &point);
        if (length == 0) {
            return PRINCIPAL_NOT_UTF8;
        }
        i += length;
        const enum principal_status why = judge(point);
        if (why != PRINCIPAL_OK) {
            return why;
        }
    }
    if (raw.at[0] == ' ' || raw.at[raw.length - 1] == ' ') {
        return PRINCIPAL_BLANK;
    }
    return PRINCIPAL_OK;
}

enum principal_status principal_canonical(struct view raw, char out[PRINCIPAL_SIZE])
{
    out[0] = '\0';
    const enum principal_status status = check(raw);
    if (status == PRINCIPAL_OK) {
        memcpy(out, raw.at, raw.length);
        out[raw.length] = '\0';
    }
    return status;
}

const char *principal_status_text(enum principal_status status)
{
    switch (status) {
    case PRINCIPAL_OK:
        return "canonical";
    case PRINCIPAL_EMPTY:
        return "empty";
    case PRINCIPAL_TOO_LONG:
        return "longer than 255 bytes";
    case PRINCIPAL_NOT_UTF8:
        return "not valid UTF-8";
    case PRINCIPAL_CONTROL:
        return "holds a control or meaningless character";
    case PRINCIPAL_INVISIBLE:
        return "holds an invisible character";
    case PRINCIPAL_BLANK:
        return "holds a blank at an end or an unusual blank";
    case PRINCIPAL_LOOKALIKE:
        return "holds a character with another spelling that looks the same";
    }
    return "unknown";
}
