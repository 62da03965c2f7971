/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/oauth_message.h"

#include <string.h>
#include <strings.h>

static const char separator[] = {OAUTH_SEPARATOR, '\0'};

/* Cuts up to the next `end`, which must be there. */
static bool take_until(struct view *left, char end, struct view *part_r)
{
    const uint8_t *at = left->length > 0 ? memchr(left->at, end, left->length) : NULL;
    if (at == NULL) {
        return false;
    }
    *part_r = view_of(left->at, (size_t)(at - left->at));
    *left = view_from(*left, part_r->length + 1);
    return true;
}

static bool begins(struct view text, const char *with)
{
    size_t length = strlen(with);
    return text.length >= length && memcmp(text.at, with, length) == 0;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_name(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (!is_letter(name.at[i])) {
            return false;
        }
    }
    return name.length > 0;
}

static bool is_value(struct view value)
{
    for (size_t i = 0; i < value.length; i++) {
        uint8_t c = value.at[i];
        if ((c < 0x20 || c > 0x7e) && c != '\t' && c != '\r' && c != '\n') {
            return false;
        }
    }
    return value.length > 0;
}

static bool is_token(struct view token)
{
    for (size_t i = 0; i < token.length; i++) {
        uint8_t c = token.at[i];
        if (!is_letter(c) && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return token.length > 0;
}

static bool authorization_read(struct view value, struct view *token_r)
{
    struct view scheme;
    if (!take_until(&value, ' ', &scheme) || scheme.length != 6 ||
        strncasecmp((const char *)scheme.at, "Bearer", 6) != 0) {
        return false;
    }
    while (begins(value, " ")) {
        value = view_from(value, 1);
    }
    *token_r = value;
    return is_token(value);
}

/* n,[a=authzid], */
static enum auth_reason header_read(struct view *left, struct view *authzid_r)
{
    struct view flag, authzid;
    if (!take_until(left, ',', &flag) || !take_until(left, ',', &authzid)) {
        return AUTH_REASON_MALFORMED;
    }
    if (view_is(flag, "y") || begins(flag, "p=")) {
        return AUTH_REASON_CHANNEL_BINDING;
    }
    *authzid_r = view_from(authzid, 2);
    bool good = authzid.length == 0 || (begins(authzid, "a=") && authzid_r->length > 0);
    return view_is(flag, "n") && good ? AUTH_REASON_NONE : AUTH_REASON_MALFORMED;
}

static bool is_new(const struct view *names, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++) {
        if (view_equal(names[i], name)) {
            return false;
        }
    }
    return true;
}

static bool pairs_read(struct view left, struct oauth_first *out)
{
    struct view names[OAUTH_EXTENSIONS_MAX], pair, name;
    while (take_until(&left, OAUTH_SEPARATOR, &pair)) {
        if (pair.length == 0) {
            return left.length == 0 && out->token.length > 0;
        }
        if (!take_until(&pair, '=', &name) || !is_name(name) || !is_value(pair)) {
            return false;
        }
        if (view_is(name, "auth")) {
            if (out->token.length > 0 || !authorization_read(pair, &out->token)) {
                return false;
            }
        } else if (out->extensions == OAUTH_EXTENSIONS_MAX ||
                   !is_new(names, out->extensions, name)) {
            return false;
        } else {
            names[out->extensions++] = name;
        }
    }
    return false;
}

enum auth_reason oauth_first_parse(struct view message, struct oauth_first *out)
{
    *out = (struct oauth_first){0};
    enum auth_reason reason = header_read(&message, &out->authzid);
    if (reason != AUTH_REASON_NONE) {
        return reason;
    }
    if (!begins(message, separator)) {
        return AUTH_REASON_MALFORMED;
    }
    return pairs_read(view_from(message, 1), out) ? AUTH_REASON_NONE : AUTH_REASON_MALFORMED;
}
