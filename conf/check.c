/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/names.h"
#include "conf/snapshot.h"

/* Of two keys that contradict each other, the one that is in the file: the other may be a default.
 */
static struct conf_place place_of_either(const struct check *check, const void *field,
                                         const void *other)
{
    struct conf_place place = check_place(check, field);
    return place.line > 0 ? place : check_place(check, other);
}

enum { AUDIT_ROTATE_MIN = 65536 };

static void check_limits(const struct check *check)
{
    const struct conf_limits *limits = &check->config->limits;
    if (limits->login_frame_max_bytes > limits->frame_max_bytes) {
        conf_errors_add(
            check->errors,
            place_of_either(check, &limits->login_frame_max_bytes, &limits->frame_max_bytes),
            "'login_frame_max_bytes' is larger than 'frame_max_bytes', which is %zu "
            "(lower it)",
            limits->frame_max_bytes);
    }
    if (limits->rewrite_max_bytes > limits->frame_max_bytes) {
        conf_errors_add(
            check->errors,
            place_of_either(check, &limits->rewrite_max_bytes, &limits->frame_max_bytes),
            "'rewrite_max_bytes' is larger than 'frame_max_bytes', which is %zu "
            "(lower it)",
            limits->frame_max_bytes);
    }
    if (limits->connections_per_address > limits->connections) {
        conf_errors_add(
            check->errors,
            place_of_either(check, &limits->connections_per_address, &limits->connections),
            "'connections_per_address' is larger than 'connections', which is %zu "
            "(lower it)",
            limits->connections);
    }
}

static void check_audit(const struct check *check)
{
    const struct conf_audit *audit = &check->config->audit;
    if (audit->file[0] == '\0' && check_sound(check, &audit->file)) {
        conf_errors_warn(check->errors, check_place(check, &audit->file),
                         "security decisions are not recorded (set 'audit.file')");
    }
    if (audit->rotate_bytes != 0 && audit->rotate_bytes < AUDIT_ROTATE_MIN &&
        check_sound(check, &audit->rotate_bytes)) {
        conf_errors_add(check->errors, check_place(check, &audit->rotate_bytes),
                        "'rotate_bytes' is below %d, which would be a file for a few records "
                        "(raise it, or set 0 for one file)",
                        AUDIT_ROTATE_MIN);
    }
}

/* Without checksums the ledger would call the same what is not. */
static void check_ledger(const struct check *check)
{
    const struct config *config = check->config;
    if (config->ledger.directory[0] != '\0' && config->integrity.crc == CONF_CRC_OFF) {
        conf_errors_add(check->errors, check_place(check, &config->integrity.crc),
                        "'integrity.crc' is off, so the ledger could prove nothing (set 'observe' "
                        "or 'enforce', or remove 'ledger')");
    }
}

static bool needs_pkcs11(const struct check *check, const void *field, bool on_token)
{
    const struct conf_pkcs11 *pkcs11 = &check->config->pkcs11;
    if (on_token && !pkcs11->present && check_sound(check, field)) {
        conf_errors_add(check->errors, check_place(check, field),
                        "'key' is on a token, but nothing says how that is reached (add 'pkcs11' "
                        "with 'module' and 'pin_file' at the left margin)");
    }
    return on_token;
}

static void check_pkcs11(const struct check *check)
{
    const struct config *config = check->config;
    bool used = false;
    for (size_t i = 0; i < config->certificates_count; i++) {
        const struct conf_certificate *it = &config->certificates[i];
        used = needs_pkcs11(check, &it->key, it->pkcs11 != NULL) || used;
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener_tls *it = &config->listeners[i].tls;
        used = (it->present && needs_pkcs11(check, &it->key, it->pkcs11 != NULL)) || used;
    }
    if (config->pkcs11.present && !used && check_sound(check, &config->pkcs11.module)) {
        conf_errors_warn(check->errors, config->pkcs11.place,
                         "no 'key' is on a token (remove 'pkcs11')");
    }
}

