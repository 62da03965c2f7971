/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/broker/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/api.h"

static const struct {
    const char *name;
    const char *meaning;
} actions[FAULT_ACTION_COUNT] = {
    [FAULT_NONE] = {"none", "behave, but count"},
    [FAULT_CLOSE] = {"close", "no answer, end of stream"},
    [FAULT_CUT] = {"cut", "the first N bytes of the answer, then end of stream"},
    [FAULT_RST] = {"rst", "the first N bytes of the answer, then a reset"},
    [FAULT_STALL] = {"stall", "the first N bytes of the answer, then silence; nothing is read"},
    [FAULT_DELAY] = {"delay", "the answer comes N ms late"},
    [FAULT_WRONG_ID] = {"wrong-id", "another correlation id"},
    [FAULT_TWICE] = {"twice", "the answer comes twice"},
    [FAULT_EXTRA] = {"extra", "an answer nobody asked for comes behind it"},
    [FAULT_SWAP] = {"swap", "the answer comes behind the next one"},
    [FAULT_SIZE] = {"size", "the frame declares N bytes"},
    [FAULT_GARBAGE] = {"garbage", "all bytes behind the correlation id are 0xa5"},
    [FAULT_CORRUPT] = {"corrupt", "the answer's byte N from its end is flipped"},
    [FAULT_SASL_NONCE] = {"sasl-nonce", "SCRAM: a nonce of N bytes"},
    [FAULT_SASL_FOREIGN_NONCE] = {"sasl-foreign-nonce", "SCRAM: not the client's nonce"},
    [FAULT_SASL_ITERATIONS] = {"sasl-iterations", "SCRAM: i=N"},
    [FAULT_SASL_EXTENSION] = {"sasl-extension", "SCRAM: a mandatory extension"},
    [FAULT_SASL_NO_VERIFIER] = {"sasl-no-verifier", "SCRAM: any proof will do, no v="},
    [FAULT_SASL_WRONG_VERIFIER] = {"sasl-wrong-verifier", "SCRAM: any proof will do, wrong v="},
    [FAULT_SASL_ERROR] = {"sasl-error", "error 58 with a null message"},
    [FAULT_SASL_GARBAGE] = {"sasl-garbage", "SCRAM: N bytes of 0xff"},
};

const char *fault_action_name(enum fault_action action)
{
    return actions[action].name;
}

const char *faults_help(void)
{
    static char text[2048];
    size_t length = 0;
    for (size_t i = 0; i < FAULT_ACTION_COUNT; i++) {
        int n = snprintf(text + length, sizeof text - length, "%29s%-20s%s\n", "", actions[i].name,
                         actions[i].meaning);
        length += n > 0 ? (size_t)n : 0;
    }
    return text;
}

static bool api_parse(const char *name, int16_t *api_r)
{
    if (strcmp(name, "accept") == 0) {
        *api_r = FAULT_ACCEPT;
        return true;
    }
    if (strcmp(name, "refusal") == 0) {
        *api_r = FAULT_REFUSAL;
        return true;
    }
    for (size_t i = 0; i < api_count(); i++) {
        if (strcmp(api_at(i)->name, name) == 0) {
            *api_r = api_at(i)->key;
            return true;
        }
    }
    return false;
}

static bool number_parse(const char *text, int64_t *number_r)
{
    char *end = NULL;
    errno = 0;
    *number_r = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool action_parse(struct fault *fault, char *text)
{
    char *colon = strchr(text, ':');
    if (colon != NULL) {
        *colon = '\0';
        if (!number_parse(colon + 1, &fault->number)) {
            return false;
        }
    }
    for (int i = 0; i < FAULT_ACTION_COUNT; i++) {
        if (strcmp(actions[i].name, text) == 0) {
            fault->action = (enum fault_action)i;
            return true;
        }
    }
    return false;
}

static bool part_parse(struct fault *fault, char *part)
{
    int64_t number = 0;
    if (strncmp(part, "api=", 4) == 0) {
        return api_parse(part + 4, &fault->api);
    }
    if (strncmp(part, "principal=", 10) == 0) {
        int n = snprintf(fault->principal, sizeof fault->principal, "%s", part + 10);
        return n > 0 && (size_t)n < sizeof fault->principal;
    }
    if (strncmp(part, "nth=", 4) == 0) {
        bool good = number_parse(part + 4, &number) && number > 0 && number <= UINT32_MAX;
        fault->nth = good ? (uint32_t)number : 0;
        return good;
    }
    return strncmp(part, "do=", 3) == 0 && action_parse(fault, part + 3);
}

bool faults_add(struct faults *faults, const char *spec, char *error_r, size_t error_size)
{
    char text[256];
    char *rest = NULL;
    struct fault fault = {.api = FAULT_ANY_API, .action = FAULT_ACTION_COUNT};
    int length = snprintf(text, sizeof text, "%s", spec);
    if (faults->count == FAULTS_MAX || length < 0 || (size_t)length >= sizeof text) {
        snprintf(error_r, error_size, "too many, or too long");
        return false;
    }
    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        if (!part_parse(&fault, part)) {
            snprintf(error_r, error_size, "cannot read \"%.80s\"", part);
            return false;
        }
    }
    if (fault.action == FAULT_ACTION_COUNT) {
        snprintf(error_r, error_size, "do=ACTION is missing");
        return false;
    }
    faults->items[faults->count++] = fault;
    return true;
}

void faults_clear(struct faults *faults)
{
    faults->count = 0;
}

const struct fault *faults_take(struct faults *faults, int16_t api, const char *principal,
                                bool sasl)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct fault *fault = &faults->items[i];
        bool fits = (fault->action >= FAULT_SASL_NONCE) == sasl &&
                    (fault->api == api || (fault->api == FAULT_ANY_API && api >= 0)) &&
                    (fault->principal[0] == '\0' || strcmp(fault->principal, principal) == 0);
        if (fits && (++fault->seen == fault->nth || fault->nth == 0)) {
            return fault->action == FAULT_NONE ? NULL : fault;
        }
    }
    return NULL;
}
