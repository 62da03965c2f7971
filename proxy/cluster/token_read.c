/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/token_read.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/io/slow_work.h"

struct token_read {
    struct slow_work work;
    char *path;
    struct secret token;
    enum secret_file_status status;
    token_read_fn done; /* NULL: cancelled */
    void *context;
};

static void token_read_free(struct token_read *read)
{
    secret_wipe(&read->token);
    free(read->path);
    free(read);
}

static void on_run(struct slow_work *work)
{
    struct token_read *read = work->owner;
    read->status = secret_read_password(&read->token, read->path);
}

static void on_done(struct slow_work *work)
{
    struct token_read *read = work->owner;
    if (read->done != NULL) {
        read->done(read->context, read->status, &read->token);
    }
    token_read_free(read);
}

struct token_read *token_read_start(struct io *io, const char *path, token_read_fn done,
                                    void *context)
{
    struct token_read *read = calloc(1, sizeof *read);
    if (read == NULL) {
        return NULL;
    }
    read->work.owner = read;
    read->done = done;
    read->context = context;
    read->path = strdup(path);
    if (read->path == NULL || !slow_work_begin(io, &read->work, SLOW_FOR_BROKER, on_run, on_done)) {
        token_read_free(read);
        return NULL;
    }
    return read;
}

void token_read_cancel(struct token_read **read_p)
{
    struct token_read *read = *read_p;
    *read_p = NULL;
    if (read == NULL) {
        return;
    }
    read->done = NULL;
    if (slow_work_cancel(&read->work)) {
        token_read_free(read);
    }
}
