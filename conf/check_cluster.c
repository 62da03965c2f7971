/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "conf/blocks.h"
#include "conf/forms.h"
#include "conf/names.h"
#include "conf/snapshot.h"

static void check_bootstrap(const struct check *check, const struct conf_cluster *cluster)
{
    for (size_t i = 0; i < cluster->bootstrap_count; i++) {
        const struct conf_address *address = &cluster->bootstrap[i];
        for (size_t j = 0; j < i; j++) {
            const struct conf_address *other = &cluster->bootstrap[j];
            if (other->port == address->port && strcasecmp(other->host, address->host) == 0) {
                conf_errors_add(check->errors, address->place,
                                "broker is given again (first at line %d; keep one)",
                                other->place.line);
                break;
            }
        }
    }
}

static bool may_be_dialled(const struct conf_cluster *cluster, const struct in6_addr *address)
{
    for (size_t i = 0; i < cluster->allowed_addresses_count; i++) {
        if (block_holds(cluster->allowed_addresses[i], address)) {
            return true;
        }
    }
    return cluster->allowed_addresses_count == 0 && !block_is_no_broker(address);
}

/* Names are looked at when they have been resolved. */
static void check_allowed(const struct check *check, const struct conf_cluster *cluster)
{
    for (size_t i = 0; i < cluster->bootstrap_count; i++) {
        const struct conf_address *at = &cluster->bootstrap[i];
        struct in6_addr address;
        if (form_ip_bytes(at->host, &address) && !may_be_dialled(cluster, &address) &&
            check_sound(check, &cluster->allowed_addresses)) {
            conf_errors_add(check->errors, at->place,
                            "broker may not be dialled at %s (add it to 'allowed_addresses')",
                            at->host);
        }
    }
}

/* What a login needs of the protocol. */
static void check_login(const struct check *check, const struct conf_generation *generation)
{
    const char *protocol = config_protocol_name(generation->protocol);
    const char *login = config_login_name(generation->login);
    bool sasl = config_protocol_has_sasl(generation->protocol);
    struct conf_place place = check_place(check, &generation->login);
    switch (generation->login) {
    case CONF_LOGIN_MAPPED_CERTIFICATE:
        if (generation->protocol != CONF_PROTOCOL_SSL) {
            conf_errors_add(check->errors, place,
                            "login '%s' does not go with protocol %s (use protocol SSL)", login,
                            protocol);
        }
        break;
    case CONF_LOGIN_PASSTHROUGH:
    case CONF_LOGIN_SASL:
    case CONF_LOGIN_SCRAM_RELAY:
        if (!sasl) {
            conf_errors_add(check->errors, place,
                            "login '%s' does not go with protocol %s (use SASL_PLAINTEXT or "
                            "SASL_SSL)",
                            login, protocol);
        }
        break;
    case CONF_LOGIN_NONE:
        if (sasl) {
            conf_errors_add(check->errors, place,
                            "login 'none' does not go with protocol %s (use PLAINTEXT or SSL, or "
                            "another login)",
                            protocol);
        } else {
            conf_errors_warn(check->errors, place,
                             "brokers of generation '%s' see every client as ANONYMOUS "
                             "(another login tells them who it is)",
                             generation->name);
        }
        break;
    }
}

static void check_generation_sasl(const struct check *check,
                                  const struct conf_generation *generation)
{
    const struct conf_generation_sasl *sasl = &generation->sasl;
    if (generation->login == CONF_LOGIN_SASL && !sasl->present) {
        if (check_sound(check, sasl)) {
            conf_errors_add(check->errors, check_place(check, &generation->login),
                            "login 'sasl' needs the section 'sasl' (add 'mechanism' and "
                            "'credentials_file')");
        }
        return;
    }
    if (generation->login != CONF_LOGIN_SASL && sasl->present) {
        conf_errors_add(check->errors, sasl->place,
                        "section 'sasl' has no use with login '%s' (remove it, or use login: sasl)",
                        config_login_name(generation->login));
    }
}

