/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "proxy/cluster/identity.h"
#include "proxy/cluster/probe_private.h"
#include "proxy/io/io.h"

static void finish(struct probe *probe, enum probe_outcome outcome)
{
    struct probe_result *result = &probe->result;
    result->outcome = outcome;
    result->generation = probe->generation;
    result->address = probe->address < probe->addresses.count ? probe->address : 0;
    result->text = probe->text;
    result->tls_version = probe->tls_version;
    result->tls_cipher = probe->tls_cipher;
    result->extended_master_secret = probe->extended_master_secret;
    result->elapsed_ms = uv_now(probe->io->loop) - probe->started_ms;
    probe->finished = true;
    probe->done(probe->context, result);
    probe_release_if_idle(probe);
}

/* True when the next address of the name is tried instead. */
static bool tries_next_address(struct probe *probe)
{
    if (probe->end != PROBE_END_CONNECT || probe->address + 1 >= probe->addresses.count) {
        return false;
    }
    probe->address++;
    probe_attempt_next(probe, probe->attempt);
    return true;
}

static bool is_candidate(const struct probe *probe, const struct conf_generation *generation)
{
    return generation_match(generation, &probe->subject) != GENERATION_NO;
}

/* Tries TLS with the trust of the next candidate that speaks it. False: none is left. */
static bool looks_over_tls(struct probe *probe)
{
    for (size_t i = probe->next_trust; i < probe->conf->generations_count; i++) {
        const struct conf_generation *generation = &probe->conf->generations[i];
        if (is_candidate(probe, generation) && config_protocol_has_tls(generation->protocol)) {
            probe->next_trust = i + 1;
            probe->generation = generation;
            probe_attempt_next(probe, PROBE_ATTEMPT_LOOK_TLS);
            return true;
        }
    }
    return false;
}

static void begin_look(struct probe *probe)
{
    probe->relook = false;
    probe->next_trust = 0;
    probe->generation = NULL;
    for (size_t i = 0; i < probe->conf->generations_count; i++) {
        const struct conf_generation *generation = &probe->conf->generations[i];
        if (is_candidate(probe, generation) && !config_protocol_has_tls(generation->protocol)) {
            probe_attempt_next(probe, PROBE_ATTEMPT_LOOK_PLAIN);
            return;
        }
    }
    if (!looks_over_tls(probe)) {
        probe_say(probe, "no generation of the configuration matches it");
        finish(probe, PROBE_UNDECIDED);
    }
}

static void begin_known(struct probe *probe, const struct conf_generation *generation)
{
    probe->generation = generation;
    probe_attempt_next(probe, identity_serves(probe->identity, generation)
                                  ? PROBE_ATTEMPT_LOGIN
                                  : PROBE_ATTEMPT_VERSIONS);
}

/* From the timer, so that nothing ever ends inside probe_start. */
void probe_begin(struct probe *probe)
{
    probe->begun = true;
    if (probe->generation != NULL) {
        begin_known(probe, probe->generation);
    } else {
        begin_look(probe);
    }
}

/* What was seen, from the login of a look that got answers. */
static void take_look(struct probe *probe)
{
    struct generation_look *look = &probe->result.look;
    probe->result.looked = true;
    look->tls = probe->attempt == PROBE_ATTEMPT_LOOK_TLS;
    look->certificate_wanted = probe->end == PROBE_END_REJECTED;
    look->sasl = broker_login_offers_sasl(probe->login);
    look->mechanism_count = 0;
    look->mechanisms = probe->mechanisms;
    const char *names[SASL_MECHANISMS_MAX];
    size_t count = broker_login_offers(probe->login, names);
    for (size_t i = 0; i < count; i++) {
        char *name = probe->mechanism_names[i];
        snprintf(name, PROBE_MECHANISM_SIZE, "%s", names[i]);
        probe->mechanisms[look->mechanism_count++] = name;
    }
}

static void conclude_look(struct probe *probe)
{
    bool seen = probe->end == PROBE_END_OK || probe->end == PROBE_END_REJECTED;
    if (probe->end == PROBE_END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
        return;
    }
    if (!seen && looks_over_tls(probe)) {
        return;
    }
    if (!seen) {
        probe->generation = NULL;
        finish(probe, PROBE_FAILED);
        return;
    }
    take_look(probe);
    const struct conf_generation *tried = probe->generation;
    const struct conf_generation *found = NULL;
    if (tried != NULL && generation_fits(tried, &probe->result.look)) {
        found = tried;
    } else {
        found = generation_by_look(probe->conf, &probe->subject, &probe->result.look);
    }
    if (found == NULL) {
        probe->generation = NULL;
        probe_say(probe, "no generation fits what it speaks (%s%s)",
                  probe->result.look.sasl ? "SASL_" : "",
                  probe->result.look.tls ? "SSL" : "PLAINTEXT");
        finish(probe, PROBE_UNDECIDED);
        return;
    }
    begin_known(probe, found);
}

