/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_server.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credentials.h"
#include "protocol/bytes.h"

enum { REQUEST_MAX = 65536 };

struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    struct fake_server *server;
    struct fake_broker broker;
    struct writer response;
    size_t length;
    uint8_t request[REQUEST_MAX];
};

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    fake_broker_free(&connection->broker);
    writer_free(&connection->response);
    free(connection);
}

static void close_connection(struct connection *connection)
{
    if (!uv_is_closing((uv_handle_t *)&connection->tcp)) {
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)connection->request + connection->length,
                          (unsigned)(REQUEST_MAX - connection->length));
}

static void on_written(uv_write_t *write, int status)
{
    if (status != 0) {
        close_connection(write->data);
    }
}

static bool is_kafka(const struct connection *connection)
{
    return bytes_load_u32(connection->request) <= REQUEST_MAX - 4;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    (void)buffer;
    if (n < 0) {
        close_connection(connection);
        return;
    }
    connection->length += (size_t)n;
    if (connection->server->silent || connection->length < 4) {
        return;
    }
    if (!is_kafka(connection)) {
        close_connection(connection); /* as a broker does to a TLS ClientHello */
        return;
    }
    if (connection->length < bytes_load_u32(connection->request) + 4) {
        return;
    }
    writer_reset(&connection->response);
    fake_broker_answer(&connection->broker, view_of(connection->request, connection->length),
                       &connection->response);
    connection->length = 0;
    uv_buf_t out =
        uv_buf_init((char *)connection->response.at, (unsigned)connection->response.length);
    connection->write.data = connection;
    cr_assert_eq(uv_write(&connection->write, stream, &out, 1, on_written), 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct fake_server *server = listener->data;
    struct connection *connection = calloc(1, sizeof *connection);
    cr_assert(status == 0 && connection != NULL);
    server->accepted++;
    connection->server = server;
    connection->broker = server->broker;
    connection->broker.exchange = NULL;
    connection->broker.users = credentials_ref(server->broker.users);
    writer_init_growing(&connection->response, 1 << 20);
    uv_tcp_init(listener->loop, &connection->tcp);
    connection->tcp.data = connection;
    cr_assert_eq(uv_accept(listener, (uv_stream_t *)&connection->tcp), 0);
    if (server->slams) {
        close_connection(connection);
        return;
    }
    cr_assert_eq(uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read), 0);
}

void fake_server_start(struct fake_server *server, uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in address;
    int length = sizeof address;
    uv_tcp_init(loop, &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", port, &address);
    cr_assert_eq(uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0), 0);
    cr_assert_eq(uv_listen((uv_stream_t *)&server->listener, 64, on_connection), 0);
    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length);
    server->port = ntohs(address.sin_port);
    server->open = true;
}

void fake_server_stop(struct fake_server *server)
{
    if (server->open) {
        uv_close((uv_handle_t *)&server->listener, NULL);
        server->open = false;
    }
}