static void check_tls(const struct check *check, const struct conf_generation *generation)
{
    const struct conf_tls *tls = &generation->tls;
    const char *protocol = config_protocol_name(generation->protocol);
    bool wanted = config_protocol_has_tls(generation->protocol);
    if (wanted && !tls->present && check_sound(check, tls)) {
        conf_errors_add(check->errors, check_place(check, &generation->protocol),
                        "protocol %s needs the section 'tls' (add at least 'ca')", protocol);
    }
    if (!wanted && tls->present) {
        conf_errors_add(check->errors, tls->place,
                        "section 'tls' has no use with protocol %s (remove it, or use SSL or "
                        "SASL_SSL)",
                        protocol);
    }
}

static void check_generation(const struct check *check, const struct conf_generation *generation)
{
    bool protocol_sound = check_sound(check, &generation->protocol);
    bool login_sound = check_sound(check, &generation->login);
    if (protocol_sound && login_sound) {
        check_login(check, generation);
    }
    if (login_sound) {
        check_generation_sasl(check, generation);
    }
    if (protocol_sound) {
        check_tls(check, generation);
    }
    if (protocol_sound && generation->protocol == CONF_PROTOCOL_SASL_PLAINTEXT &&
        strcmp(generation->sasl.mechanism, "PLAIN") == 0) {
        conf_errors_warn(check->errors, check_place(check, &generation->sasl.mechanism),
                         "PLAIN sends passwords to brokers as they are (use SASL_SSL or SCRAM)");
    }
    if (protocol_sound && generation->protocol == CONF_PROTOCOL_SASL_PLAINTEXT &&
        strcmp(generation->sasl.mechanism, "OAUTHBEARER") == 0) {
        conf_errors_warn(check->errors, check_place(check, &generation->sasl.mechanism),
                         "OAUTHBEARER sends tokens to brokers as they are (use SASL_SSL or SCRAM)");
    }
}

static bool match_is_empty(const struct conf_match *match)
{
    return match->node_ids_count == 0 && match->host[0] == '\0' && match->port == 0 &&
           match->rack[0] == '\0' && !match->probe;
}

static bool match_is_sound(const struct check *check, const struct conf_match *match)
{
    return check_sound(check, match) && check_sound(check, &match->node_ids) &&
           check_sound(check, &match->host) && check_sound(check, &match->port) &&
           check_sound(check, &match->rack) && check_sound(check, &match->probe);
}

/* A generation that matches every broker leaves nothing to those after it. */
static void check_reach(const struct check *check, const struct conf_cluster *cluster)
{
    const struct conf_generation *all = NULL;
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        if (all != NULL) {
            conf_errors_warn(check->errors, generation->place,
                             "generation is never taken: '%s' at line %d matches every broker "
                             "(put that one last, or give it a 'match')",
                             all->name, all->place.line);
        } else if (match_is_empty(&generation->match) &&
                   match_is_sound(check, &generation->match)) {
            all = generation;
        }
    }
}

/* A cluster that is one broker is never told ids and racks. */
static void check_known_parts(const struct check *check, const struct conf_cluster *cluster)
{
    for (size_t i = 0; i < cluster->generations_count && !cluster->follow; i++) {
        const struct conf_match *match = &cluster->generations[i].match;
        bool ids = match->node_ids_count > 0;
        if (ids || match->rack[0] != '\0') {
            conf_errors_add(
                check->errors,
                ids ? check_place(check, &match->node_ids) : check_place(check, &match->rack),
                "'%s' is never known with 'follow: false' (match by 'host', 'port' or "
                "'probe')",
                ids ? "node_ids" : "rack");
        }
    }
}

/* What is about several brokers has no use before one. */
static void check_alone(const struct check *check, const struct conf_cluster *cluster)
{
    if (cluster->follow || !check_sound(check, &cluster->follow)) {
        return;
    }
    if (cluster->api_versions != CONF_API_VERSIONS_INTERSECTION) {
        conf_errors_add(check->errors, check_place(check, &cluster->api_versions),
                        "'api_versions' has no use with 'follow: false', where brokers are told "
                        "what the one broker says (remove it)");
    }
    if (cluster->metadata == CONF_METADATA_MERGED) {
        conf_errors_add(check->errors, check_place(check, &cluster->metadata),
                        "'metadata: merged' has no use with 'follow: false', where nothing is "
                        "rewritten (remove it)");
    }
}

