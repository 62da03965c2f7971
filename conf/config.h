/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as an immutable, reference-counted snapshot of typed values.
 *
 *   setu.yaml ──▶ yaml (tree with places) ──▶ keys (one table) ──▶ struct config ──▶ check (rules
 * between keys)
 *
 * What every field means, its default and its range stand in one table (conf/keys.c), from which
 * conf/REFERENCE.md and conf/setu.example.yaml are generated. Here only what a C reader needs
 * beyond that is said.
 *
 * A snapshot that was handed out has passed every check. Nothing in it ever changes, so that
 * threads read it without locks. Every string is non-NULL; "" = not given. Pointers into a snapshot
 * live until its last config_unref().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <strings.h>

#include "conf/errors.h"

enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARN, CONF_LOG_INFO, CONF_LOG_DEBUG };
enum conf_log_format { CONF_LOG_LOGFMT, CONF_LOG_JSON };
enum conf_audit_failure { CONF_AUDIT_DENY, CONF_AUDIT_CONTINUE };
enum conf_crc { CONF_CRC_OFF, CONF_CRC_OBSERVE, CONF_CRC_ENFORCE };
enum conf_metadata { CONF_METADATA_AS_IS, CONF_METADATA_MERGED };
enum conf_api_versions { CONF_API_VERSIONS_INTERSECTION, CONF_API_VERSIONS_BROKER };
enum conf_protocol {
    CONF_PROTOCOL_PLAINTEXT,
    CONF_PROTOCOL_SSL,
    CONF_PROTOCOL_SASL_PLAINTEXT,
    CONF_PROTOCOL_SASL_SSL,
};
enum conf_login {
    CONF_LOGIN_MAPPED_CERTIFICATE,
    CONF_LOGIN_PASSTHROUGH,
    CONF_LOGIN_SASL,
    CONF_LOGIN_NONE,
    CONF_LOGIN_SCRAM_RELAY,
};
enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
/* Whether brokers have to staple that their certificate is not revoked (auth/staple.h). */
enum conf_ocsp { CONF_OCSP_OFF, CONF_OCSP_IF_STAPLED, CONF_OCSP_REQUIRED };
enum conf_fast_aes { CONF_FAST_AES_OFF, CONF_FAST_AES_AUTO, CONF_FAST_AES_ON };
enum conf_role { CONF_ROLE_CLIENTS, CONF_ROLE_BROKERS };
enum conf_client_auth {
    CONF_CLIENT_AUTH_NONE,
    CONF_CLIENT_AUTH_REQUIRED,
    CONF_CLIENT_AUTH_REQUESTED, /* CONF_ROLE_BROKERS only: without a certificate SASL follows */
};
enum conf_landlock { CONF_LANDLOCK_OFF, CONF_LANDLOCK_BEST_EFFORT, CONF_LANDLOCK_REQUIRED };
enum conf_mapping_kind { CONF_MAPPING_EXACT, CONF_MAPPING_GLOB, CONF_MAPPING_REGEX };

struct conf_log {
    enum conf_log_level level;
    enum conf_log_format format;
    const char *file; /* "-" = standard error */
};

struct conf_audit {
    const char *file; /* "" = no audit log */
    enum conf_audit_failure on_failure;
    const char *signing_key; /* path of a PEM file; "" = there are no checkpoints */
    size_t checkpoint_records;
    uint64_t checkpoint_interval_ms;
    uint64_t unsynced_max_ms;
    size_t rotate_bytes; /* 0 = one file for ever */
    size_t keep;         /* 0 = all */
};

struct conf_ledger {
    const char *directory; /* "" = no ledger */
    size_t rotate_bytes;
};

struct conf_control {
    const char *socket; /* "" = named after the configuration file, see proxy/control.h */
};

struct conf_limits {
    size_t connections;
    size_t connections_per_address; /* 0 = no limit */
    size_t dials_per_broker;
    uint64_t login_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t drain_timeout_ms;
    uint64_t idle_timeout_ms; /* 0 = never */
    size_t login_frame_max_bytes;
    size_t frame_max_bytes;
    size_t rewrite_max_bytes;
    uint64_t login_failure_delay_ms;
};

struct conf_integrity {
    enum conf_crc crc;
};

struct conf_crypto {
    enum conf_fast_aes fast_aes;
};

