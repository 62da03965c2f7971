/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/scram_message.h"

#include <string.h>
#include <strings.h>

#include "auth/scram.h"

/* One attribute "name=value" of a comma-separated message. */
struct attribute {
    struct view name;
    struct view value;
};

static bool letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Cuts the next attribute, and the comma before it unless it is the first, off *left. False: that
 * is not what stands there; values are never empty and never hold a NUL. */
static bool attribute_next(struct view *left, bool first, struct attribute *out)
{
    struct view rest = *left;
    if (!first) {
        if (rest.length == 0 || rest.at[0] != ',') {
            return false;
        }
        rest = view_from(rest, 1);
    }
    size_t name = 0;
    while (name < rest.length && letter(rest.at[name])) {
        name++;
    }
    if (name == 0 || name == rest.length || rest.at[name] != '=') {
        return false;
    }
    size_t end = name + 1;
    while (end < rest.length && rest.at[end] != ',' && rest.at[end] != 0) {
        end++;
    }
    if (end == name + 1 || (end < rest.length && rest.at[end] == 0)) {
        return false;
    }
    out->name = view_of(rest.at, name);
    out->value = view_of(rest.at + name + 1, end - name - 1);
    *left = view_from(rest, end);
    return true;
}

/* The next attribute, which must have this name: NONE, or MANDATORY_EXTENSION for m=, else
 * MALFORMED. */
static enum auth_reason attribute_named(struct view *left, bool first, const char *name,
                                        struct view *value_r)
{
    struct attribute it;
    if (!attribute_next(left, first, &it)) {
        return AUTH_REASON_MALFORMED;
    }
    if (view_is(it.name, "m")) {
        return AUTH_REASON_MANDATORY_EXTENSION;
    }
    *value_r = it.value;
    return view_is(it.name, name) ? AUTH_REASON_NONE : AUTH_REASON_MALFORMED;
}

static enum auth_reason extension_judge(const struct attribute *it)
{
    if (view_is(it->name, "m")) {
        return AUTH_REASON_MANDATORY_EXTENSION;
    }
    bool taken = it->name.length == 1 && strchr("aceinprsv", it->name.at[0]) != NULL;
    return taken ? AUTH_REASON_MALFORMED : AUTH_REASON_NONE;
}

/* Extensions up to the end of the message. tokenauth_r may be NULL. */
static enum auth_reason extensions_skip(struct view left, bool *tokenauth_r)
{
    while (left.length > 0) {
        struct attribute it;
        if (!attribute_next(&left, false, &it)) {
            return AUTH_REASON_MALFORMED;
        }
        enum auth_reason reason = extension_judge(&it);
        if (reason != AUTH_REASON_NONE) {
            return reason;
        }
        /* Boolean.parseBoolean, which Kafka uses here, ignores letter case. */
        if (tokenauth_r != NULL && view_is(it.name, "tokenauth") && it.value.length == 4 &&
            strncasecmp((const char *)it.value.at, "true", 4) == 0) {
            *tokenauth_r = true;
        }
    }
    return AUTH_REASON_NONE;
}

static enum auth_reason nonce_next(struct view *left, bool first, struct view *nonce_r)
{
    enum auth_reason reason = attribute_named(left, first, "r", nonce_r);
    if (reason != AUTH_REASON_NONE) {
        return reason;
    }
    for (size_t i = 0; i < nonce_r->length; i++) {
        if (nonce_r->at[i] < 0x21 || nonce_r->at[i] > 0x7e) {
            return AUTH_REASON_MALFORMED;
        }
    }
    return AUTH_REASON_NONE;
}

/* "n," [ "a=" saslname ] ","; cuts it off *left. */
static enum auth_reason gs2_header_next(struct view *left, struct scram_client_first *out)
{
    struct view whole = *left;
    if (whole.length < 2) {
        return AUTH_REASON_MALFORMED;
    }
    if ((whole.at[0] == 'y' && whole.at[1] == ',') || (whole.at[0] == 'p' && whole.at[1] == '=')) {
        return AUTH_REASON_CHANNEL_BINDING;
    }
    if (whole.at[0] != 'n' || whole.at[1] != ',') {
        return AUTH_REASON_MALFORMED;
    }
    struct view rest = view_from(whole, 2);
    if (rest.length > 0 && rest.at[0] != ',') {
        struct attribute it;
        if (!attribute_next(&rest, true, &it) || !view_is(it.name, "a")) {
            return AUTH_REASON_MALFORMED;
        }
        out->authzid = it.value;
    }
    if (rest.length == 0 || rest.at[0] != ',') {
        return AUTH_REASON_MALFORMED;
    }
    out->bare = view_from(rest, 1);
    out->gs2_header = view_of(whole.at, whole.length - out->bare.length);
    *left = out->bare;
    return AUTH_REASON_NONE;
}

