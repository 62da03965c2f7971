/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "conf/blocks.h"
#include "conf/forms.h"

static struct in6_addr at(const char *text)
{
    struct in6_addr address;
    cr_assert(form_ip_bytes(text, &address), "%s", text);
    return address;
}

static bool holds(const char *block, const char *text)
{
    struct in6_addr address = at(text);
    return block_holds(block, &address);
}

Test(blocks, forms)
{
    static const char *const good[] = {
        "10.1.0.0/16", "10.0.0.0/8",    "192.0.2.7", "192.0.2.7/32",  "0.0.0.0/0",       "::/0",
        "::1",         "2001:db8::/32", "fe80::/10", "10.1.2.128/25", "2001:db8::1/128", NULL};
    static const char *const bad[] = {"",          "10.1.0.0/33", "10.1.0.0/",    "10.1.0.0/08",
                                      "10.1/16",   "10.1.0.0/-1", "10.1.0.1/16",  "host",
                                      "::/129",    "::1/64",      "10.1.0.0/16/", " 10.0.0.0/8",
                                      "1.2.3.4.5", "/8",          "10.1.0.0/1e1", NULL};
    for (size_t i = 0; good[i] != NULL; i++) {
        cr_expect_null(form_block(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; bad[i] != NULL; i++) {
        cr_expect_not_null(form_block(bad[i]), "%s", bad[i]);
    }
    char longest[200];
    memset(longest, '1', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_expect_not_null(form_block(longest));
}

Test(blocks, hold_their_addresses_and_no_others)
{
    cr_expect(holds("10.1.0.0/16", "10.1.255.255"));
    cr_expect_not(holds("10.1.0.0/16", "10.2.0.0"));
    cr_expect_not(holds("10.1.0.0/16", "10.0.255.255"));
    cr_expect(holds("10.1.2.128/25", "10.1.2.128"));
    cr_expect_not(holds("10.1.2.128/25", "10.1.2.127"));
    cr_expect(holds("192.0.2.7", "192.0.2.7"));
    cr_expect_not(holds("192.0.2.7", "192.0.2.6"));
    cr_expect(holds("0.0.0.0/0", "203.0.113.9"));
    cr_expect_not(holds("0.0.0.0/0", "2001:db8::1"), "IPv6 is not IPv4");
    cr_expect(holds("::/0", "2001:db8::1"));
    cr_expect(holds("2001:db8::/33", "2001:db8:7fff::1"));
    cr_expect_not(holds("2001:db8::/33", "2001:db8:8000::1"));
    cr_expect_not(holds("nonsense", "10.0.0.1"));
}

/* T69: an IPv4 address that is written as an IPv6 one passes no list that it would not pass itself. */
Test(blocks, t69_an_address_inside_another_is_held_by_its_own_block)
{
    static const char *const same[] = {
        "::ffff:10.1.2.3",    "64:ff9b::a01:203", "2002:a01:203::1",         "::10.1.2.3",
        "64:ff9b:1::a01:203", "::ffff:0:a01:203", "2001:0:a01:7::f5fe:fdfc", NULL};
    for (size_t i = 0; same[i] != NULL; i++) {
        cr_expect(holds("10.1.0.0/16", same[i]), "%s", same[i]);
        cr_expect_not(holds("10.2.0.0/16", same[i]), "%s", same[i]);
        cr_expect_not(holds("2000::/3", same[i]), "%s", same[i]);
    }
    cr_expect_not(holds("10.0.0.0/8", "64:ff9b:1:c0a8:1:100:a00:1"), "192.168.1.1 by 48 bits");
    cr_expect_not(holds("10.0.0.0/8", "64:ff9b:1:a01:2:300::"), "1.2.3.0 by 56 bits");
    cr_expect_not(holds("10.0.0.0/8", "64:ff9b:1::"));
    cr_expect(holds("64:ff9b::/96", "64:ff9b::a01:203"), "as it is written");
    cr_expect(holds("64:ff9b:1:7::/64", "64:ff9b:1:7::a01:203"));
    cr_expect_not(holds("64:ff9b:1:7::/64", "64:ff9b:1:8::a01:203"));
    cr_expect(holds("2002:a01::/32", "2002:a01:203::1"));
    cr_expect_not(holds("10.0.0.0/8", "2001:0:c000:201::f5fe:fdfc"), "by way of 192.0.2.1");
    cr_expect_not(holds("10.0.0.0/8", "2001:0:a01:7::a01:203"), "as it is written it is another");
    cr_expect(holds("2001::/32", "2001:0:c000:201::f5fe:fdfc"));
    cr_expect(holds("2001::/16", "2001:1::a01:203"), "no Teredo");
    cr_expect(holds("::1", "::1"));
    cr_expect_not(holds("0.0.0.0/0", "::1"));
}

/* T69: where a cloud gives credentials to whoever asks, however it is written. */
Test(blocks, t69_no_broker_is_there)
{
    static const char *const never[] = {"169.254.169.254",
                                        "169.254.0.1",
                                        "0.0.0.0",
                                        "0.1.2.3",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "240.0.0.1",
                                        "100.100.100.200",
                                        "192.0.0.192",
                                        "::",
                                        "fe80::1",
                                        "febf::1",
                                        "ff02::1",
                                        "fd00:ec2::254",
                                        "fd20:ce::254",
                                        "::ffff:169.254.169.254",
                                        "64:ff9b::a9fe:a9fe",
                                        "2002:a9fe:a9fe::",
                                        "2002:a9fe:a9fe:7:8::9",
                                        "::169.254.169.254",
                                        "::224.0.0.1",
                                        "64:ff9b:1:a9fe:a9:fe00::",
                                        "64:ff9b:1:12a9:fe:a9fe::",
                                        "64:ff9b:1:1234:a9:fea9:fe00:0",
                                        "64:ff9b:1:2:3:4:a9fe:a9fe",
                                        "64:ff9b:1::a9fe:a9fe",
                                        "64:ff9b:1::",
                                        "::ffff:0:169.254.169.254",
                                        "2001:0:c000:201::5601:5601",
                                        "2001:0:a9fe:a9fe::3fff:fdfe",
                                        NULL};
    static const char *const may_be[] = {"10.0.0.1",
                                         "192.168.1.1",
                                         "169.253.255.255",
                                         "169.255.0.0",
                                         "223.255.255.255",
                                         "100.100.100.201",
                                         "2001:db8::1",
                                         "fd00:ec2::253",
                                         "fec0::1",
                                         "64:ff9b::a00:1",
                                         "64:ff9b:1::a00:1",
                                         "64:ff9b:1:a01:2:300::",
                                         "2002:a00:1::1",
                                         "::10.0.0.1",
                                         "2003:a9fe:a9fe::1",
                                         "64:ff9b:2::a9fe:a9fe",
                                         "::ffff:0:10.0.0.1",
                                         "2001:0:c000:201::f5fe:fdfc",
                                         "2001:1:a9fe:a9fe::1",
                                         NULL};
    for (size_t i = 0; never[i] != NULL; i++) {
        struct in6_addr address = at(never[i]);
        cr_expect(block_is_no_broker(&address), "%s", never[i]);
        cr_expect_not(block_is_loopback(&address), "%s", never[i]);
    }
    for (size_t i = 0; may_be[i] != NULL; i++) {
        struct in6_addr address = at(may_be[i]);
        cr_expect_not(block_is_no_broker(&address), "%s", may_be[i]);
        cr_expect_not(block_is_loopback(&address), "%s", may_be[i]);
    }
    static const char *const ours[] = {"127.0.0.1",
                                       "127.255.0.1",
                                       "::1",
                                       "::ffff:127.0.0.1",
                                       "64:ff9b::7f00:1",
                                       "::127.0.0.1",
                                       "2002:7f00:1::",
                                       "2002:7fff:1::1",
                                       "64:ff9b:1::7f00:1",
                                       "::ffff:0:127.0.0.1",
                                       "2001:0:c000:201::80ff:fffe",
                                       NULL};
    for (size_t i = 0; ours[i] != NULL; i++) {
        struct in6_addr address = at(ours[i]);
        cr_expect(block_is_loopback(&address), "%s", ours[i]);
        cr_expect_not(block_is_no_broker(&address), "%s", ours[i]);
    }
}
