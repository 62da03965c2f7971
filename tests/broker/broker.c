/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "conf/errors.h"
#include "tests/broker/conn.h"
#include "tests/broker/tls.h"

enum { DOOR_BACKLOG = 1024 };

/* ---- the cluster ---- */

static int node_compare(const void *a, const void *b)
{
    int32_t left = ((const struct node *)a)->id;
    int32_t right = ((const struct node *)b)->id;
    return left < right ? -1 : left > right;
}

static void broker_list_nodes(struct broker *broker)
{
    const struct options *options = broker->options;
    broker->nodes[broker->node_count++].id = options->node_id;
    for (size_t i = 0; i < options->node_count; i++) {
        if (options->nodes[i].id != options->node_id) {
            broker->nodes[broker->node_count++] =
                (struct node){options->nodes[i].id, options->nodes[i].address};
        }
    }
    qsort(broker->nodes, broker->node_count, sizeof broker->nodes[0], node_compare);
}

const struct node *broker_leader(const struct broker *broker, int32_t partition)
{
    return &broker->nodes[(size_t)partition % broker->node_count];
}

const struct address *broker_address(const struct door *door, const struct node *node)
{
    return node->id == door->broker->options->node_id ? &door->address : &node->address;
}

static bool broker_make_topics(struct broker *broker)
{
    const struct options *options = broker->options;
    for (size_t i = 0; i < options->topic_count; i++) {
        const struct topic_option *option = &options->topics[i];
        int32_t partitions =
            option->source_bytes > 0 ? (int32_t)broker->node_count : option->partitions;
        struct topic *topic = store_add(&broker->store, view_from_string(option->name), partitions);
        if (topic == NULL) {
            fprintf(stderr, "setu-test-broker: %s is no topic name (1 to 249 bytes)\n",
                    option->name);
            return false;
        }
        topic->source_bytes = option->source_bytes;
    }
    for (int32_t i = 0; i < options->many_topics; i++) {
        char name[32];
        snprintf(name, sizeof name, "t-%05d", i);
        if (store_add(&broker->store, view_from_string(name), 3) == NULL) {
            fprintf(stderr, "setu-test-broker: too many topics\n");
            return false;
        }
    }
    return true;
}

void broker_wake(struct broker *broker)
{
    struct conn *next = NULL;
    for (struct conn *conn = broker->conns; conn != NULL; conn = next) {
        next = conn->next;
        conn_wake(conn);
    }
}

/* ---- listening ---- */

static void door_on_poll(uv_poll_t *poll, int status, int events)
{
    struct door *door = poll->data;
    struct broker *broker = door->broker;
    (void)events;
    int fd = status == 0 ? accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    const struct fault *fault = faults_take(&broker->options->faults, FAULT_ACCEPT, "", false);
    SSL_CTX *ctx = door->kind == DOOR_SSL        ? broker->tls_mutual
                   : door->kind == DOOR_SASL_SSL ? broker->tls_plain
                                                 : NULL;
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (ssl != NULL) {
        SSL_set_fd(ssl, fd);
        SSL_set_accept_state(ssl);
    }
    conn_start(door, fd, ssl);
    if (fault != NULL && fault->action == FAULT_RST) {
        conn_reset(broker->conns);
    } else if (fault != NULL && fault->action == FAULT_STALL) {
        uv_poll_stop(&broker->conns->poll);
    } else if (fault != NULL) {
        conn_close(broker->conns);
    }
}

static int door_socket(const struct address *address)
{
    char service[16];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int one = 1;
    snprintf(service, sizeof service, "%d", address->port);
    if (getaddrinfo(address->host, service, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
         bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, DOOR_BACKLOG) != 0)) {
        int kept = errno;
        close(fd);
        errno = kept;
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

static bool door_open(struct broker *broker, const struct door_option *option)
{
    struct door *door = &broker->doors[broker->door_count];
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    *door = (struct door){.broker = broker, .kind = option->kind, .address = option->address};
    door->fd = door_socket(&option->address);
    if (door->fd < 0 || getsockname(door->fd, (struct sockaddr *)&bound, &size) != 0) {
        fprintf(stderr, "setu-test-broker: cannot listen on %s:%d: %s\n", option->address.host,
                option->address.port, strerror(errno));
        return false;
    }
    /* The port stands at the same place in both families. */
    door->address.port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    if (uv_poll_init(&broker->loop, &door->poll, door->fd) != 0) {
        return false;
    }
    door->poll.data = door;
    uv_poll_start(&door->poll, UV_READABLE, door_on_poll);
    broker->door_count++;
    printf("listening kind=%s host=%s port=%d node=%d\n", options_kind_name(door->kind),
           door->address.host, door->address.port, broker->options->node_id);
    return true;
}

/* ---- commands ---- */

/* From now on whoever comes by a door with a login is asked for this one; who is there is sent away. What is stored
 * stays. */
static bool command_door(struct broker *broker, const char *name)
{
    int kind = DOOR_SASL;
    while (kind <= DOOR_SASL_SSL && strcmp(options_kind_name((enum door_kind)kind), name) != 0) {
        kind++;
    }
    if (kind > DOOR_SASL_SSL) {
        return false;
    }
    for (size_t i = 0; i < broker->door_count; i++) {
        struct door *door = &broker->doors[i];
        door->kind = door->kind == DOOR_PLAIN ? DOOR_PLAIN : (enum door_kind)kind;
    }
    struct conn *next = NULL;
    for (struct conn *conn = broker->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->door->kind != DOOR_PLAIN) {
            conn_close(conn);
        }
    }
    return true;
}