/* Who leads what is asked for with Setu's own identity. */
static void check_merged(const struct check *check, const struct conf_cluster *cluster)
{
    if (cluster->metadata == CONF_METADATA_MERGED && cluster->follow &&
        !cluster->identity.present && check_sound(check, &cluster->identity)) {
        conf_errors_add(check->errors, check_place(check, &cluster->metadata),
                        "'metadata: merged' needs 'identity' (with it Setu asks each generation "
                        "what its brokers lead)");
    }
}

/* Setu's own login at brokers of a generation; without one it cannot learn the cluster from them.
 */
static void check_identity_covers(const struct check *check, const struct conf_cluster *cluster,
                                  const struct conf_generation *generation)
{
    const struct conf_identity *identity = &cluster->identity;
    struct conf_place place = identity->present ? identity->place : cluster->place;
    if (generation->login == CONF_LOGIN_MAPPED_CERTIFICATE && identity->certificate[0] == '\0') {
        conf_errors_warn(check->errors, place,
                         "Setu itself cannot log in to brokers of generation '%s' (set "
                         "'identity.certificate')",
                         generation->name);
    }
    if (config_protocol_has_sasl(generation->protocol) && !identity->sasl.present) {
        conf_errors_warn(check->errors, place,
                         "Setu itself cannot log in to brokers of generation '%s' (add "
                         "'identity.sasl')",
                         generation->name);
    }
}

/* A password or keys, as the mechanism has it. */
static void check_identity_sasl(const struct check *check, const struct conf_identity_sasl *sasl)
{
    if (!sasl->present || !check_sound(check, &sasl->mechanism) ||
        !check_sound(check, &sasl->password_file) || !check_sound(check, &sasl->keytab)) {
        return;
    }
    bool gssapi = strcmp(sasl->mechanism, "GSSAPI") == 0;
    const char *const *wanted = gssapi ? &sasl->keytab : &sasl->password_file;
    const char *const *other = gssapi ? &sasl->password_file : &sasl->keytab;
    if ((*wanted)[0] == '\0') {
        conf_errors_add(check->errors, sasl->place, "mechanism %s needs '%s'", sasl->mechanism,
                        gssapi ? "keytab" : "password_file");
    }
    if ((*other)[0] != '\0') {
        conf_errors_add(check->errors, check_place(check, other),
                        "'%s' has no use with mechanism %s (remove it)",
                        gssapi ? "password_file" : "keytab", sasl->mechanism);
    }
}

static void check_identity(const struct check *check, const struct conf_cluster *cluster)
{
    const struct conf_identity *identity = &cluster->identity;
    check_identity_sasl(check, &identity->sasl);
    names_refer(check->certificates, identity->certificate,
                check_place(check, &identity->certificate), check->errors);
    if (!check_sound(check, identity) || !check_sound(check, &identity->certificate) ||
        !check_sound(check, &identity->sasl)) {
        return;
    }
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        if (check_sound(check, &generation->login) && check_sound(check, &generation->protocol)) {
            check_identity_covers(check, cluster, generation);
        }
    }
}

void check_cluster(const struct check *check, const struct conf_cluster *cluster)
{
    struct names names;
    names_init(&names, "generation", cluster->generations_count);
    check_bootstrap(check, cluster);
    check_allowed(check, cluster);
    check_identity(check, cluster);
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        names_add(&names, generation->name, check_place(check, &generation->name));
        check_generation(check, generation);
    }
    names_seal(&names, check->errors);
    names_deinit(&names);
    check_reach(check, cluster);
    check_known_parts(check, cluster);
    check_alone(check, cluster);
    check_merged(check, cluster);
}
