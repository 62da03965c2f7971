/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/plain_message.h"

#include <string.h>

/* Cuts up to the next NUL, which must be there. */
static bool field_next(struct view *left, struct view *field_r)
{
    const uint8_t *end = left->length > 0 ? memchr(left->at, 0, left->length) : NULL;
    if (end == NULL) {
        return false;
    }
    *field_r = view_of(left->at, (size_t)(end - left->at));
    *left = view_from(*left, field_r->length + 1);
    return true;
}

bool plain_message_parse(struct view token, struct plain_message *out)
{
    if (!field_next(&token, &out->authzid) || !field_next(&token, &out->user)) {
        return false;
    }
    out->password = token;
    struct view more;
    return !field_next(&token, &more) && out->password.length > 0;
}