static void command_run(struct broker *broker, const char *line)
{
    char error[128];
    if (strncmp(line, "fault ", 6) == 0) {
        if (faults_add(&broker->options->faults, line + 6, error, sizeof error)) {
            printf("done %s\n", line);
        } else {
            printf("error %s: %s\n", line, error);
        }
    } else if (strcmp(line, "clear") == 0) {
        faults_clear(&broker->options->faults);
        printf("done clear\n");
    } else if (strcmp(line, "peak") == 0) {
        printf("peak settling=%zu\n", broker->settling_peak);
        broker->settling_peak = broker->settling;
        printf("done peak\n");
    } else if (strncmp(line, "door ", 5) == 0 && command_door(broker, line + 5)) {
        printf("done %s\n", line);
    } else if (strcmp(line, "quit") == 0) {
        uv_stop(&broker->loop);
    } else {
        printf("error %s: not fault, clear, door, peak or quit\n", line);
    }
}

static void command_bytes(struct broker *broker, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            broker->command[broker->command_length] = '\0';
            broker->command_length = 0;
            command_run(broker, broker->command);
        } else if (broker->command_length < sizeof broker->command - 1) {
            broker->command[broker->command_length++] = bytes[i];
        }
    }
}

static void control_on_poll(uv_poll_t *poll, int status, int events)
{
    struct broker *broker = poll->data;
    char bytes[512];
    (void)events;
    ssize_t n = status == 0 ? read(STDIN_FILENO, bytes, sizeof bytes) : 0;
    if (n <= 0) {
        uv_stop(&broker->loop); /* whoever commanded is gone */
        return;
    }
    command_bytes(broker, bytes, (size_t)n);
}

static void signal_on(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

/* ---- life ---- */

static bool broker_load_users(struct broker *broker)
{
    struct conf_errors errors;
    if (broker->options->users == NULL) {
        return true;
    }
    conf_errors_init(&errors);
    broker->users = credentials_load(broker->options->users, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_deinit(&errors);
    return broker->users != NULL;
}

static bool broker_load_tls(struct broker *broker)
{
    const struct options *options = broker->options;
    if (options->chain == NULL || options->key == NULL) {
        return true;
    }
    broker->tls_plain = tls_ctx_new(options, false);
    broker->tls_mutual = options->ca != NULL ? tls_ctx_new(options, true) : NULL;
    return broker->tls_plain != NULL && (options->ca == NULL || broker->tls_mutual != NULL);
}

static bool broker_watch(struct broker *broker)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        if (uv_signal_init(&broker->loop, &broker->signals[i]) != 0 ||
            uv_signal_start(&broker->signals[i], signal_on, numbers[i]) != 0) {
            return false;
        }
    }
    if (!broker->options->control) {
        return true;
    }
    if (uv_poll_init(&broker->loop, &broker->control, STDIN_FILENO) != 0) {
        fprintf(stderr, "setu-test-broker: --control needs a pipe on standard input\n");
        return false;
    }
    broker->controlled = true;
    broker->control.data = broker;
    return uv_poll_start(&broker->control, UV_READABLE, control_on_poll) == 0;
}

bool broker_start(struct broker *broker, struct options *options)
{
    *broker = (struct broker){.options = options};
    if (uv_loop_init(&broker->loop) != 0) {
        return false;
    }
    store_init(&broker->store, options->keep_bytes);
    broker_list_nodes(broker);
    if (!broker_make_topics(broker) || !broker_load_users(broker) || !broker_load_tls(broker) ||
        !broker_watch(broker)) {
        return false;
    }
    for (size_t i = 0; i < options->door_count; i++) {
        if (!door_open(broker, &options->doors[i])) {
            return false;
        }
    }
    printf("ready node=%d\n", options->node_id);
    return true;
}

void broker_run(struct broker *broker)
{
    uv_run(&broker->loop, UV_RUN_DEFAULT);
}

static void door_on_closed(uv_handle_t *handle)
{
    close(((struct door *)handle->data)->fd);
}

void broker_free(struct broker *broker)
{
    while (broker->conns != NULL) {
        conn_close(broker->conns);
    }
    for (size_t i = 0; i < broker->door_count; i++) {
        uv_close((uv_handle_t *)&broker->doors[i].poll, door_on_closed);
    }
    for (int i = 0; i < 2; i++) {
        if (broker->signals[i].type == UV_SIGNAL) {
            uv_close((uv_handle_t *)&broker->signals[i], NULL);
        }
    }
    if (broker->controlled) {
        uv_close((uv_handle_t *)&broker->control, NULL);
    }
    uv_run(&broker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&broker->loop);
    store_free(&broker->store);
    credentials_unref(&broker->users);
    SSL_CTX_free(broker->tls_plain);
    SSL_CTX_free(broker->tls_mutual);
}
