/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/blocks.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BITS = 96, TEXT_MAX = INET6_ADDRSTRLEN, WAYS_MAX = 4 };

struct block {
    struct in6_addr first;
    unsigned bits; /* of 128 */
};

static bool begins(const struct in6_addr *address, const struct in6_addr *first, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address->s6_addr, first->s6_addr, whole) != 0) {
        return false;
    }
    return rest == 0 ||
           ((address->s6_addr[whole] ^ first->s6_addr[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static bool is_rest_zero(const struct block *block)
{
    struct in6_addr all = {0};
    for (unsigned bit = block->bits; bit < V6_BITS; bit++) {
        all.s6_addr[bit / 8] = (uint8_t)(all.s6_addr[bit / 8] | (0x80 >> bit % 8));
    }
    for (size_t i = 0; i < sizeof all; i++) {
        if ((all.s6_addr[i] & block->first.s6_addr[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Digits without sign or leading zero, at most max. */
static bool bits_read(const char *text, unsigned max, unsigned *bits_r)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0' || (text[0] == '0' && digits > 1)) {
        return false;
    }
    *bits_r = (unsigned)strtoul(text, NULL, 10);
    return *bits_r <= max;
}

static bool block_read(const char *text, struct block *block_r)
{
    char address[TEXT_MAX];
    size_t length = strcspn(text, "/");
    if (length >= sizeof address) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    bool four = strchr(address, ':') == NULL;
    unsigned bits = four ? V4_BITS : V6_BITS;
    memset(block_r, 0, sizeof *block_r);
    if (four) {
        block_r->first.s6_addr[10] = 0xff;
        block_r->first.s6_addr[11] = 0xff;
    }
    if (inet_pton(four ? AF_INET : AF_INET6, address, &block_r->first.s6_addr[four ? 12 : 0]) !=
            1 ||
        (text[length] == '/' && !bits_read(text + length + 1, bits, &bits))) {
        return false;
    }
    block_r->bits = four ? MAPPED_BITS + bits : bits;
    return is_rest_zero(block_r);
}

const char *form_block(const char *text)
{
    struct block block;
    return block_read(text, &block) ? NULL
                                    : "is no run of IP addresses (write for example 10.1.0.0/16, "
                                      "192.0.2.7 or 2001:db8::/32, with zeros behind the prefix)";
}

/* Addresses that carry an IPv4 one, and at which bytes they may; `flipped`: which ways have its bits the other way. */
struct carrier {
    const char *prefix;
    size_t ways;
    uint8_t at[WAYS_MAX][4];
    bool flipped[WAYS_MAX];
};

static const struct carrier carriers[] = {
    {"64:ff9b::/96", 1, {{12, 13, 14, 15}}, {false}}, /* NAT64, RFC 6052 */
    {"64:ff9b:1::/48", /* NAT64 by a prefix of 48, 56, 64 or 96 bits in it, RFC 8215 */
     4,
     {{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}},
     {false}},
    {"2002::/16", 1, {{2, 3, 4, 5}}, {false}}, /* 6to4, RFC 3056 */
    /* Teredo, RFC 4380: the client, hidden from translators on the way, and its server */
    {"2001::/32", 2, {{12, 13, 14, 15}, {4, 5, 6, 7}}, {true, false}},
    {"::ffff:0:0:0/96", 1, {{12, 13, 14, 15}}, {false}}, /* IPv4-translated, RFC 2765 */
    {"::/96", 1, {{12, 13, 14, 15}}, {false}},           /* IPv4-compatible, RFC 4291 */
};

/* NULL: it carries none. */
static const struct carrier *carrier_of(const struct in6_addr *address, struct block *prefix_r)
{
    if (IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++) {
        if (block_read(carriers[i].prefix, prefix_r) &&
            begins(address, &prefix_r->first, prefix_r->bits)) {
            return &carriers[i];
        }
    }
    return NULL;
}

static struct in6_addr inside(const struct in6_addr *address, const struct carrier *carrier,
                              size_t way)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    const uint8_t flip = carrier->flipped[way] ? 0xff : 0;
    for (size_t i = 0; i < 4; i++) {
        mapped.s6_addr[12 + i] = (uint8_t)(address->s6_addr[carrier->at[way][i]] ^ flip);
    }
    return mapped;
}

/*
 * As what address is held against a block: at least one. No translator sends to 0.0.0.0/8: where there are several
 * ways, one that leads there is none.
 */
static size_t readings(const struct in6_addr *address, const struct block *block,
                       struct in6_addr out_r[WAYS_MAX])
{
    struct block prefix;
    size_t count = 0;
    const struct carrier *carrier = carrier_of(address, &prefix);
    out_r[0] = *address;
    if (carrier == NULL ||
        (block->bits >= prefix.bits && begins(&block->first, &prefix.first, prefix.bits))) {
        return 1;
    }
    for (size_t i = 0; i < carrier->ways; i++) {
        out_r[count] = inside(address, carrier, i);
        count += out_r[count].s6_addr[12] != 0;
    }
    return count > 0 ? count : 1;
}

static size_t held(const char *text, const struct in6_addr *address, size_t *of_r)
{
    struct block block;
    struct in6_addr all[WAYS_MAX];
    size_t count = 0;
    *of_r = 1;
    if (!block_read(text, &block)) {
        return 0;
    }
    *of_r = readings(address, &block, all);
    for (size_t i = 0; i < *of_r; i++) {
        count += begins(&all[i], &block.first, block.bits);
    }
    return count;
}

bool block_holds(const char *text, const struct in6_addr *address)
{
    size_t of;
    return held(text, address, &of) == of;
}

/* By any reading: for what is refused. */
static bool is_one_of(const char *const *blocks, const struct in6_addr *address)
{
    size_t of;
    while (*blocks != NULL && held(*blocks, address, &of) == 0) {
        blocks++;
    }
    return *blocks != NULL;
}

bool block_is_no_broker(const struct in6_addr *address)
{
    static const char *const blocks[] = {"0.0.0.0/8",
                                         "169.254.0.0/16",
                                         "224.0.0.0/4",
                                         "240.0.0.0/4", /* RFC 6890 */
                                         "::",
                                         "fe80::/10",
                                         "ff00::/8",        /* RFC 4291 */
                                         "100.100.100.200", /* Alibaba Cloud's metadata */
                                         "192.0.0.192",     /* Oracle Cloud's old one */
                                         "fd00:ec2::254",   /* Amazon's by IPv6 */
                                         "fd20:ce::254",    /* Google's by IPv6 */
                                         NULL};
    return is_one_of(blocks, address);
}

bool block_is_loopback(const struct in6_addr *address)
{
    static const char *const blocks[] = {"127.0.0.0/8", "::1", NULL};
    return is_one_of(blocks, address);
}
