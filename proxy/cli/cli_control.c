/* SPDX-License-Identifier: Apache-2.0 */
/* reload, drain, status, certs: the verbs that speak with a running Setu. */
#include "proxy/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/config.h"
#include "proxy/cli/cli_out.h"
#include "proxy/control.h"
#include "proxy/ops/channel.h"

enum { SOCKET, NO_WAIT };
enum { ANSWER_MS = 60000, LOOK_MS = 200 };

const struct cli_option cli_control_options[] = {
    [SOCKET] = {"socket", "PATH", "the control socket, in place of the configuration's"},
    {NULL, NULL, NULL},
};

const struct cli_option cli_drain_options[] = {
    [SOCKET] = {"socket", "PATH", "the control socket, in place of the configuration's"},
    [NO_WAIT] = {"no-wait", NULL, "begin it, and leave"},
    {NULL, NULL, NULL},
};

/*
 * A configuration that cannot be loaded does not say where the socket is: then it is looked for where it lies when
 * nothing is configured.
 */
static bool find_socket(const struct cli_call *call, struct conf_errors *errors,
                        char path_r[CONTROL_PATH_SIZE])
{
    if (call->values[SOCKET] != NULL) {
        return control_path(call->values[SOCKET], call->config_file, path_r);
    }
    struct config *config = config_load(call->config_file, errors);
    bool found = control_path(config != NULL ? config->control.socket : "", call->config_file,
                              path_r);
    config_unref(&config);
    return found;
}

/* A connection, or -1 and *status_r is the exit status: what is wrong has been said. */
static int dial(const struct cli_call *call, int *status_r)
{
    char path[CONTROL_PATH_SIZE] = "";
    struct conf_errors errors;
    conf_errors_init(&errors);
    bool found = find_socket(call, &errors, path);
    int fd = found ? channel_dial(path) : -1;
    if (fd < 0 && conf_errors_failed(&errors)) {
        cli_problems(&errors);
        *status_r = CLI_BAD_CONFIG;
    } else if (fd < 0) {
        cli_error_at(call->verb, path, 0, "%s: %s", path,
                     errno == ENOENT || errno == ECONNREFUSED
                         ? "nobody is there (is it running, with this configuration file?)"
                     : errno == EPERM || errno == EACCES
                         ? "it is somebody else's (run this as that user, or as root)"
                         : strerror(errno));
        *status_r = CLI_NEGATIVE;
    }
    conf_errors_deinit(&errors);
    return fd;
}

static json_t *ask(int fd, enum handover_kind kind)
{
    enum handover_kind got = kind;
    if (!channel_send_to(fd, kind, view_of(NULL, 0), NULL, 0)) {
        return NULL;
    }
    char *text = channel_receive_from(fd, ANSWER_MS, &got);
    json_t *answer =
        text != NULL && got == HANDOVER_REPLY ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return answer;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static int no_answer(const struct cli_call *call, int fd)
{
    close(fd);
    cli_error(call->verb, "the running process does not answer");
    return CLI_NEGATIVE;
}

/* ---- status ---- */

static void print_status(const json_t *status)
{
    char safe[CLI_OUT_TEXT_SIZE];
    printf("pid %lld, version %s, %s\n", number_of(status, "pid"), text_of(status, "version"),
           text_of(status, "state"));
    printf("%lld connection(s), %lld worker(s), %lld reload(s), %lld refused\n",
           number_of(status, "sessions"), number_of(status, "workers"),
           number_of(status, "reloads"), number_of(status, "reloads_refused"));
    printf("configuration %s, %s\nmapping %s\n", cli_out_safe(text_of(status, "config"), safe),
           text_of(status, "config_hash"), text_of(status, "mapping_hash"));
}

int cli_status(const struct cli_call *call)
{
    int status = CLI_OK;
    int fd = dial(call, &status);
    if (fd < 0) {
        return status;
    }
    json_t *answer = ask(fd, HANDOVER_STATUS);
    if (answer == NULL) {
        return no_answer(call, fd);
    }
    close(fd);
    if (call->json) {
        cli_out_json(answer);
    } else {
        print_status(answer);
        json_decref(answer);
    }
    return CLI_OK;
}

/* ---- certs ---- */

static const char *day_of(long long seconds, char out[32])
{
    const time_t when = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M", &tm) == 0) {
        out[0] = '\0';
    }
    return out;
}

static void print_certificate(const json_t *row)
{
    char name[CLI_OUT_TEXT_SIZE], file[CLI_OUT_TEXT_SIZE], subject[CLI_OUT_TEXT_SIZE], day[32];
    printf("%-8s %s UTC %6lld days  %-15s %s%s%s%s%s\n", text_of(row, "alert"),
           day_of(number_of(row, "not_after"), day), number_of(row, "seconds_left") / 86400,
           text_of(row, "role"), cli_out_safe(text_of(row, "name"), name),
           name[0] != '\0' ? " " : "", cli_out_safe(text_of(row, "file"), file),
           text_of(row, "subject")[0] != '\0' ? " " : "",
           cli_out_safe(text_of(row, "subject"), subject));
}

