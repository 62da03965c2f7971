/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks: runs of IP addresses, as ADDRESS or ADDRESS/BITS: which addresses a cluster's brokers may be dialled at.
 *
 * An IPv6 address that carries an IPv4 one is that IPv4 address: mapped, IPv4-compatible (::a.b.c.d), IPv4-translated
 * (::ffff:0:a.b.c.d), 6to4 (2002::/16), NAT64 (64:ff9b::/96; 64:ff9b:1::/48, RFC 8215), Teredo (2001::/32: the client's
 * and its server's). Only a block within such a prefix means what is written. How long the prefix of a translator in
 * 64:ff9b:1::/48 is, and so where the IPv4 address lies, is not known, and Teredo carries two: a block holds such an
 * address when it does by every way to read it; that no broker is there, and that it is loopback, goes by any.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/** A form (forms.h): NULL, or what is wrong with text. Bits behind the prefix must be zero. */
const char *form_block(const char *text) __attribute__((warn_unused_result));

/** text is a good block. IPv4 addresses are given as mapped ones (::ffff:a.b.c.d). */
bool block_holds(const char *text, const struct in6_addr *address)
    __attribute__((warn_unused_result));

/**
 * No broker is there, but something that answers whoever is on this machine: link-local addresses, where clouds keep
 * credentials for whoever asks (169.254.169.254), the other addresses where they do, no address, multicast, reserved.
 */
bool block_is_no_broker(const struct in6_addr *address) __attribute__((warn_unused_result));

/** This machine itself. */
bool block_is_loopback(const struct in6_addr *address) __attribute__((warn_unused_result));
