/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/forms.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf/arena.h"
#include "conf/config.h"
#include "conf/credential.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

enum { NAME_BYTES_MAX = 64, HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63, PRINCIPAL_BYTES_MAX = 255,
       USER_BYTES_MAX = 32 };
enum { PORT_MAX = 65535 };

const char *form_name(const char *text)
{
    size_t length = strlen(text);
    if (length > NAME_BYTES_MAX || strspn(text, LETTERS DIGITS "._-") != length) {
        return "is not a name (use at most 64 letters, digits, '.', '_' and '-')";
    }
    return NULL;
}

const char *form_path(const char *text)
{
    size_t length = strlen(text);
    if (length >= PATH_MAX) {
        return "is too long for a path";
    }
    if (credential_named(text)) {
        return credential_problem(text);
    }
    return length > 0 && text[length - 1] == '/' ? "names a folder (name a file)" : NULL;
}

const char *form_folder(const char *text)
{
    return strlen(text) >= PATH_MAX - 256 ? "is too long for a path" : NULL;
}

const char *form_socket(const char *text)
{
    if (text[0] != '\0' && text[0] != '/') {
        return "is not an absolute path (begin with /)";
    }
    return strlen(text) < sizeof((struct sockaddr_un *)NULL)->sun_path
               ? form_path(text)
               : "is too long for a socket (107 bytes at most)";
}

const char *form_ip(const char *text)
{
    unsigned char parsed[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, text, parsed) == 1 || inet_pton(AF_INET6, text, parsed) == 1) {
        return NULL;
    }
    return "is not an IP address (write for example 127.0.0.1, ::1, 0.0.0.0 or ::)";
}

static int digits_value(const char *text, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool form_network_range(const char *text, uint32_t *first_r, uint32_t *count_r)
{
    char ip[INET_ADDRSTRLEN];
    struct in_addr parsed;
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : sizeof ip;
    if (length >= sizeof ip) {
        return false;
    }
    memcpy(ip, text, length);
    ip[length] = '\0';
    size_t digits = strspn(slash + 1, DIGITS);
    if (inet_pton(AF_INET, ip, &parsed) != 1 || digits < 1 || digits > 2 || slash[1] == '0' ||
        slash[1 + digits] != '\0') {
        return false;
    }
    int bits = digits_value(slash + 1, digits);
    if (bits < 8 || bits > 30) {
        return false;
    }
    *first_r = ntohl(parsed.s_addr);
    *count_r = UINT32_C(1) << (32 - bits);
    return *first_r >> 24 == 127 && *first_r % *count_r == 0;
}

const char *form_network(const char *text)
{
    uint32_t first = 0, count = 0;
    return form_network_range(text, &first, &count)
               ? NULL
               : "is not an IPv4 loopback network (write for example 127.80.0.0/16)";
}

static bool labels_good(const char *text)
{
    size_t label = 0;
    for (const char *at = text; *at != '\0'; at++) {
        label = *at == '.' ? 0 : label + 1;
        bool empty = *at == '.' && (at == text || at[1] == '.' || at[1] == '\0');
        if (empty || label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

const char *form_host(const char *text)
{
    static const char problem[] = "is not a host (write a DNS name or an IP address, no port)";
    size_t length = strlen(text);
    if (form_ip(text) == NULL) {
        return NULL;
    }
    if (length == 0 || length > HOST_BYTES_MAX || strspn(text, LETTERS DIGITS "._-") != length) {
        return problem;
    }
    bool number = strspn(text, DIGITS ".") == length;
    return number || !labels_good(text) ? problem : NULL;
}

const char *form_host_glob(const char *text)
{
    size_t length = strlen(text);
    if (length > HOST_BYTES_MAX || strspn(text, LETTERS DIGITS "._-:*?") != length) {
        return "is not a host pattern (a DNS name or IP address with '*' and '?', no port)";
    }
    return NULL;
}

const char *form_reachable(const char *text)
{
    if (form_is_wildcard(text)) {
        return "is a wildcard address (write a host that clients can reach)";
    }
    return form_host(text);
}

const char *form_principal(const char *text)
{
    return strlen(text) > PRINCIPAL_BYTES_MAX ? "is longer than 255 bytes (no principal can match)"
                                              : NULL;
}

const char *form_user(const char *text)
{
    size_t length = strlen(text);
    bool good = length <= USER_BYTES_MAX && strspn(text, LETTERS DIGITS "._-") == length &&
                text[0] != '-' && strspn(text, DIGITS) != length;
    return good ? NULL : "is no user or group name (a name, not a number)";
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

const char *form_date(const char *text)
{
    static const char problem[] = "is not a date (write YYYY-MM-DD)";
    if (strlen(text) != 10 || strspn(text, DIGITS) != 4 || text[4] != '-' ||
        strspn(text + 5, DIGITS) != 2 || text[7] != '-' || strspn(text + 8, DIGITS) != 2) {
        return problem;
    }
    int month = digits_value(text + 5, 2);
    int day = digits_value(text + 8, 2);
    if (month < 1 || month > 12) {
        return problem;
    }
    return day < 1 || day > days_in(digits_value(text, 4), month) ? problem : NULL;
}

/* 0 = no port: digits without sign or leading zero, from 1 to 65535. */
static int port_value(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || text[0] == '0' || strspn(text, DIGITS) != length) {
        return 0;
    }
    int port = digits_value(text, length);
    return port <= PORT_MAX ? port : 0;
}

const char *form_address(const char *text, struct arena *arena, struct conf_address *address_r)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return "has no port (write HOST:PORT)";
    }
    const char *host = text;
    const char *end = colon;
    bool bracketed = text[0] == '[';
    if (bracketed) {
        if (colon == text || colon[-1] != ']') {
            return "is not [IPV6]:PORT (write for example [::1]:9092)";
        }
        host++;
        end--;
    } else if (strchr(text, ':') != colon) {
        return "has an IPv6 address without brackets (write for example [::1]:9092)";
    }
    address_r->host = arena_text(arena, host, (size_t)(end - host));
    address_r->port = port_value(colon + 1);
    if (address_r->port == 0) {
        return "has no valid port (write HOST:PORT with a port from 1 to 65535)";
    }
    if (bracketed != (strchr(address_r->host, ':') != NULL)) {
        return "has brackets around something that is no IPv6 address";
    }
    return form_reachable(address_r->host);
}

/* Reads digits up to INT32_MAX; false = none or too large. */
static bool node_id(const char **at, int32_t *id_r)
{
    size_t count = strspn(*at, DIGITS);
    if (count == 0 || count > 10) {
        return false;
    }
    long long value = strtoll(*at, NULL, 10);
    *at += count;
    *id_r = (int32_t)(value <= INT32_MAX ? value : 0);
    return value <= INT32_MAX;
}

static const char *range_read(const char **at, struct conf_range *range_r)
{
    static const char problem[] = "is not a list of node ids (write for example 1-3,7)";
    *at += strspn(*at, " ");
    if (!node_id(at, &range_r->first)) {
        return problem;
    }
    range_r->last = range_r->first;
    if (**at == '-') {
        (*at)++;
        if (!node_id(at, &range_r->last)) {
            return problem;
        }
    }
    *at += strspn(*at, " ");
    if (**at != ',' && **at != '\0') {
        return problem;
    }
    return range_r->last < range_r->first ? "has a range that runs backwards (write 1-3, not 3-1)"
                                          : NULL;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct conf_range *a = left;
    const struct conf_range *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

const char *form_ranges(const char *text, struct arena *arena, const struct conf_range **ranges_r,
                        size_t *count_r)
{
    size_t count = 1;
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == ',';
    }
    struct conf_range *ranges = arena_array(arena, count, sizeof *ranges);
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        const char *problem = range_read(&at, &ranges[i]);
        if (problem != NULL) {
            return problem;
        }
        at += *at == ',';
    }
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 1; i < count; i++) {
        if (ranges[i].first <= ranges[i - 1].last) {
            return "names a node id twice (keep one)";
        }
    }
    *ranges_r = ranges;
    *count_r = count;
    return NULL;
}