/* CLI_NEGATIVE: one has ended. */
static int judge_certificates(const json_t *answer, bool print)
{
    size_t i = 0;
    json_t *row = NULL;
    int status = CLI_OK;
    json_array_foreach(json_object_get(answer, "certificates"), i, row)
    {
        status = strcmp(text_of(row, "alert"), "ended") == 0 ? CLI_NEGATIVE : status;
        if (print) {
            print_certificate(row);
        }
    }
    if (print && number_of(answer, "more") > 0) {
        printf("and %lld more that end later\n", number_of(answer, "more"));
    }
    if (print && json_is_true(json_object_get(answer, "pending"))) {
        printf("files have changed and are not in use yet; the log says why\n");
    }
    return status;
}

int cli_certs(const struct cli_call *call)
{
    int status = CLI_OK;
    int fd = dial(call, &status);
    if (fd < 0) {
        return status;
    }
    json_t *answer = ask(fd, HANDOVER_CERTIFICATES);
    if (answer == NULL) {
        return no_answer(call, fd);
    }
    close(fd);
    status = judge_certificates(answer, !call->json);
    if (call->json) {
        cli_out_json(answer);
    } else {
        json_decref(answer);
    }
    return status;
}

/* ---- reload ---- */

static void print_list(const json_t *answer, const char *key, const char *before)
{
    size_t i = 0;
    json_t *item = NULL;
    char safe[CLI_OUT_TEXT_SIZE];
    json_array_foreach(json_object_get(answer, key), i, item)
    {
        printf("%s%s\n", before, cli_out_safe(json_string_value(item), safe));
    }
}

static void print_problems(const json_t *answer)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(answer, "problems"), i, row)
    {
        char file[CLI_OUT_TEXT_SIZE], text[CLI_OUT_TEXT_SIZE];
        fprintf(stderr, "%s:%lld:%lld: %s%s\n", cli_out_safe(text_of(row, "file"), file),
                number_of(row, "line"), number_of(row, "column"),
                strcmp(text_of(row, "severity"), "warning") == 0 ? "warning: " : "",
                cli_out_safe(text_of(row, "text"), text));
    }
}

int cli_reload(const struct cli_call *call)
{
    int status = CLI_OK;
    int fd = dial(call, &status);
    if (fd < 0) {
        return status;
    }
    json_t *answer = ask(fd, HANDOVER_RELOAD);
    if (answer == NULL) {
        return no_answer(call, fd);
    }
    close(fd);
    bool good = json_is_true(json_object_get(answer, "ok"));
    bool bad_config = json_array_size(json_object_get(answer, "problems")) > 0;
    if (!call->json) {
        print_problems(answer);
    }
    if (!good) {
        cli_error(call->verb, "nothing has changed: %s", text_of(answer, "why"));
    }
    if (call->json) {
        cli_out_json(answer);
        return good ? CLI_OK : bad_config ? CLI_BAD_CONFIG : CLI_NEGATIVE;
    }
    if (good) {
        print_list(answer, "changes", "");
        print_list(answer, "needs_takeover", "takes effect with the next process only: ");
        printf("reloaded\n");
    }
    json_decref(answer);
    return good ? CLI_OK : bad_config ? CLI_BAD_CONFIG : CLI_NEGATIVE;
}

/* ---- drain ---- */

/* Until the process has gone: it closes the connection as the last thing it does. */
static void watch(int fd, bool told)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    long long before = -1;
    for (json_t *answer = ask(fd, HANDOVER_STATUS); answer != NULL;
         answer = ask(fd, HANDOVER_STATUS)) {
        long long now = number_of(answer, "sessions");
        json_decref(answer);
        if (told && now != before) {
            printf("%lld connection(s) left\n", now);
            fflush(stdout);
        }
        before = now;
        nanosleep(&pause, NULL);
    }
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int cli_drain(const struct cli_call *call)
{
    int status = CLI_OK;
    int fd = dial(call, &status);
    if (fd < 0) {
        return status;
    }
    long long began_ms = now_ms();
    json_t *answer = ask(fd, HANDOVER_DRAIN);
    if (answer == NULL) {
        return no_answer(call, fd);
    }
    bool wait = call->values[NO_WAIT] == NULL;
    if (wait) {
        watch(fd, !call->json);
    }
    close(fd);
    json_object_set_new(answer, "drained", json_boolean(wait));
    json_object_set_new(answer, "duration_ms", json_integer((json_int_t)(now_ms() - began_ms)));
    if (call->json) {
        cli_out_json(answer);
        return CLI_OK;
    }
    if (wait) {
        printf("drained in %lld ms\n", now_ms() - began_ms);
    } else {
        printf("draining\n");
    }
    json_decref(answer);
    return CLI_OK;
}
