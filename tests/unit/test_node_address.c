/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/node_address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "conf/config.h"
#include "proxy/io/leg.h"

static const char *const both[] = {"127.0.0.1", "::1"};
static const struct conf_listener by_port = {.bind = both,
                                             .bind_count = 2,
                                             .port = 9092,
                                             .advertised_host = "localhost",
                                             .node_base_port = 9100,
                                             .node_ports_max = 1000};
static const struct conf_listener by_alias = {.bind = both,
                                              .bind_count = 1,
                                              .port = 9092,
                                              .advertised_host = "127.0.0.1",
                                              .node_ports_max = 1000,
                                              .node_network_first = 0x7f500000, /* 127.80.0.0 */
                                              .node_network_count = 65536};

static const char *text_of(const struct sockaddr_storage *address)
{
    static char text[64];
    leg_address_text((const struct sockaddr *)address, text, sizeof text);
    return text;
}

Test(node_address, a_port_for_each_node_at_every_address)
{
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    cr_assert_eq(node_address_sockets(&by_port, NODE_ADDRESS_BOOTSTRAP, at), 2);
    cr_assert_str_eq(text_of(&at[0]), "127.0.0.1:9092");
    cr_assert_str_eq(text_of(&at[1]), "[::1]:9092");
    cr_assert_eq(node_address_sockets(&by_port, 7, at), 2);
    cr_assert_str_eq(text_of(&at[0]), "127.0.0.1:9107");
    cr_assert_str_eq(text_of(&at[1]), "[::1]:9107");
    cr_assert_eq(node_address_sockets(&by_port, 999, at), 2);
    cr_assert_eq(node_address_sockets(&by_port, 1000, at), 0);
    cr_assert_eq(node_address_sockets(&by_port, INT32_MAX, at), 0);
    cr_assert_eq(node_address_sockets(&by_port, -2, at), 0);
}

Test(node_address, an_address_for_each_node_at_one_port)
{
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    cr_assert_eq(node_address_sockets(&by_alias, NODE_ADDRESS_BOOTSTRAP, at), 1);
    cr_assert_str_eq(text_of(&at[0]), "127.0.0.1:9092");
    cr_assert_eq(node_address_sockets(&by_alias, 1, at), 1);
    cr_assert_str_eq(text_of(&at[0]), "127.80.0.1:9092");
    cr_assert_eq(node_address_sockets(&by_alias, 1001, at), 1);
    cr_assert_str_eq(text_of(&at[0]), "127.80.3.233:9092");
    cr_assert_eq(node_address_sockets(&by_alias, 65535, at), 1);
    cr_assert_str_eq(text_of(&at[0]), "127.80.255.255:9092");
    cr_assert_eq(node_address_sockets(&by_alias, 65536, at), 0);
}

Test(node_address, what_a_client_is_told)
{
    char text[NODE_ADDRESS_TEXT_SIZE];
    struct view host;
    uint16_t port = 0;
    cr_assert(node_address_shown(&by_port, 7, text, &host, &port));
    cr_assert(view_is(host, "localhost"));
    cr_assert_eq(port, 9107);
    cr_assert(node_address_shown(&by_alias, 1001, text, &host, &port));
    cr_assert(view_is(host, "127.80.3.233"));
    cr_assert_eq(port, 9092);
    cr_assert_not(node_address_shown(&by_port, 1000, text, &host, &port));
    cr_assert_not(node_address_shown(&by_alias, 65536, text, &host, &port));
    cr_assert_not(node_address_shown(&by_alias, NODE_ADDRESS_BOOTSTRAP, text, &host, &port));
}

Test(node_address, every_socket_leads_back_to_its_node)
{
    static const struct conf_listener *const all[] = {&by_port, &by_alias};
    static const int32_t ids[] = {NODE_ADDRESS_BOOTSTRAP, 0, 1, 7, 255, 256, 999};
    struct sockaddr_storage at[NODE_ADDRESS_SOCKETS_MAX];
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
            size_t count = node_address_sockets(all[l], ids[i], at);
            cr_assert_gt(count, 0);
            for (size_t n = 0; n < count; n++) {
                int32_t found = -2;
                cr_assert(node_address_find(all[l], (const struct sockaddr *)&at[n], &found));
                cr_assert_eq(found, ids[i]);
                cr_assert(node_address_equal(&at[n], &at[n]));
                cr_assert_not(n > 0 && node_address_equal(&at[0], &at[n]));
            }
        }
    }
}

static bool finds(const struct conf_listener *conf, const char *ip, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int32_t node_id = -2;
    cr_assert_eq(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    return node_address_find(conf, (const struct sockaddr *)&in, &node_id);
}

Test(node_address, sockets_of_others)
{
    struct sockaddr_storage unix_socket = {.ss_family = AF_UNIX};
    int32_t node_id = -2;
    cr_assert_not(finds(&by_port, "127.0.0.2", 9092));
    cr_assert_not(finds(&by_port, "127.0.0.1", 9099));
    cr_assert_not(finds(&by_port, "127.0.0.1", 10100));
    cr_assert_not(finds(&by_alias, "127.0.0.1", 9107));
    cr_assert_not(finds(&by_alias, "127.79.255.255", 9092));
    cr_assert_not(finds(&by_alias, "127.81.0.0", 9092));
    cr_assert_not(finds(&by_alias, "127.80.0.1", 9093));
    cr_assert_not(
        node_address_find(&by_port, (const struct sockaddr *)&unix_socket, &node_id));
}
