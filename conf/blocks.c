/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/blocks.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BITS = 96, TEXT_MAX = INET6_ADDRSTRLEN };

struct block {
    struct in6_addr first;
    unsigned bits; /* of 128 */
};

/* The four bytes of an IPv4 address where an IPv6 one carries it, mapped. */
static struct in6_addr plain(const struct in6_addr *address)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    struct in6_addr mapped = *address;
    if (memcmp(address->s6_addr, nat64, sizeof nat64) == 0) {
        memset(mapped.s6_addr, 0, 10);
        mapped.s6_addr[10] = 0xff;
        mapped.s6_addr[11] = 0xff;
    }
    return mapped;
}

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

bool block_holds(const char *text, const struct in6_addr *address)
{
    struct block block;
    const struct in6_addr at = plain(address);
    return block_read(text, &block) && begins(&at, &block.first, block.bits);
}

static bool is_one_of(const char *const *blocks, const struct in6_addr *address)
{
    while (*blocks != NULL && !block_holds(*blocks, address)) {
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