struct conf_security {
    bool seccomp;
    enum conf_landlock landlock;
    const char *const *readable; /* folders */
    size_t readable_count;
    const char *const *writable; /* folders */
    size_t writable_count;
    const char *user;  /* "" = whoever starts it */
    const char *group; /* "" = the user's own; only with user */
};

/* How keys on a token are reached (auth/pkcs11_key.h). */
struct conf_pkcs11 {
    struct conf_place place;
    bool present;
    const char *module;   /* path of a shared object */
    const char *pin_file; /* "" = the token asks for none */
};

/* Certificates, authorities and revocation lists whose files change while Setu runs. */
struct conf_rotation {
    bool watch; /* false = they are read at a reload only */
    uint64_t interval_ms;
    uint64_t overlap_ms;
};

struct conf_certificate {
    struct conf_place place;
    const char *name;
    const char *chain;                /* path of a PEM file */
    const char *key;                  /* path of a PEM file, or a PKCS#11 URI */
    const struct conf_pkcs11 *pkcs11; /* derived: NULL when the key is a file */
};

struct conf_users {
    const char *file;      /* "" = no users file */
    const char *saslauthd; /* socket of who judges PLAIN; "" = the users file does */
};

/* Which bearer tokens clients may log in with; see auth/tokens.h. */
struct conf_oauth {
    const char *jwks_file;       /* "" = no key: no signed token is believed */
    const char *issuer;          /* "" = any */
    const char *const *audience; /* one of them; none = any */
    size_t audience_count;
    const char *principal_claim;
    const char *scope_claim;
    const char *const *scopes; /* all of them */
    size_t scopes_count;
    uint64_t clock_skew_ms;
    bool allow_unsecured_jws;
};

/* Where a mapping rule holds: for every part given, one of its names; count 0 = anywhere. */
struct conf_when {
    struct conf_place place;
    bool present;
    const char *const *cluster; /* each names an entry of clusters */
    size_t cluster_count;
    const char *const *generation; /* of any of these clusters */
    size_t generation_count;
    const char *const *listener; /* each names an entry of listeners */
    size_t listener_count;
    const char *const *mechanism; /* Kafka's spelling; "SSL" = login by client certificate */
    size_t mechanism_count;
};

struct conf_mapping {
    struct conf_place place;
    const char *name;      /* unique, or "" */
    const char *principal; /* exactly one of these three is not "" */
    const char *principal_glob;
    const char *principal_regex; /* its syntax is checked by auth, which runs it */
    struct conf_when when;
    const char *certificate;        /* names an entry of certificates */
    const char *intended_principal; /* what brokers are to take it for; "" = not said */
    const char *owner;
    const char *ticket;
    const char *approver;
    const char *review_by; /* YYYY-MM-DD or "" */
    bool break_glass;
    enum conf_mapping_kind kind; /* derived: which of the three */
    const char *pattern;         /* derived: the text of that one */
};

/* Trust towards brokers. */
struct conf_tls {
    struct conf_place place;
    bool present; /* false = not in the file, the rest holds defaults */
    const char *ca;
    const char *crl;
    enum conf_ocsp ocsp;
    enum conf_tls_version min_version;
    bool resumption;
};

struct conf_range {
    int32_t first, last; /* both included */
};

/* How brokers of a generation are recognised: every given part must hold; see
 * config_generation_matches(). */
struct conf_match {
    struct conf_place place;
    bool present;
    const struct conf_range *node_ids; /* sorted, disjoint; count 0 = any */
    size_t node_ids_count;
    const char *host; /* glob, letter case ignored; "" = any */
    int port;         /* 0 = any */
    const char *rack; /* "" = any */
    bool probe;       /* recognised by looking at the broker */
};

/* Login to a broker with a stored credential per principal. */
struct conf_generation_sasl {
    struct conf_place place;
    bool present;
    const char *mechanism; /* Kafka's spelling: "SCRAM-SHA-512" */
    const char *credentials_file;
    const char *service_name; /* GSSAPI: tickets are for this service on the broker's host */
};

struct conf_generation {
    struct conf_place place;
    const char *name; /* unique in its cluster */
    struct conf_match match;
    enum conf_protocol protocol;
    enum conf_login login;
    struct conf_generation_sasl sasl; /* present exactly when login is CONF_LOGIN_SASL */
    struct conf_tls tls;              /* present exactly when protocol is SSL or SASL_SSL */
    /* What its brokers are configured with: Setu does nothing by it but predict and warn. */
    const char *ssl_principal_mapping_rules;
    const char *const *super_users; /* "User:name" or "name" */
    size_t super_users_count;
    const char *const *broker_principals; /* the brokers' own; the same */
    size_t broker_principals_count;
};

