/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms a text value may have: names, paths, hosts, dates, addresses, node id ranges. Pure; no
 * name is resolved and no file is looked at. A form answers NULL for a good text, else what is
 * wrong with it (and how to fix it), worded to follow the name of the key: "'bind' is not an IP
 * address (…)".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct conf_address;
struct conf_range;
struct in6_addr;

typedef const char *(*form_fn)(const char *text);

const char *form_name(const char *text); /* of a certificate, cluster, generation, listener */
const char *form_path(const char *text); /* of a file, absolute or relative; or credential.h */
const char *form_key(const char *text); /* form_path, or a PKCS#11 URI (RFC 7512; pkcs11_uri.c) */
const char *form_module(const char *text); /* path of code: absolute */
const char *form_folder(const char *text); /* of a folder; absolute or relative */
const char *form_socket(const char *text); /* a path that fits a socket's address */
const char *form_host(const char *text); /* DNS name or literal address, IPv6 without brackets */
const char *form_host_glob(const char *text); /* the same with `*` and `?` */
const char *form_reachable(const char *text); /* a host that is no wildcard address */
const char *form_ip(const char *text);        /* literal IPv4 or IPv6 address */
const char *form_network(const char *text);   /* IPv4 loopback network in CIDR */
const char *form_user(const char *text);      /* of the machine; a name, not a number */
const char *form_date(const char *text);      /* YYYY-MM-DD, a day that exists */
const char *form_principal(const char *text); /* at most 255 bytes */

/* HOST:PORT or [IPV6]:PORT. On success host and port of address_r are set; the host lives in the
 * arena. */
const char *form_address(const char *text, struct arena *arena, struct conf_address *address_r);

/* `1-3,7`: node ids and ranges of them. On success the ranges are sorted and disjoint and live in
 * the arena. */
const char *form_ranges(const char *text, struct arena *arena, const struct conf_range **ranges_r,
                        size_t *count_r);

/* First address (host order) and size of what form_network accepts; false = it does not. */
bool form_network_range(const char *text, uint32_t *first_r, uint32_t *count_r);
/* Whether a socket bound to the literal address takes connections to one of the network's. */
bool form_meets_network(const char *ip, uint32_t first, uint32_t count);

/* Literal addresses; all false for a host name. An IPv4 address is given as a mapped IPv6 one. */
bool form_ip_bytes(const char *text, struct in6_addr *ip_r);
bool form_is_loopback(const char *ip);
bool form_is_wildcard(const char *ip);
/* Whether sockets bound to the two literal addresses would collide on the same port. */
bool form_binds_collide(const char *ip, const char *other);
