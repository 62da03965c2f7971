/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/tar.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK = 512, SHORT_NAME = 100, PREFIX = 155, SIZE_DIGITS = 11 };

struct header {
    char name[SHORT_NAME], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8];
    char prefix[PREFIX], rest[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a ustar header is one block");

static const uint64_t size_max = (UINT64_C(1) << 33) - 1; /* eleven octal digits */

/* The sum of the block's bytes, its checksum taken as spaces. */
static unsigned sum(const struct header *header)
{
    const uint8_t *at = (const uint8_t *)header;
    const size_t from = offsetof(struct header, checksum);
    unsigned total = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        total += i >= from && i < from + sizeof header->checksum ? ' ' : at[i];
    }
    return total;
}

static void octal(char *field, size_t size, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%0*" PRIo64, (int)size - 1, number);
    memcpy(field, text, size);
}

/* Long names are cut at a slash: the part before it goes to the prefix. */
static bool put_name(struct header *header, const char *name)
{
    const size_t length = strlen(name);
    if (length <= SHORT_NAME) {
        memcpy(header->name, name, length);
        return true;
    }
    for (size_t cut = length - SHORT_NAME - 1; cut <= PREFIX && cut < length; cut++) {
        if (name[cut] == '/') {
            memcpy(header->prefix, name, cut);
            memcpy(header->name, name + cut + 1, length - cut - 1);
            return true;
        }
    }
    return false;
}

bool tar_put(FILE *out, const char *name, struct view content, int64_t mtime_s)
{
    static const char zeros[BLOCK];
    struct header header = {0};
    if (content.length > size_max || !put_name(&header, name)) {
        return false;
    }
    octal(header.mode, sizeof header.mode, 0644);
    octal(header.uid, sizeof header.uid, 0);
    octal(header.gid, sizeof header.gid, 0);
    octal(header.size, sizeof header.size, content.length);
    octal(header.mtime, sizeof header.mtime, mtime_s > 0 ? (uint64_t)mtime_s : 0);
    header.type = '0';
    memcpy(header.magic, "ustar", 6);
    memcpy(header.version, "00", 2);
    octal(header.checksum, sizeof header.checksum - 1, sum(&header));
    header.checksum[sizeof header.checksum - 1] = ' ';
    const size_t pad = (BLOCK - content.length % BLOCK) % BLOCK;
    return fwrite(&header, BLOCK, 1, out) == 1 &&
           (content.length == 0 || fwrite(content.at, content.length, 1, out) == 1) &&
           (pad == 0 || fwrite(zeros, pad, 1, out) == 1);
}

bool tar_end(FILE *out)
{
    static const char zeros[2 * BLOCK];
    return fwrite(zeros, sizeof zeros, 1, out) == 1;
}

static bool read_octal(const char *field, size_t size, uint64_t *number_r)
{
    size_t i = 0;
    for (*number_r = 0; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
        *number_r = *number_r * 8 + (uint64_t)(field[i] - '0');
    }
    return i > 0 && i < size && (field[i] == '\0' || field[i] == ' ');
}

/* Relative, and nothing in it that leads out or is not printed as it is. */
static bool good_name(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '\\') {
            return false;
        }
    }
    return name[0] != '\0' && name[0] != '/' && strstr(name, "..") == NULL;
}

static bool read_header(const struct header *header, char name_r[TAR_NAME_SIZE], uint64_t *size_r)
{
    uint64_t checksum = 0;
    if (memcmp(header->magic, "ustar", 6) != 0 || header->type != '0' ||
        !read_octal(header->checksum, sizeof header->checksum, &checksum) ||
        header->checksum[sizeof header->checksum - 1] != ' ' || checksum != sum(header) ||
        !read_octal(header->size, sizeof header->size, size_r)) {
        return false;
    }
    const int name = (int)strnlen(header->name, sizeof header->name);
    const int prefix = (int)strnlen(header->prefix, sizeof header->prefix);
    const int n = snprintf(name_r, TAR_NAME_SIZE, "%.*s%s%.*s", prefix, header->prefix,
                           prefix > 0 ? "/" : "", name, header->name);
    return n > 0 && n < TAR_NAME_SIZE && good_name(name_r);
}

static bool all_zero(struct view bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.at[i] != 0) {
            return false;
        }
    }
    return true;
}

enum tar_status tar_next(struct view *rest, char name_r[TAR_NAME_SIZE], struct view *content_r)
{
    struct header header;
    uint64_t size = 0;
    if (rest->length < BLOCK) {
        return TAR_BAD; /* cut off: the end is two blocks of zeros */
    }
    if (all_zero(view_of(rest->at, BLOCK))) {
        return all_zero(*rest) ? TAR_END : TAR_BAD;
    }
    memcpy(&header, rest->at, BLOCK);
    if (!read_header(&header, name_r, &size)) {
        return TAR_BAD;
    }
    const uint64_t whole = (size + BLOCK - 1) / BLOCK * BLOCK;
    if (whole > rest->length - BLOCK) {
        return TAR_BAD;
    }
    *content_r = view_of(rest->at + BLOCK, (size_t)size);
    *rest = view_from(*rest, BLOCK + (size_t)whole);
    return TAR_OK;
}