/* What makes tokens say more than they should. */
static void check_oauth(const struct check *check)
{
    const struct conf_oauth *oauth = &check->config->oauth;
    bool offered = config_offers(check->config, "OAUTHBEARER");
    if (oauth->allow_unsecured_jws) {
        conf_errors_warn(check->errors, check_place(check, &oauth->allow_unsecured_jws),
                         "ANYBODY CAN LOG IN AS ANYBODY: tokens without a signature are believed "
                         "(remove 'allow_unsecured_jws')");
    }
    if (offered && oauth->issuer[0] == '\0' && check_sound(check, &oauth->issuer)) {
        conf_errors_warn(check->errors, check_place(check, &oauth->jwks_file),
                         "tokens of any issuer are taken that has a key in the key set (set "
                         "'oauth.issuer')");
    }
    if (offered && oauth->audience_count == 0 && check_sound(check, &oauth->audience)) {
        conf_errors_warn(check->errors, check_place(check, &oauth->jwks_file),
                         "tokens that were meant for other services are taken too (set "
                         "'oauth.audience')");
    }
    if (!offered && oauth->jwks_file[0] != '\0') {
        conf_errors_warn(check->errors, check_place(check, &oauth->jwks_file),
                         "no listener offers OAUTHBEARER (add it to 'mechanisms', or remove "
                         "'oauth')");
    }
}

static bool maps_certificates(const struct config *config)
{
    for (size_t i = 0; i < config->clusters_count; i++) {
        for (size_t j = 0; j < config->clusters[i].generations_count; j++) {
            if (config->clusters[i].generations[j].login == CONF_LOGIN_MAPPED_CERTIFICATE) {
                return true;
            }
        }
    }
    return false;
}

static void check_clusters(const struct check *check)
{
    const struct config *config = check->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        check_cluster(check, &config->clusters[i]);
    }
}

/* What is left over only means something in a file that is right otherwise. */
static void check_leftovers(const struct check *check)
{
    const struct config *config = check->config;
    if (check->errors->errors != check->errors_before) {
        return;
    }
    names_warn_unused(check->certificates, check->errors);
    names_warn_unused(check->clusters, check->errors);
    if (config->mapping_count == 0 && maps_certificates(config)) {
        conf_errors_warn(check->errors, check_place(check, &config->mapping),
                         "no principal is mapped to a certificate, so every client is denied "
                         "(add rules to 'mapping')");
    }
}

static void name_certificates(struct names *names, const struct check *check)
{
    const struct config *config = check->config;
    names_init(names, "certificate", config->certificates_count);
    for (size_t i = 0; i < config->certificates_count; i++) {
        names_add(names, config->certificates[i].name,
                  check_place(check, &config->certificates[i].name));
    }
    names_seal(names, check->errors);
}

static void name_clusters(struct names *names, const struct check *check)
{
    const struct config *config = check->config;
    names_init(names, "cluster", config->clusters_count);
    for (size_t i = 0; i < config->clusters_count; i++) {
        names_add(names, config->clusters[i].name, check_place(check, &config->clusters[i].name));
    }
    names_seal(names, check->errors);
}

static void check_security(const struct check *check)
{
    const struct conf_security *security = &check->config->security;
    if (security->group[0] != '\0' && security->user[0] == '\0' &&
        check_sound(check, &security->user)) {
        conf_errors_add(check->errors, check_place(check, &security->group),
                        "'group' goes with 'user' (add it)");
    }
}

void check_config(const struct snapshot *snapshot, struct conf_errors *errors, size_t errors_before)
{
    struct names certificates;
    struct names clusters;
    struct check check = {
        .snapshot = snapshot,
        .config = &snapshot->config,
        .errors = errors,
        .errors_before = errors_before,
        .certificates = &certificates,
        .clusters = &clusters,
    };
    name_certificates(&certificates, &check);
    name_clusters(&clusters, &check);
    check_limits(&check);
    check_audit(&check);
    check_ledger(&check);
    check_oauth(&check);
    check_security(&check);
    check_pkcs11(&check);
    check_mapping(&check);
    check_clusters(&check);
    check_listeners(&check);
    check_leftovers(&check);
    names_deinit(&certificates);
    names_deinit(&clusters);
}
