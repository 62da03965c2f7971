/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/standing.h"

#include <string.h>

#include "auth/credentials.h"
#include "auth/scram.h"
#include "auth/tokens.h"
#include "conf/config.h"
#include "proxy/session/login.h"
#include "proxy/session/session.h"

static bool find(const struct credentials *users, const struct session *s,
                 struct credentials_match *match_r)
{
    struct view name = view_from_string(s->principal);
    enum scram_hash hash;
    if (users == NULL || s->mechanism == NULL) {
        return false;
    }
    if (scram_hash_of(s->mechanism, &hash)) {
        return credentials_find_scram(users, hash, name, match_r) && match_r->record_real;
    }
    return strcmp(s->mechanism, "PLAIN") == 0 && credentials_find_plain(users, name, match_r) &&
           match_r->record_real;
}

static bool user_holds(const struct session *s, const struct shared *now)
{
    struct credentials_match before = {0}, after = {0};
    if (strcmp(session_shared(s)->users_hash, now->users_hash) == 0) {
        return true;
    }
    if (s->principal == NULL) {
        return false;
    }
    bool judged_here = find(session_shared(s)->users, s, &before);
    /* A password that was set again has another record even where it is the same. */
    bool holds = !judged_here || (find(now->users, s, &after) &&
                                  scram_record_equal(&before.record, &after.record));
    scram_record_wipe(&before.record);
    scram_record_wipe(&after.record);
    return holds;
}

/* Whose entry now names his mechanisms, and not this one, would not be let in by it again. */
static bool mechanism_holds(const struct session *s, const struct shared *now)
{
    return now->users == NULL || s->principal == NULL || s->mechanism == NULL ||
           credentials_permit(now->users, view_from_string(s->principal), s->mechanism);
}

/* The token itself is not kept; the rules and the key by which it was believed are known. */
static bool token_holds(const struct session *s, const struct shared *now)
{
    const struct tokens *then = session_shared(s)->tokens;
    if (now->tokens == NULL || then == NULL) {
        return false;
    }
    return tokens_equal(then, now->tokens) ||
           (s->principal != NULL && tokens_stand(now->tokens, s->token_stamp));
}

/* Nobody comes in by it any more. */
static bool is_offered(const struct session *s, const struct conf_listener *conf)
{
    return s->mechanism == NULL ||
           login_offered(conf, view_from_string(s->mechanism)) != NULL;
}

static bool listener_holds(const struct session *s, const struct shared *now,
                           const struct conf_listener *conf, bool tickets)
{
    const struct shared *then = session_shared(s);
    size_t before = (size_t)(s->gate->conf - then->config->listeners);
    size_t after = (size_t)(conf - now->config->listeners);
    const char *was = tickets ? then->ticket_hashes[before] : then->peer_hashes[before];
    return strcmp(was, tickets ? now->ticket_hashes[after] : now->peer_hashes[after]) == 0;
}

bool standing_holds(const struct session *s, const struct shared *now,
                    const struct conf_listener *conf)
{
    if (s->passthrough) { /* whether its password still holds only the broker knows */
        return is_offered(s, conf) && mechanism_holds(s, now);
    }
    if (s->mechanism != NULL && strcmp(s->mechanism, "SSL") == 0) {
        return listener_holds(s, now, conf, false);
    }
    if (!is_offered(s, conf)) {
        return false;
    }
    if (s->mechanism != NULL && strcmp(s->mechanism, "GSSAPI") == 0) {
        return mechanism_holds(s, now) && listener_holds(s, now, conf, true);
    }
    if (s->mechanism != NULL && strcmp(s->mechanism, "OAUTHBEARER") == 0) {
        return mechanism_holds(s, now) && token_holds(s, now);
    }
    return user_holds(s, now) && mechanism_holds(s, now);
}