struct conf_identity_sasl {
    struct conf_place place;
    bool present;
    const char *mechanism;
    const char *username;
    const char *password_file; /* "" exactly with GSSAPI */
    const char *keytab;        /* "" exactly with anything else */
    const char *service_name;  /* GSSAPI: tickets are for this service on the broker's host */
};

/* What Setu itself logs in with when it looks at brokers. */
struct conf_identity {
    struct conf_place place;
    bool present;
    const char *certificate; /* names an entry of certificates; "" = none */
    struct conf_identity_sasl sasl;
};

struct conf_address {
    struct conf_place place;
    const char *host; /* name or literal address, IPv6 without brackets */
    int port;
};

struct conf_cluster {
    struct conf_place place;
    const char *name;
    const struct conf_address *bootstrap;
    size_t bootstrap_count; /* at least 1 */
    bool follow;            /* false: these addresses are one broker, and it is the whole cluster */
    const char *const *allowed_addresses; /* blocks (blocks.h); count 0 = see the key */
    size_t allowed_addresses_count;
    enum conf_api_versions api_versions;
    enum conf_metadata metadata;
    uint64_t refresh_ms;
    struct conf_identity identity;
    const struct conf_generation
        *generations;         /* in the order of the file: the first that matches is taken */
    size_t generations_count; /* at least 1 */
};

struct conf_listener_tls {
    struct conf_place place;
    bool present;  /* false = the listener speaks plaintext */
    bool optional; /* CONF_ROLE_BROKERS only: plaintext peers are taken too */
    const char *chain;
    const char *key;                  /* path of a PEM file, or a PKCS#11 URI */
    const struct conf_pkcs11 *pkcs11; /* derived: NULL when the key is a file */
    const char *client_ca; /* "" only when client_auth is none */
    const char *client_crl; /* "" = nobody is asked whether a client's certificate was revoked */
    enum conf_client_auth client_auth;
    const char *principal_mapping_rules; /* Kafka's ssl.principal.mapping.rules */
    enum conf_tls_version min_version;
};

/* Kerberos towards clients. */
struct conf_listener_gssapi {
    struct conf_place place;
    bool present; /* exactly when mechanisms have GSSAPI and Setu itself judges it */
    const char *keytab;
    const char *service_name;
    const char *const *hosts; /* count 0 = advertised_host alone */
    size_t hosts_count;
    const char *realm;                           /* "" = krb5.conf's default_realm */
    const char *const *principal_to_local_rules; /* count 0 = DEFAULT alone; read by auth */
    size_t principal_to_local_rules_count;
    bool bare_first_packet;
};

struct conf_listener {
    struct conf_place place;
    const char *name;
    enum conf_role role;
    const char *cluster;     /* names an entry of clusters */
    const char *const *bind; /* literal IPv4 or IPv6 addresses, no brackets */
    size_t bind_count;       /* 1 to 8 */
    int port;
    /* CONF_ROLE_CLIENTS only; "" and 0 for CONF_ROLE_BROKERS: nothing is rewritten there. */
    const char *advertised_host;
    int node_base_port;            /* node n is reached at node_base_port + n */
    int node_ports_max;            /* n < node_ports_max; the last port is at most 65535 */
    const char *node_network;      /* "127.80.0.0/16"; "" = ports: node_base_port is 0 then */
    uint32_t node_network_first;   /* derived: its first address, host order: node 0's */
    uint32_t node_network_count;   /* derived: n < this; 0 = none */
    const char *const *peers;      /* CONF_ROLE_BROKERS: the principals that may come */
    size_t peers_count;            /* at least 1 there, 0 elsewhere */
    const char *const *mechanisms; /* Kafka's spelling, in the order they are offered */
    size_t mechanisms_count;       /* 0 = no SASL: the client certificate is the login */
    uint64_t session_lifetime_ms;  /* of a SASL login; 0 = it does not end */
    bool allow_plain_without_tls;
    struct conf_listener_gssapi gssapi;
    struct conf_listener_tls tls;
};

