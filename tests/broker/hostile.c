/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/hostile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hostile {
    struct fault fault;
    int verifier_letters; /* of a base64 verifier of the right size */
    int step;
};

struct hostile *hostile_new(const struct fault *fault, const char *mechanism)
{
    struct hostile *hostile = calloc(1, sizeof *hostile);
    if (hostile == NULL) {
        abort();
    }
    hostile->fault = *fault;
    hostile->verifier_letters = strcmp(mechanism, "SCRAM-SHA-256") == 0 ? 43 : 86;
    return hostile;
}

static void put_text(struct writer *w, const char *text)
{
    writer_put(w, view_from_string(text));
}

static void put_many(struct writer *w, char letter, int64_t count)
{
    uint8_t *at = count > 0 ? writer_reserve(w, (size_t)count) : NULL;
    if (at != NULL) {
        memset(at, letter, (size_t)count);
    }
}

/* The client's nonce: what follows "r=" in its first message. */
static struct view client_nonce(struct view token)
{
    const uint8_t *at = memmem(token.at, token.length, "r=", 2);
    if (at == NULL) {
        return view_from_string("");
    }
    return view_from(token, (size_t)(at - token.at) + 2);
}

static void put_challenge(const struct hostile *hostile, struct view token, struct writer *w)
{
    const struct fault *fault = &hostile->fault;
    char iterations[32];
    int64_t count = fault->action == FAULT_SASL_ITERATIONS ? fault->number : 4096;
    snprintf(iterations, sizeof iterations, "%" PRId64, count);
    put_text(w, fault->action == FAULT_SASL_EXTENSION ? "m=unheard-of,r=" : "r=");
    if (fault->action == FAULT_SASL_FOREIGN_NONCE) {
        put_text(w, "somebody-elses-nonce");
    } else {
        writer_put(w, client_nonce(token));
    }
    put_many(w, 'x', fault->action == FAULT_SASL_NONCE ? fault->number : 24);
    put_text(w, ",s=c2FsdHNhbHRzYWx0c2FsdA==,i=");
    put_text(w, iterations);
}

static enum hostile_status hostile_first(struct hostile *hostile, struct view token,
                                         struct writer *reply)
{
    switch (hostile->fault.action) {
    case FAULT_SASL_ERROR:
        return HOSTILE_ERROR;
    case FAULT_SASL_GARBAGE:
        put_many(reply, (char)0xff, hostile->fault.number);
        return HOSTILE_CONTINUE;
    default:
        put_challenge(hostile, token, reply);
        return HOSTILE_CONTINUE;
    }
}

enum hostile_status hostile_step(struct hostile *hostile, struct view token, struct writer *reply)
{
    if (hostile->step++ == 0) {
        return hostile_first(hostile, token, reply);
    }
    if (hostile->fault.action != FAULT_SASL_NO_VERIFIER) {
        put_text(reply, "v=");
        put_many(reply, 'A', hostile->verifier_letters);
        put_text(reply, hostile->verifier_letters == 43 ? "=" : "==");
    }
    return HOSTILE_DONE;
}

void hostile_free(struct hostile **hostile)
{
    free(*hostile);
    *hostile = NULL;
}