/* The broker does not speak as its generation does. */
static bool is_mismatch(const struct probe *probe)
{
    switch (probe->end) {
    case PROBE_END_REJECTED:
        /* A SASL listener wants no certificate; it is an SSL one by now. */
        return config_protocol_has_sasl(probe->generation->protocol);
    case PROBE_END_NOT_TLS:
    case PROBE_END_UNTRUSTED:
    case PROBE_END_BROKEN:
    case PROBE_END_TIMEOUT:
        return true;
    case PROBE_END_LOGIN:
        switch (broker_login_reason(probe->login)) {
        case BROKER_LOGIN_NOT_SASL:
        case BROKER_LOGIN_NO_MECHANISM:
        case BROKER_LOGIN_MALFORMED:
        case BROKER_LOGIN_TOO_LARGE:
        case BROKER_LOGIN_CLOSED:
        case BROKER_LOGIN_REJECTED:
            return true;
        case BROKER_LOGIN_NO_REASON:
        case BROKER_LOGIN_DENIED:
        case BROKER_LOGIN_IMPOSTOR:
        case BROKER_LOGIN_ERROR_CODE:
        case BROKER_LOGIN_UNSUPPORTED:
        case BROKER_LOGIN_INTERNAL:
        case BROKER_LOGIN_KEYS_DIFFER:
        case BROKER_LOGIN_NO_TICKET:
            return false;
        }
        return false;
    case PROBE_END_NONE:
    case PROBE_END_OK:
    case PROBE_END_CONNECT:
    case PROBE_END_LOCAL:
    case PROBE_END_INTERNAL:
        return false;
    }
    return false;
}

static void note_login_failure(struct probe *probe)
{
    struct probe_result *result = &probe->result;
    result->reason = broker_login_reason(probe->login);
    result->error_code = broker_login_error_code(probe->login);
    const char *words = broker_login_text(probe->login);
    if (words[0] != '\0') {
        probe_say(probe, "%s", words);
    }
}

static void take_answers(struct probe *probe)
{
    struct probe_result *result = &probe->result;
    const struct api_versions *versions = broker_login_versions(probe->login);
    if (versions != NULL) {
        probe->versions = *versions;
        result->versions = &probe->versions;
    }
    result->lifetime_ms = broker_login_lifetime_ms(probe->login);
    result->metadata = broker_login_metadata(probe->login, &result->metadata_version);
    if (broker_login_take_keys(probe->login, &probe->identity->keys)) {
        probe->identity->keys_known = true;
    }
}

static void conclude_login(struct probe *probe)
{
    if (probe->end == PROBE_END_OK) {
        take_answers(probe);
        probe->text[0] = '\0';
        finish(probe, PROBE_OK);
        return;
    }
    if (probe->end == PROBE_END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
        return;
    }
    if (probe->end == PROBE_END_LOGIN) {
        note_login_failure(probe);
    }
    if (probe->relook && is_mismatch(probe)) {
        begin_look(probe);
        return;
    }
    bool sasl = config_protocol_has_sasl(probe->generation->protocol);
    if (sasl && probe->end == PROBE_END_LOGIN) {
        probe->result.login_failed = true;
        probe_attempt_next(probe, PROBE_ATTEMPT_VERSIONS);
        return;
    }
    probe->result.login_failed = probe->end == PROBE_END_REJECTED;
    finish(probe, probe->end == PROBE_END_REJECTED ? PROBE_REFUSED : PROBE_FAILED);
}

static void conclude_versions(struct probe *probe)
{
    if (probe->end == PROBE_END_OK) {
        take_answers(probe);
        if (!probe->result.login_failed) {
            probe->text[0] = '\0';
        }
        finish(probe, PROBE_VERSIONS_ONLY);
        return;
    }
    if (probe->end == PROBE_END_CONNECT) {
        finish(probe, PROBE_UNREACHABLE);
    } else if (probe->relook && is_mismatch(probe)) {
        begin_look(probe);
    } else {
        finish(probe, probe->result.login_failed ? PROBE_REFUSED : PROBE_FAILED);
    }
}

void probe_conclude(struct probe *probe)
{
    if (tries_next_address(probe)) {
        return;
    }
    if (probe->end == PROBE_END_LOCAL) {
        finish(probe, PROBE_LOCAL);
        return;
    }
    switch (probe->attempt) {
    case PROBE_ATTEMPT_LOGIN:
        conclude_login(probe);
        break;
    case PROBE_ATTEMPT_VERSIONS:
        conclude_versions(probe);
        break;
    case PROBE_ATTEMPT_LOOK_PLAIN:
    case PROBE_ATTEMPT_LOOK_TLS:
        conclude_look(probe);
        break;
    }
}

/* ---- the surface ---- */

static void copy_subject(struct probe *probe, const struct generation_subject *subject)
{
    snprintf(probe->host, sizeof probe->host, "%s", subject->host);
    probe->subject = *subject;
    probe->subject.host = probe->host;
    if (subject->rack != NULL) {
        snprintf(probe->rack, sizeof probe->rack, "%s", subject->rack);
        probe->subject.rack = probe->rack;
    }
}

struct probe *probe_start(const struct probe_params *params, probe_fn done, void *context)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        return NULL;
    }
    probe->io = params->io;
    if (!probe_attempt_init(probe)) {
        free(probe);
        return NULL;
    }
    probe->done = done;
    probe->context = context;
    probe->conf = params->conf;
    probe->identity = params->identity;
    probe->addresses = params->addresses;
    probe->relook = params->relook;
    probe->timeout_ms = params->timeout_ms;
    probe->frame_max = params->frame_max;
    writer_put(&probe->topics, params->topics);
    probe->started_ms = uv_now(params->io->loop);
    probe->result.text = "";
    copy_subject(probe, &params->subject);
    probe->generation = params->generation;
    probe_attempt_soon(probe);
    return probe;
}

void probe_cancel(struct probe **probe_p, void (*gone)(void *context), void *context)
{
    struct probe *probe = *probe_p;
    *probe_p = NULL;
    probe->done = NULL;
    probe->gone = gone;
    probe->context = context;
    probe_attempt_abort(probe);
    probe_release_if_idle(probe);
}

const char *probe_outcome_name(enum probe_outcome outcome)
{
    static const char *const names[] = {"ok",          "versions_only", "refused",
                                        "unreachable", "failed",        "undecided",
                                        "local"};
    size_t at = (size_t)outcome;
    return at < sizeof names / sizeof names[0] ? names[at] : "unknown";
}