struct config {
    const char *file; /* the name it was loaded under */
    size_t workers;
    struct conf_log log;
    struct conf_audit audit;
    struct conf_ledger ledger;
    struct conf_control control;
    struct conf_limits limits;
    struct conf_integrity integrity;
    struct conf_crypto crypto;
    struct conf_security security;
    struct conf_pkcs11 pkcs11; /* present where a key is on a token */
    struct conf_users users;
    struct conf_oauth oauth;
    struct conf_rotation rotation;
    const struct conf_certificate *certificates;
    size_t certificates_count;
    const struct conf_mapping *mapping;
    size_t mapping_count;
    const struct conf_cluster *clusters;
    size_t clusters_count; /* at least 1 */
    const struct conf_listener *listeners;
    size_t listeners_count; /* at least 1 */
};

/*
 * Reads and checks a file. NULL when there was any error; every problem found is in errors, also
 * warnings of a good file. The caller holds the one reference of the snapshot.
 */
struct config *config_load(const char *path, struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* The same from memory; file is only the name for places and is copied. text is not needed
 * afterwards. */
struct config *config_parse(const char *text, size_t length, const char *file,
                            struct conf_errors *errors) __attribute__((warn_unused_result));

/* Any thread may take and drop references. config_unref() nulls the pointer and accepts a NULL one.
 */
struct config *config_ref(const struct config *config);
void config_unref(struct config **config);

/*
 * Where the value of a field stands in the file: config_place(config, &certificate->key). field is
 * the address of a field of this snapshot. A field that was not in the file (a default) has line 0
 * and only the file name.
 */
struct conf_place config_place(const struct config *config, const void *field);

/* Writes the whole configuration, defaults included, as YAML that loads back to the same
 * configuration. */
void config_dump(const struct config *config, FILE *out);

/* The part of that which is one cluster's: two clusters with the same text mean the same. */
void config_dump_cluster(const struct conf_cluster *cluster, FILE *out);

/* By name; NULL when there is none. */
const struct conf_certificate *config_certificate(const struct config *config, const char *name);
const struct conf_cluster *config_cluster(const struct config *config, const char *name);
const struct conf_listener *config_listener(const struct config *config, const char *name);
const struct conf_generation *config_generation(const struct conf_cluster *cluster,
                                                const char *name);

/*
 * Whether a broker fits what the file says about node id, host, port and rack. node_id -1, host
 * NULL, port 0 or rack NULL = not known: then a generation that asks for that part does not match.
 * No part asked = every broker matches. `probe` is not decided here: for a generation with
 * match.probe, true only means that it is a candidate to look for.
 */
bool config_generation_matches(const struct conf_generation *generation, int32_t node_id,
                               const char *host, int port, const char *rack);

/* Kafka's or the file's spelling of a value: "SASL_SSL", "mapped-certificate", "observe"… */
const char *config_protocol_name(enum conf_protocol protocol);
const char *config_login_name(enum conf_login login);
const char *config_log_level_name(enum conf_log_level level);
const char *config_crc_name(enum conf_crc crc);

static inline bool config_when_is_anywhere(const struct conf_when *when)
{
    return when->cluster_count == 0 && when->generation_count == 0 && when->listener_count == 0 &&
           when->mechanism_count == 0;
}

/* Whether clients of a listener may log in by a certificate of their own ("SSL"). */
static inline bool config_listener_takes_certificates(const struct conf_listener *listener)
{
    return listener->mechanisms_count == 0 ||
           (listener->role == CONF_ROLE_BROKERS && listener->tls.present &&
            listener->tls.client_auth != CONF_CLIENT_AUTH_NONE);
}

/* Whether `key:` names a key on a token and not a file. */
static inline bool config_key_is_token(const char *key)
{
    return strncasecmp(key, "pkcs11:", 7) == 0;
}

static inline bool config_protocol_has_tls(enum conf_protocol protocol)
{
    return protocol == CONF_PROTOCOL_SSL || protocol == CONF_PROTOCOL_SASL_SSL;
}

/* Whether some generation of the cluster has this login. */
bool config_cluster_logs_in(const struct conf_cluster *cluster, enum conf_login login);

/* Whether some listener offers the mechanism. */
bool config_offers(const struct config *config, const char *mechanism);

static inline bool config_protocol_has_sasl(enum conf_protocol protocol)
{
    return protocol == CONF_PROTOCOL_SASL_PLAINTEXT || protocol == CONF_PROTOCOL_SASL_SSL;
}
