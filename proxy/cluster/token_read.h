/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_read: the file of a token, read by a thread of the kind that waits for others, for whoever still wants it when
 * it is there. Whoever has given up leaves it behind: it holds nothing of theirs.
 */
#pragma once

#include "auth/secret.h"

struct io;
struct token_read;

/* From the loop. What the callee does not take out of *token is wiped after it. */
typedef void (*token_read_fn)(void *context, enum secret_file_status status, struct secret *token);

/* `done` is called once, never from inside, and the read is gone after it. path is copied. NULL: no memory, or no
 * thread to be had. */
struct token_read *token_read_start(struct io *io, const char *path, token_read_fn done,
                                    void *context) __attribute__((warn_unused_result));

/* done is not called any more. *read = NULL; NULL is fine. A thread that reads is not waited for, but the loop lives as
 * long as it does. */
void token_read_cancel(struct token_read **read);
