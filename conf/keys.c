/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/keys.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "conf/blocks.h"
#include "conf/config.h"
#include "conf/yaml.h"

static_assert(sizeof(enum conf_protocol) == sizeof(int), "KEY_CHOICE stores an int");
static_assert(sizeof(size_t) == sizeof(uint64_t), "ranges of KEY_SIZE assume 64 bits");

#define FIELD(of, field) .name = #field, .offset = offsetof(struct of, field)
#define LIST(of, field) FIELD(of, field), .count_offset = offsetof(struct of, field##_count)
#define KEYS(table) .keys = (table), .keys_count = sizeof(table) / sizeof *(table)
#define PLACE(of)                                                                                  \
    .size = sizeof(struct of), .place_offset = offsetof(struct of, place),                         \
    .present_offset = KEY_NO_OFFSET
#define OPTIONAL(of)                                                                               \
    .size = sizeof(struct of), .place_offset = offsetof(struct of, place),                         \
    .present_offset = offsetof(struct of, present)
#define ALWAYS(of)                                                                                 \
    .size = sizeof(struct of), .place_offset = KEY_NO_OFFSET, .present_offset = KEY_NO_OFFSET

enum {
    PORT_MAX = 65535,
    MINUTES_10_MS = 600 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    WEEK_MS = 7 * DAY_MS,
    ITEMS_MAX = 100 * 1000,
};