bool form_ip_bytes(const char *text, struct in6_addr *ip_r)
{
    if (inet_pton(AF_INET6, text, ip_r) == 1) {
        return true;
    }
    memset(ip_r, 0, sizeof *ip_r);
    ip_r->s6_addr[10] = 0xff;
    ip_r->s6_addr[11] = 0xff;
    return inet_pton(AF_INET, text, &ip_r->s6_addr[12]) == 1;
}

bool form_is_loopback(const char *ip)
{
    struct in6_addr bytes;
    if (!form_ip_bytes(ip, &bytes)) {
        return false;
    }
    bool four = IN6_IS_ADDR_V4MAPPED(&bytes) && bytes.s6_addr[12] == 127;
    return four || IN6_IS_ADDR_LOOPBACK(&bytes);
}

static bool wildcard_four(const struct in6_addr *bytes)
{
    return IN6_IS_ADDR_V4MAPPED(bytes) && memcmp(&bytes->s6_addr[12], "\0\0\0\0", 4) == 0;
}

bool form_is_wildcard(const char *ip)
{
    struct in6_addr bytes;
    return form_ip_bytes(ip, &bytes) &&
           (wildcard_four(&bytes) || IN6_IS_ADDR_UNSPECIFIED(&bytes));
}

/* An IPv6 wildcard socket takes IPv4 connections too. */
static bool covers(const struct in6_addr *wide, const struct in6_addr *narrow)
{
    return IN6_IS_ADDR_UNSPECIFIED(wide) || (wildcard_four(wide) && IN6_IS_ADDR_V4MAPPED(narrow));
}

bool form_meets_network(const char *ip, uint32_t first, uint32_t count)
{
    struct in6_addr bytes;
    uint32_t four = 0;
    if (!form_ip_bytes(ip, &bytes)) {
        return false;
    }
    memcpy(&four, &bytes.s6_addr[12], sizeof four);
    four = ntohl(four);
    bool inside = IN6_IS_ADDR_V4MAPPED(&bytes) && four >= first && four - first < count;
    return inside || wildcard_four(&bytes) || IN6_IS_ADDR_UNSPECIFIED(&bytes);
}

bool form_binds_collide(const char *ip, const char *other)
{
    struct in6_addr a;
    struct in6_addr b;
    if (!form_ip_bytes(ip, &a) || !form_ip_bytes(other, &b)) {
        return false;
    }
    return IN6_ARE_ADDR_EQUAL(&a, &b) || covers(&a, &b) || covers(&b, &a);
}