enum auth_reason scram_client_first_parse(struct view message, struct scram_client_first *out)
{
    *out = (struct scram_client_first){0};
    enum auth_reason reason = gs2_header_next(&message, out);
    if (reason == AUTH_REASON_NONE) {
        reason = attribute_named(&message, true, "n", &out->user);
    }
    if (reason == AUTH_REASON_NONE) {
        reason = nonce_next(&message, false, &out->nonce);
    }
    if (reason == AUTH_REASON_NONE) {
        reason = extensions_skip(message, &out->tokenauth);
    }
    return reason;
}

enum auth_reason scram_server_first_parse(struct view message, struct scram_server_first *out)
{
    *out = (struct scram_server_first){0};
    if (message.length >= 2 && memcmp(message.at, "e=", 2) == 0) {
        return AUTH_REASON_SERVER_ERROR;
    }
    enum auth_reason reason = nonce_next(&message, true, &out->nonce);
    if (reason == AUTH_REASON_NONE) {
        reason = attribute_named(&message, false, "s", &out->salt);
    }
    struct view iterations = {0};
    if (reason == AUTH_REASON_NONE) {
        reason = attribute_named(&message, false, "i", &iterations);
    }
    if (reason == AUTH_REASON_NONE && !scram_number_read(iterations, &out->iterations)) {
        reason = AUTH_REASON_MALFORMED;
    }
    return reason == AUTH_REASON_NONE ? extensions_skip(message, NULL) : reason;
}

/* Extensions, then the proof, which is the last attribute. */
static enum auth_reason proof_find(struct view left, struct scram_client_final *out)
{
    while (left.length > 0) {
        const uint8_t *before = left.at;
        struct attribute it;
        if (!attribute_next(&left, false, &it)) {
            return AUTH_REASON_MALFORMED;
        }
        if (view_is(it.name, "p")) {
            out->proof = it.value;
            out->without_proof.length = (size_t)(before - out->without_proof.at);
            return left.length == 0 ? AUTH_REASON_NONE : AUTH_REASON_MALFORMED;
        }
        enum auth_reason reason = extension_judge(&it);
        if (reason != AUTH_REASON_NONE) {
            return reason;
        }
    }
    return AUTH_REASON_MALFORMED;
}

enum auth_reason scram_client_final_parse(struct view message, struct scram_client_final *out)
{
    *out = (struct scram_client_final){.without_proof = message};
    enum auth_reason reason = attribute_named(&message, true, "c", &out->channel_binding);
    if (reason == AUTH_REASON_NONE) {
        reason = nonce_next(&message, false, &out->nonce);
    }
    return reason == AUTH_REASON_NONE ? proof_find(message, out) : reason;
}

enum auth_reason scram_server_final_parse(struct view message, struct scram_server_final *out)
{
    *out = (struct scram_server_final){0};
    struct attribute it;
    if (!attribute_next(&message, true, &it)) {
        return AUTH_REASON_MALFORMED;
    }
    if (view_is(it.name, "e")) {
        out->error = it.value;
        return AUTH_REASON_NONE;
    }
    if (!view_is(it.name, "v")) {
        return AUTH_REASON_MALFORMED;
    }
    out->signature = it.value;
    return extensions_skip(message, NULL);
}

bool scram_name_read(struct view escaped, char *name_r, size_t capacity, size_t *length_r)
{
    size_t length = 0;
    for (size_t i = 0; i < escaped.length; i++) {
        char c = (char)escaped.at[i];
        if (c == '=') {
            bool comma = escaped.length - i >= 3 && memcmp(escaped.at + i, "=2C", 3) == 0;
            bool equals = escaped.length - i >= 3 && memcmp(escaped.at + i, "=3D", 3) == 0;
            if (!comma && !equals) {
                return false;
            }
            c = comma ? ',' : '=';
            i += 2;
        }
        if (c == 0 || length == capacity) {
            return false;
        }
        name_r[length++] = c;
    }
    *length_r = length;
    return length > 0;
}

void scram_name_write(struct writer *out, struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (name.at[i] == ',') {
            writer_put(out, view_from_string("=2C"));
        } else if (name.at[i] == '=') {
            writer_put(out, view_from_string("=3D"));
        } else {
            writer_put(out, view_of(name.at + i, 1));
        }
    }
}