/* The order of each list is the order of its enum in conf/config.h. */
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};
static const char *const audit_failures[] = {"deny", "continue", NULL};
static const char *const crcs[] = {"off", "observe", "enforce", NULL};
static const char *const fast_aes[] = {"off", "auto", "on", NULL};
static const char *const landlocks[] = {"off", "best_effort", "required", NULL};
static const char *const api_versions[] = {"intersection", "broker", NULL};
static const char *const metadata[] = {"as-is", "merged", NULL};
static const char *const protocols[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", NULL};
static const char *const logins[] = {"mapped-certificate", "passthrough", "sasl", "none",
                                     "scram-relay",        NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const ocsps[] = {"off", "if_stapled", "required", NULL};
static const char *const roles[] = {"clients", "brokers", NULL};
static const char *const client_auths[] = {"none", "required", "requested", NULL};
static const char *const mechanisms[] = {"GSSAPI",      "SCRAM-SHA-512", "SCRAM-SHA-256",
                                         "OAUTHBEARER", "PLAIN",         NULL};

static const struct key log_keys[] = {
    {FIELD(conf_log, level), .type = KEY_CHOICE, .words = levels, .fallback = "info",
     .doc = "How much is logged: everything up to this level."},
    {FIELD(conf_log, format), .type = KEY_CHOICE, .words = formats, .fallback = "logfmt",
     .doc = "How a log line is written: key=value pairs, or one JSON object."},
    {FIELD(conf_log, file), .type = KEY_TEXT, .fallback = "-", .form = form_path, .written = true,
     .doc = "The file log lines are appended to; \"-\" is standard error."},
};
static const struct key_section log_section = {"log", ALWAYS(conf_log), KEYS(log_keys)};

static const struct key audit_keys[] = {
    {FIELD(conf_audit, file), .type = KEY_TEXT, .form = form_path, .written = true,
     .doc = "The audit log, a hash chain of security decisions; without it nothing is audited."},
    {FIELD(conf_audit, on_failure), .type = KEY_CHOICE, .words = audit_failures, .fallback = "deny",
     .doc = "What happens to new logins while the audit log cannot be written."},
    {FIELD(conf_audit, signing_key), .type = KEY_TEXT, .form = form_path,
     .doc = "PEM file with an Ed25519 key (`setu audit keygen`), readable by nobody else, that "
            "signs checkpoints of the audit log; without it there are none, and whoever may write "
            "the file can make its chain anew."},
    {FIELD(conf_audit, checkpoint_records), .type = KEY_SIZE, .fallback = "1000", .min = 1,
     .max = 1000000, .doc = "How many audit records are signed by one checkpoint, at most."},
    {FIELD(conf_audit, checkpoint_interval_ms), .type = KEY_MS, .fallback = "60000", .min = 100,
     .max = DAY_MS, .doc = "How long an audit record waits for a checkpoint, at most."},
    {FIELD(conf_audit, unsynced_max_ms), .type = KEY_MS, .fallback = "5000", .min = 100,
     .max = DAY_MS,
     .doc = "How long an event may wait to be on the disk before the audit log counts as one that "
            "cannot be written."},
    {FIELD(conf_audit, rotate_bytes), .type = KEY_SIZE, .fallback = "67108864", .max = INT32_MAX,
     .doc = "The size at which a file of the audit log ends: it gets the numbers of its first and "
            "last record as a suffix, and the chain goes on in a new file; 0 is never."},
    {FIELD(conf_audit, keep), .type = KEY_SIZE, .fallback = "0", .max = 1000000,
     .doc = "How many ended files of the audit log stay, the newest; 0 is all of them. Once one is "
            "removed, `setu audit verify` wants --from, the end of the last that was."},
};
static const struct key_section audit_section = {"audit", ALWAYS(conf_audit), KEYS(audit_keys)};

static const struct key ledger_keys[] = {
    {FIELD(conf_ledger, directory), .type = KEY_TEXT, .form = form_folder, .written = true,
     .doc = "An existing folder for the ledger: what became of every record batch that passed; "
            "without it none is written."},
    {FIELD(conf_ledger, rotate_bytes), .type = KEY_SIZE, .fallback = "67108864", .min = 65536,
     .max = INT32_MAX, .doc = "The size at which a ledger file ends and the next one begins."},
};
static const struct key_section ledger_section = {"ledger", ALWAYS(conf_ledger), KEYS(ledger_keys)};
static const struct key control_keys[] = {
    {FIELD(conf_control, socket), .type = KEY_TEXT, .form = form_socket, .written = true,
     .doc = "Socket, for its owner and root only, by which `setu reload`, `setu drain`, `setu "
            "status` and a successor find the process; when not given it is named after this file "
            "and lies in /run/setu, $XDG_RUNTIME_DIR or /tmp/setu-UID, the first that can be "
            "written."},
};
static const struct key_section control_section = {"control", ALWAYS(conf_control),
                                                   KEYS(control_keys)};

static const struct key limits_keys[] = {
    {FIELD(conf_limits, connections), .type = KEY_SIZE, .fallback = "10000", .min = 1,
     .max = 1000000,
     .doc = "Client connections that are open at a time; one more is closed at once."},
    {FIELD(conf_limits, connections_per_address), .type = KEY_SIZE, .fallback = "0", .max = 1000000,
     .doc = "The same for one client address; 0 is no limit."},
    {FIELD(conf_limits, dials_per_broker), .type = KEY_SIZE, .fallback = "64", .min = 1,
     .max = 1000000,
     .doc = "Connections to one broker that are being set up at a time, by each worker; more wait "
            "for their turn, so that a broker that comes back is not met by everybody at once."},
    {FIELD(conf_limits, login_timeout_ms), .type = KEY_MS, .fallback = "10000", .min = 1,
     .max = MINUTES_10_MS, .doc = "From accepting a client to the end of its login."},
    {FIELD(conf_limits, connect_timeout_ms), .type = KEY_MS, .fallback = "10000", .min = 1,
     .max = MINUTES_10_MS,
     .doc = "From dialling a broker to its first answer after the login there."},
    {FIELD(conf_limits, drain_timeout_ms), .type = KEY_MS, .fallback = "30000", .max = DAY_MS,
     .doc = "How long requests in flight may take to end when Setu stops."},
    {FIELD(conf_limits, idle_timeout_ms), .type = KEY_MS, .fallback = "0", .max = WEEK_MS,
     .doc = "A connection without traffic for this long is closed; 0 is never."},
    {FIELD(conf_limits, login_frame_max_bytes), .type = KEY_SIZE, .fallback = "524288", .min = 1024,
     .max = INT32_MAX, .doc = "The largest request accepted before the login has ended."},
    {FIELD(conf_limits, frame_max_bytes), .type = KEY_SIZE, .fallback = "104857600", .min = 1024,
     .max = INT32_MAX,
     .doc = "The largest request or response; Kafka's socket.request.max.bytes is the same by "
            "default."},
    {FIELD(conf_limits, rewrite_max_bytes), .type = KEY_SIZE, .fallback = "16777216", .min = 1024,
     .max = INT32_MAX,
     .doc = "The largest response that is held in memory because addresses in it are rewritten."},
    {FIELD(conf_limits, login_failure_delay_ms), .type = KEY_MS, .fallback = "200",
     .max = 60 * 1000, .doc = "The least time until a failed login is answered."},
};
static const struct key_section limits_section = {"limits", ALWAYS(conf_limits), KEYS(limits_keys)};

static const struct key integrity_keys[] = {
    {FIELD(conf_integrity, crc), .type = KEY_CHOICE, .words = crcs, .fallback = "observe",
     .doc = "Whether checksums of record batches are checked in flight: not at all, counted and "
            "logged, or the connection ends before a broken batch is complete."},
};
static const struct key_section integrity_section = {"integrity", ALWAYS(conf_integrity),
                                                     KEYS(integrity_keys)};

static const struct key crypto_keys[] = {
    {FIELD(conf_crypto, fast_aes), .type = KEY_CHOICE, .words = fast_aes, .fallback = "off",
     .doc = "Whether AES-GCM of libipsec-mb may take the place of OpenSSL's in TLS: never, when it "
            "passes its self-tests and is measured to be 10 % faster at start, or when it passes "
            "its self-tests."},
};
static const struct key_section crypto_section = {"crypto", ALWAYS(conf_crypto), KEYS(crypto_keys)};

static const struct key security_keys[] = {
    {FIELD(conf_security, seccomp), .type = KEY_BOOL, .fallback = "true",
     .doc = "Whether the kernel refuses this process what a proxy never does: starting programs, "
            "reading other "
            "processes, raw sockets, memory both written and executed. True on a kernel without "
            "seccomp: no start."},
    {FIELD(conf_security, landlock), .type = KEY_CHOICE, .words = landlocks, .fallback = "off",
     .doc = "Whether the kernel (5.13 and later) lets this process open only files in folders that "
            "this file names by the start, and what libraries read of the machine; best_effort "
            "goes on without where it cannot. A reload that names another folder is refused: take "
            "over."},
    {LIST(conf_security, readable), .type = KEY_TEXTS, .max = 64, .form = form_folder,
     .doc = "Further folders that may be read then."},
    {LIST(conf_security, writable), .type = KEY_TEXTS, .max = 64, .form = form_folder,
     .written = true, .doc = "Further folders in which files may be made and written then."},
    {FIELD(conf_security, user), .type = KEY_TEXT, .form = form_user,
     .doc = "Whom Setu becomes when root starts it, before it reads anything but this file: keys, "
            "logs and folders must be that user's to read and to write, for a reload reads them "
            "again. Not needed where a service manager does that (User=)."},
    {FIELD(conf_security, group), .type = KEY_TEXT, .form = form_user,
     .doc = "The group that goes with 'user'; that user's own one if not given. The other groups "
            "of the user stay."},
};
static const struct key_section security_section = {"security", ALWAYS(conf_security),
                                                    KEYS(security_keys)};

static const struct key pkcs11_keys[] = {
    {FIELD(conf_pkcs11, module), .type = KEY_TEXT, .required = true, .form = form_module,
     .doc = "The PKCS#11 module, a shared object by whoever made the token; the process keeps the "
            "one it began with, another one takes a takeover."},
    {FIELD(conf_pkcs11, pin_file), .type = KEY_TEXT, .form = form_path,
     .doc = "File with the user's PIN, readable by nobody else; without it tokens that ask for one "
            "are refused. A PIN that a token has refused is not tried again by the same process."},
};
static const struct key_section pkcs11_section = {"pkcs11", OPTIONAL(conf_pkcs11),
                                                  KEYS(pkcs11_keys)};

static const struct key rotation_keys[] = {
    {FIELD(conf_rotation, watch), .type = KEY_BOOL, .fallback = "false",
     .doc = "Whether certificates, keys, authorities and revocation lists are taken into use when "
            "their files change, without a reload; what does not fit together, speaks for another "
            "subject or is older than what is in use is not taken."},
    {FIELD(conf_rotation, interval_ms), .type = KEY_MS, .fallback = "10000", .min = 100,
     .max = DAY_MS,
     .doc = "How often the files are looked at, beside what the kernel tells of their folders."},
    {FIELD(conf_rotation, overlap_ms), .type = KEY_MS, .fallback = "60000", .max = DAY_MS,
     .doc = "Over what time connections to brokers that were made with an older certificate of the "
            "same subject end, one after the other, each when nothing is in flight; 0 is at once."},
};
static const struct key_section rotation_section = {"rotation", ALWAYS(conf_rotation),
                                                    KEYS(rotation_keys)};

static const struct key certificate_keys[] = {
    {FIELD(conf_certificate, name), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The name other parts of this file use for it."},
    {FIELD(conf_certificate, chain), .type = KEY_TEXT, .required = true, .form = form_path,
     .doc = "PEM file with the certificate and the intermediate certificates after it."},
    {FIELD(conf_certificate, key), .type = KEY_TEXT, .required = true, .form = form_key,
     .doc = "PEM file with its private key, readable by nobody else; or the PKCS#11 URI of a key "
            "that stays on a token, see 'pkcs11'."},
};
static const struct key_section certificate_section = {"certificates[]", PLACE(conf_certificate),
                                                       KEYS(certificate_keys)};

static const struct key users_keys[] = {
    {FIELD(conf_users, file), .type = KEY_TEXT, .form = form_path,
     .doc = "YAML file with the SCRAM records that clients are verified against."},
    {FIELD(conf_users, saslauthd), .type = KEY_TEXT, .form = form_socket,
     .doc =
         "Socket of a saslauthd, which then judges every password of PLAIN in place of the users "
         "file, as service \"kafka\"."},
};
static const struct key_section users_section = {"users", ALWAYS(conf_users), KEYS(users_keys)};

static const struct key oauth_keys[] = {
    {FIELD(conf_oauth, jwks_file), .type = KEY_TEXT, .form = form_path,
     .doc = "JSON Web Key Set with the public keys of whoever issues tokens; read again at a "
            "reload."},
    {FIELD(conf_oauth, issuer), .type = KEY_TEXT,
     .doc = "What a token's 'iss' must be; without it any issuer will do that has such a key."},
    {LIST(conf_oauth, audience), .type = KEY_ONE_OR_MORE, .max = 16,
     .doc = "What a token's 'aud' must be or hold, one of these; without it tokens meant for "
            "others are taken too."},
    {FIELD(conf_oauth, principal_claim), .type = KEY_TEXT, .fallback = "sub",
     .doc = "The claim that is the client's principal."},
    {LIST(conf_oauth, scopes), .type = KEY_TEXTS, .max = 16,
     .doc = "Scopes that a token must have, all of them."},
    {FIELD(conf_oauth, scope_claim), .type = KEY_TEXT, .fallback = "scope",
     .doc = "The claim that holds them: words, or a list."},
    {FIELD(conf_oauth, clock_skew_ms), .type = KEY_MS, .fallback = "30000", .max = MINUTES_10_MS,
     .doc = "How far the issuer's clock may be off this one's; a token is believed that much "
            "longer."},
    {FIELD(conf_oauth, allow_unsecured_jws), .type = KEY_BOOL, .fallback = "false",
     .doc = "Believes tokens without a signature (alg: none) too, so that anybody can log in as "
            "anybody: for tests only."},
};
static const struct key_section oauth_section = {"oauth", ALWAYS(conf_oauth), KEYS(oauth_keys)};

static const struct key when_keys[] = {
    {LIST(conf_when, cluster), .type = KEY_ONE_OR_MORE, .min = 1, .max = 100, .form = form_name,
     .doc = "The cluster the client comes for."},
    {LIST(conf_when, generation), .type = KEY_ONE_OR_MORE, .min = 1, .max = 100, .form = form_name,
     .doc = "The generation of the broker that is dialled for the client."},
    {LIST(conf_when, listener), .type = KEY_ONE_OR_MORE, .min = 1, .max = 1000, .form = form_name,
     .doc = "The listener the client comes by."},
    {LIST(conf_when, mechanism), .type = KEY_ONE_OR_MORE, .min = 1, .max = 16, .form = form_name,
     .doc = "The mechanism the client has logged in by; SSL is a client certificate."},
};
static const struct key_section when_section = {"mapping[].when", OPTIONAL(conf_when),
                                                KEYS(when_keys)};

static const struct key mapping_keys[] = {
    {FIELD(conf_mapping, name), .type = KEY_TEXT, .form = form_name,
     .doc = "What the rule is called in audit records, logs and reports."},
    {FIELD(conf_mapping, principal), .type = KEY_TEXT, .form = form_principal,
     .doc = "The rule holds for exactly this principal."},
    {FIELD(conf_mapping, principal_glob), .type = KEY_TEXT, .form = form_principal,
     .doc = "The rule holds for principals that fit: * is any run of characters, ? is one."},
    {FIELD(conf_mapping, principal_regex), .type = KEY_TEXT,
     .doc = "The rule holds for principals that this Perl-compatible expression matches as a "
            "whole."},
    {FIELD(conf_mapping, when), .type = KEY_SECTION, .section = &when_section,
     .doc = "Where the rule holds: every key given must fit, each with one name or a list; none "
            "given is anywhere."},
    {FIELD(conf_mapping, certificate), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The certificate shown to brokers for these principals."},
    {FIELD(conf_mapping, intended_principal), .type = KEY_TEXT,
     .doc = "The principal that brokers are meant to take the certificate for; Setu warns when "
            "their rules would make another of it."},
    {FIELD(conf_mapping, owner), .type = KEY_TEXT, .doc = "Who answers for the rule."},
    {FIELD(conf_mapping, ticket), .type = KEY_TEXT, .doc = "Where the rule was decided."},
    {FIELD(conf_mapping, approver), .type = KEY_TEXT, .doc = "Who agreed to the rule."},
    {FIELD(conf_mapping, review_by), .type = KEY_TEXT, .form = form_date,
     .doc = "The day (YYYY-MM-DD) by which somebody should look at the rule again."},
    {FIELD(conf_mapping, break_glass), .type = KEY_BOOL, .fallback = "false",
     .doc = "The rule is for emergencies: each use is logged as a warning."},
};
static const struct key_section mapping_section = {"mapping[]", PLACE(conf_mapping),
                                                   KEYS(mapping_keys)};

static const struct key match_keys[] = {
    {LIST(conf_match, node_ids), .type = KEY_RANGES, .doc = "Node ids and ranges of them."},
    {FIELD(conf_match, host), .type = KEY_TEXT, .form = form_host_glob,
     .doc = "The advertised host, letter case ignored: * is any run of characters, ? is one."},
    {FIELD(conf_match, port), .type = KEY_INT, .min = 1, .max = PORT_MAX,
     .doc = "The advertised port."},
    {FIELD(conf_match, rack), .type = KEY_TEXT, .doc = "The rack, exactly."},
    {FIELD(conf_match, probe), .type = KEY_BOOL, .fallback = "false",
     .doc = "Setu looks at the broker and takes this generation when its protocol and login work "
            "there."},
};
static const struct key_section match_section = {"clusters[].generations[].match",
                                                 OPTIONAL(conf_match), KEYS(match_keys)};

static const struct key generation_sasl_keys[] = {
    {FIELD(conf_generation_sasl, mechanism), .type = KEY_WORD, .required = true,
     .words = mechanisms, .doc = "The mechanism used towards brokers."},
    {FIELD(conf_generation_sasl, credentials_file), .type = KEY_TEXT, .required = true,
     .form = form_path,
     .doc = "YAML file with the user name and the password file, or for GSSAPI the keytab, of each "
            "principal, or, for OAUTHBEARER, with its token file, which is read anew for each "
            "login."},
    {FIELD(conf_generation_sasl, service_name), .type = KEY_TEXT, .fallback = "kafka",
     .form = form_name,
     .doc = "For GSSAPI: the brokers' Kerberos service, Kafka's sasl.kerberos.service.name."},
};
static const struct key_section generation_sasl_section = {
    "clusters[].generations[].sasl", OPTIONAL(conf_generation_sasl), KEYS(generation_sasl_keys)};

static const struct key tls_keys[] = {
    {FIELD(conf_tls, ca), .type = KEY_TEXT, .required = true, .form = form_path,
     .doc = "PEM file with the authorities that brokers' certificates must come from."},
    {FIELD(conf_tls, crl), .type = KEY_TEXT, .form = form_path,
     .doc = "PEM file with the full revocation lists of these authorities."},
    {FIELD(conf_tls, ocsp), .type = KEY_CHOICE, .words = ocsps, .fallback = "off",
     .doc = "Whether brokers are asked to staple an OCSP response about their certificate, in "
            "which its issuer says that it is not revoked: not asked, what is stapled must be "
            "good, or something good must be stapled. No responder is asked."},
    {FIELD(conf_tls, min_version), .type = KEY_CHOICE, .words = tls_versions, .fallback = "1.2",
     .doc = "The oldest TLS version that is spoken."},
    {FIELD(conf_tls, resumption), .type = KEY_BOOL, .fallback = "true",
     .doc = "Whether a TLS session may be resumed by the next connection to the same broker with "
            "the same certificate, which saves most of the handshake; for an hour at most, then "
            "both certificates are verified anew."},
};
static const struct key_gone tls_gone[] = {
    {"verify_hostname", true, "a broker's certificate must always name the host that was dialled"},
    {NULL, false, NULL},
};
static const struct key_section tls_section = {"clusters[].generations[].tls", OPTIONAL(conf_tls),
                                               KEYS(tls_keys), .gone = tls_gone};

static const struct key generation_keys[] = {
    {FIELD(conf_generation, name), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The name in logs, counters and audit records."},
    {FIELD(conf_generation, match), .type = KEY_SECTION, .section = &match_section,
     .doc = "Which brokers belong to it: every key given must hold, none given is every broker."},
    {FIELD(conf_generation, protocol), .type = KEY_CHOICE, .required = true, .words = protocols,
     .doc = "What its brokers speak, in Kafka's words."},
    {FIELD(conf_generation, login), .type = KEY_CHOICE, .required = true, .words = logins,
     .doc = "How a client's connection logs in there: with the certificate mapped to the "
            "principal, by passing the client's own SASL exchange through, with a stored SASL "
            "credential of the principal, not at all, or by SCRAM with the key that the client's "
            "own SCRAM login at Setu proved, for which salt and iterations of the users file must "
            "be the broker's; that key is kept nowhere."},
    {FIELD(conf_generation, sasl), .type = KEY_SECTION, .section = &generation_sasl_section,
     .doc = "The stored credentials, for login: sasl."},
    {FIELD(conf_generation, tls), .type = KEY_SECTION, .section = &tls_section,
     .doc = "Whom to trust, for protocol SSL and SASL_SSL. A broker's certificate must also name "
            "the host that was dialled; nothing turns that off."},
    {FIELD(conf_generation, ssl_principal_mapping_rules), .type = KEY_TEXT, .fallback = "DEFAULT",
     .doc = "What its brokers have as ssl.principal.mapping.rules; from it Setu predicts as whom "
            "they take a certificate."},
    {LIST(conf_generation, super_users), .type = KEY_TEXTS, .max = 1000,
     .doc = "What its brokers have as super.users, each as User:NAME or NAME; Setu warns of a "
            "rule that makes one of them."},
    {LIST(conf_generation, broker_principals), .type = KEY_TEXTS, .max = 1000,
     .doc = "As whom its brokers know each other, as User:NAME or NAME; Setu warns of a rule that "
            "makes one of them."},
};
static const struct key_section generation_section = {
    "clusters[].generations[]", PLACE(conf_generation), KEYS(generation_keys)};

static const struct key identity_sasl_keys[] = {
    {FIELD(conf_identity_sasl, mechanism), .type = KEY_WORD, .required = true, .words = mechanisms,
     .doc = "The mechanism Setu itself logs in with."},
    {FIELD(conf_identity_sasl, username), .type = KEY_TEXT, .required = true,
     .doc = "The user name Setu itself logs in with; with GSSAPI its Kerberos principal."},
    {FIELD(conf_identity_sasl, password_file), .type = KEY_TEXT, .form = form_path,
     .doc = "File that holds nothing but the password, readable by nobody else; for OAUTHBEARER "
            "the token, read anew at each look. Required but with GSSAPI."},
    {FIELD(conf_identity_sasl, keytab), .type = KEY_TEXT, .form = form_path,
     .doc =
         "For GSSAPI, and required with it: keytab with the principal's keys, readable by nobody "
         "else."},
    {FIELD(conf_identity_sasl, service_name), .type = KEY_TEXT, .fallback = "kafka",
     .form = form_name,
     .doc = "For GSSAPI: the brokers' Kerberos service, Kafka's sasl.kerberos.service.name."},
};
static const struct key_section identity_sasl_section = {
    "clusters[].identity.sasl", OPTIONAL(conf_identity_sasl), KEYS(identity_sasl_keys)};

static const struct key identity_keys[] = {
    {FIELD(conf_identity, certificate), .type = KEY_TEXT, .form = form_name,
     .doc = "The certificate shown to brokers that log in by certificate."},
    {FIELD(conf_identity, sasl), .type = KEY_SECTION, .section = &identity_sasl_section,
     .doc = "The login at brokers that log in by SASL."},
};
static const struct key_section identity_section = {"clusters[].identity", OPTIONAL(conf_identity),
                                                    KEYS(identity_keys)};

static const struct key cluster_keys[] = {
    {FIELD(conf_cluster, name), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The name listeners use for it."},
    {LIST(conf_cluster, bootstrap), .type = KEY_ADDRESSES, .required = true, .min = 1, .max = 64,
     .doc = "Brokers to ask first, as HOST:PORT or [IPV6]:PORT."},
    {FIELD(conf_cluster, follow), .type = KEY_BOOL, .fallback = "true",
     .doc = "Whether Setu learns further brokers from these; false for a cluster of listeners with "
            "role: brokers, where the addresses are those of one broker and lead to it alone."},
    {LIST(conf_cluster, allowed_addresses), .type = KEY_TEXTS, .max = 256, .form = form_block,
     .doc = "The IP addresses that brokers may be dialled at, as ADDRESS or ADDRESS/BITS, whatever "
            "brokers and name servers say. When not given any but link-local, multicast and "
            "reserved ones and those where clouds keep credentials; and loopback only for a "
            "bootstrap broker, or if one is given as localhost or in digits there."},
    {FIELD(conf_cluster, api_versions), .type = KEY_CHOICE, .words = api_versions,
     .fallback = "intersection",
     .doc = "The versions clients are told: those that all brokers share, or those of the broker "
            "a connection goes to."},
    {FIELD(conf_cluster, metadata), .type = KEY_CHOICE, .words = metadata, .fallback = "as-is",
     .doc = "What clients are told of brokers, leaders and coordinators: what the broker says that "
            "they ask, or, where generations have listeners of different names and do not tell of "
            "each other, what all say together. merged wants an identity that may describe topics "
            "in every generation."},
    {FIELD(conf_cluster, refresh_ms), .type = KEY_MS, .fallback = "30000", .min = 100,
     .max = DAY_MS, .doc = "How often Setu asks for the list of brokers."},
    {FIELD(conf_cluster, identity), .type = KEY_SECTION, .section = &identity_section,
     .doc = "What Setu itself logs in with when it looks at brokers."},
    {LIST(conf_cluster, generations), .type = KEY_ITEMS, .required = true, .min = 1, .max = 64,
     .section = &generation_section,
     .doc = "The kinds of brokers in the cluster and how to log in to each; the first that "
            "matches a broker is taken."},
};
static const struct key_section cluster_section = {"clusters[]", PLACE(conf_cluster),
                                                   KEYS(cluster_keys)};

static const struct key listener_tls_keys[] = {
    {FIELD(conf_listener_tls, chain), .type = KEY_TEXT, .required = true, .form = form_path,
     .doc = "PEM file with the listener's certificate and the intermediate ones after it."},
    {FIELD(conf_listener_tls, key), .type = KEY_TEXT, .required = true, .form = form_key,
     .doc = "PEM file with its private key, readable by nobody else; or the PKCS#11 URI of a key "
            "that stays on a token, see 'pkcs11'."},
    {FIELD(conf_listener_tls, client_ca), .type = KEY_TEXT, .form = form_path,
     .doc = "PEM file with the authorities that client certificates must come from."},
    {FIELD(conf_listener_tls, client_crl), .type = KEY_TEXT, .form = form_path,
     .doc =
         "PEM file with the full revocation lists of these authorities; one that has ended refuses "
         "every client."},
    {FIELD(conf_listener_tls, client_auth), .type = KEY_CHOICE, .words = client_auths,
     .fallback = "none",
     .doc =
         "Whether clients must show a certificate; requested, for role: brokers only, lets peers "
         "without one log in by SASL over TLS. A balancer's health check should only connect by "
         "TCP where it is required: a TLS handshake without a certificate is a login denied, on "
         "record and counted against its address."},
    {FIELD(conf_listener_tls, optional), .type = KEY_BOOL, .fallback = "false",
     .doc =
         "For role: brokers only: takes peers that speak plaintext, which log in by SASL, on the "
         "same port."},
    {FIELD(conf_listener_tls, principal_mapping_rules), .type = KEY_TEXT, .fallback = "DEFAULT",
     .doc = "How the subject of a client certificate becomes a principal; Kafka's "
            "ssl.principal.mapping.rules."},
    {FIELD(conf_listener_tls, min_version), .type = KEY_CHOICE, .words = tls_versions,
     .fallback = "1.2", .doc = "The oldest TLS version that is spoken."},
};
static const struct key_section listener_tls_section = {
    "listeners[].tls", OPTIONAL(conf_listener_tls), KEYS(listener_tls_keys)};

static const struct key listener_gssapi_keys[] = {
    {FIELD(conf_listener_gssapi, keytab), .type = KEY_TEXT, .required = true, .form = form_path,
     .doc = "Keytab with the listener's keys, readable by nobody else. Others in it are not used."},
    {FIELD(conf_listener_gssapi, service_name), .type = KEY_TEXT, .fallback = "kafka",
     .form = form_name,
     .doc = "The service clients ask tickets for; their sasl.kerberos.service.name."},
    {LIST(conf_listener_gssapi, hosts), .type = KEY_TEXTS, .max = 256, .form = form_reachable,
     .doc = "The host names clients dial and so ask tickets for; 'advertised_host' if not given."},
    {FIELD(conf_listener_gssapi, realm), .type = KEY_TEXT,
     .doc = "The realm whose principals DEFAULT gives a name; krb5.conf's default_realm if not "
            "given."},
    {LIST(conf_listener_gssapi, principal_to_local_rules), .type = KEY_TEXTS, .max = 256,
     .doc = "How a Kerberos principal becomes a principal, a rule each; Kafka's "
            "sasl.kerberos.principal.to.local.rules; DEFAULT if not given."},
    {FIELD(conf_listener_gssapi, bare_first_packet), .type = KEY_BOOL, .fallback = "false",
     .doc = "Takes clients of Kafka 0.9, which begin with their ticket and without a request."},
};
static const struct key_section listener_gssapi_section = {
    "listeners[].gssapi", OPTIONAL(conf_listener_gssapi), KEYS(listener_gssapi_keys)};

static const struct key listener_keys[] = {
    {FIELD(conf_listener, name), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The name in logs, counters and audit records."},
    {FIELD(conf_listener, role), .type = KEY_CHOICE, .words = roles, .fallback = "clients",
     .doc = "Who connects here: clients, or the other brokers of one broker, for which nothing is "
            "rewritten and the requests of brokers are let through."},
    {FIELD(conf_listener, cluster), .type = KEY_TEXT, .required = true, .form = form_name,
     .doc = "The cluster that clients reach through it."},
    {LIST(conf_listener, bind), .type = KEY_ONE_OR_MORE, .required = true, .min = 1, .max = 8,
     .form = form_ip,
     .doc = "The IP address it listens on, or a list of them: a name such as localhost may lead "
            "clients to [127.0.0.1, ::1]."},
    {FIELD(conf_listener, port), .type = KEY_INT, .required = true, .min = 1, .max = PORT_MAX,
     .doc = "The port clients use as bootstrap; it leads to any broker that is up."},
    {FIELD(conf_listener, advertised_host), .type = KEY_TEXT, .form = form_reachable,
     .doc = "The host under which clients reach the ports from 'node_base_port' on, and required "
            "with that."},
    {FIELD(conf_listener, node_base_port), .type = KEY_INT, .min = 1, .max = PORT_MAX,
     .doc = "Clients reach the broker with node id n at this port + n. Role clients requires this "
            "or 'node_network'."},
    {FIELD(conf_listener, node_ports_max), .type = KEY_INT, .min = 1, .max = PORT_MAX,
     .doc = "How many ports from there on may be used: node ids must be smaller than this; 1000 "
            "if not given."},
    {FIELD(conf_listener, node_network), .type = KEY_TEXT, .form = form_network,
     .doc = "Instead of ports, an IPv4 loopback network: clients on this machine reach the broker "
            "with node id n at the nth address of it, at 'port'."},
    {LIST(conf_listener, peers), .type = KEY_TEXTS, .max = ITEMS_MAX, .form = form_principal,
     .doc = "The principals that brokers log in as, and nobody else may. Required for role: "
            "brokers."},
    {LIST(conf_listener, mechanisms), .type = KEY_WORDS, .max = 8, .words = mechanisms,
     .doc = "SASL mechanisms offered to clients, best first; none is login by client "
            "certificate."},
    {FIELD(conf_listener, session_lifetime_ms), .type = KEY_MS, .fallback = "0", .max = WEEK_MS,
     .doc = "How long a SASL login lasts: clients are told and renew it in time (KIP-368), from "
            "others the next request after that is not taken and the connection ends; 0 is for "
            "ever. Where the broker judges the login (passthrough), its lifetime counts instead."},
    {FIELD(conf_listener, allow_plain_without_tls), .type = KEY_BOOL, .fallback = "false",
     .doc = "Allows PLAIN and OAUTHBEARER, which send the password or the token as it is, on an "
            "address other than loopback without TLS."},
    {FIELD(conf_listener, gssapi), .type = KEY_SECTION, .section = &listener_gssapi_section,
     .doc = "Kerberos towards clients, for GSSAPI in 'mechanisms'."},
    {FIELD(conf_listener, tls), .type = KEY_SECTION, .section = &listener_tls_section,
     .doc = "TLS towards clients; without it the listener speaks plaintext."},
};
static const struct key_section listener_section = {"listeners[]", PLACE(conf_listener),
                                                    KEYS(listener_keys)};

static const struct key root_keys[] = {
    {FIELD(config, workers), .type = KEY_SIZE, .fallback = "1", .min = 1, .max = 256,
     .doc = "Threads that carry connections; each has its own sockets, loop and broker "
            "knowledge."},
    {FIELD(config, log), .type = KEY_SECTION, .section = &log_section, .doc = "The log."},
    {FIELD(config, audit), .type = KEY_SECTION, .section = &audit_section,
     .doc = "The record of security decisions."},
    {FIELD(config, ledger), .type = KEY_SECTION, .section = &ledger_section,
     .doc = "The record of what passed, for `setu ledger verify`."},
    {FIELD(config, control), .type = KEY_SECTION, .section = &control_section,
     .doc = "How the running process is spoken to."},
    {FIELD(config, limits), .type = KEY_SECTION, .section = &limits_section,
     .doc = "What one peer may take at most."},
    {FIELD(config, integrity), .type = KEY_SECTION, .section = &integrity_section,
     .doc = "Checks of the data that passes."},
    {FIELD(config, crypto), .type = KEY_SECTION, .section = &crypto_section,
     .doc = "Whose code encrypts."},
    {FIELD(config, security), .type = KEY_SECTION, .section = &security_section,
     .doc = "What the process denies itself."},
    {FIELD(config, pkcs11), .type = KEY_SECTION, .section = &pkcs11_section,
     .doc = "How keys on tokens are reached, for every 'key' that is a URI such as "
            "'pkcs11:token=hsm;object=orders'."},
    {FIELD(config, rotation), .type = KEY_SECTION, .section = &rotation_section,
     .doc = "Certificates that change while Setu runs."},
    {LIST(config, certificates), .type = KEY_ITEMS, .max = ITEMS_MAX,
     .section = &certificate_section, .doc = "The certificates Setu can show to brokers."},
    {FIELD(config, users), .type = KEY_SECTION, .section = &users_section,
     .doc = "The users that clients may log in as."},
    {FIELD(config, oauth), .type = KEY_SECTION, .section = &oauth_section,
     .doc = "The tokens that clients may log in with, by OAUTHBEARER."},
    {LIST(config, mapping), .type = KEY_ITEMS, .max = ITEMS_MAX, .section = &mapping_section,
     .doc = "Which principal is shown to brokers with which certificate; the order means nothing, "
            "and a principal that fits rules with different certificates is refused."},
    {LIST(config, clusters), .type = KEY_ITEMS, .required = true, .min = 1, .max = 100,
     .section = &cluster_section, .doc = "The Kafka clusters behind Setu."},
    {LIST(config, listeners), .type = KEY_ITEMS, .required = true, .min = 1, .max = 1000,
     .section = &listener_section, .doc = "Where clients connect."},
};
const struct key_section keys_root = {"", ALWAYS(config), KEYS(root_keys)};

size_t keys_find(const struct key_section *section, const char *name)
{
    size_t at = 0;
    while (at < section->keys_count && strcmp(section->keys[at].name, name) != 0) {
        at++;
    }
    return at;
}

size_t keys_nearest(const struct key_section *section, const char *name)
{
    const char *names[64 + 1] = {NULL};
    for (size_t i = 0; i < section->keys_count; i++) {
        names[i] = section->keys[i].name;
    }
    const char *nearest = yaml_nearest(name, names);
    return nearest != NULL ? keys_find(section, nearest) : section->keys_count;
}

const struct key_gone *keys_gone(const struct key_section *section, const char *name)
{
    for (const struct key_gone *gone = section->gone; gone != NULL && gone->name != NULL; gone++) {
        if (strcmp(gone->name, name) == 0) {
            return gone;
        }
    }
    return NULL;
}

const char *config_protocol_name(enum conf_protocol protocol)
{
    return protocols[protocol];
}

const char *config_login_name(enum conf_login login)
{
    return logins[login];
}

const char *config_log_level_name(enum conf_log_level level)
{
    return levels[level];
}

const char *config_crc_name(enum conf_crc crc)
{
    return crcs[crc];
}
