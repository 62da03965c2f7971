/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_context.h"

#include "auth/certificates.h"
#include "auth/dn.h"
#include "auth/fast_aes.h"
#include "auth/key_pair.h"
#include "auth/rules.h"
#include "auth/staple.h"
#include "auth/trust.h"
#include "conf/config.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* TLS 1.2: forward secrecy and AEAD only; Java 8 and OpenSSL 1.0.2 have all of it. */
static const char suites[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static void openssl_fault(struct conf_errors *errors, struct conf_place place, const char *what)
{
    char reason[160] = "no reason given";
    const unsigned long error = ERR_peek_last_error();
    if (error != 0) {
        ERR_error_string_n(error, reason, sizeof(reason));
    }
    ERR_clear_error();
    conf_errors_add(errors, place, "%s: %s", what, reason);
}

/* What both legs have in common; NULL only when memory is out. */
static SSL_CTX *make(const SSL_METHOD *method, enum conf_tls_version min_version)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(NULL, fast_aes_properties(), method);
    if (ctx == NULL) {
        abort();
    }
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify_depth(ctx, TLS_VERIFY_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ctx, TLS_PEER_CHAIN_BYTES);
    const int version = min_version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_cipher_list(ctx, suites) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        abort();
    }
    return ctx;
}

/* Own certificate, key and issuers. The ctx takes its own references. */
static bool use_pair(SSL_CTX *ctx, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) * issuers,
                     struct conf_place place, const char *path, struct conf_errors *errors)
{
    /* Exactly the chain of the file is sent; nothing is completed from the trust store. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    if (SSL_CTX_use_cert_and_key(ctx, leaf, key, issuers, 1) != 1) {
        openssl_fault(errors, place, path);
        return false;
    }
    return true;
}

/* Trust ------------------------------------------------------------------------------------- */

static void believe(SSL_CTX *ctx, const struct trust *trust)
{
    SSL_CTX_set1_cert_store(ctx, trust->store);
}

/* The broker leg ---------------------------------------------------------------------------- */

static bool show_identity(SSL_CTX *ctx, const struct certificates *certs, const char *identity,
                          struct conf_place place, struct conf_errors *errors)
{
    if (identity == NULL) {
        return true;
    }
    const struct certificate *cert = certs == NULL ? NULL : certificates_find(certs, identity);
    if (cert == NULL) {
        conf_errors_add(errors, place, "there is no certificate named \"%s\"", identity);
        return false;
    }
    return use_pair(ctx, cert->leaf, cert->key, cert->issuers, place, cert->path, errors);
}

SSL_CTX *tls_client_ctx_from(const struct certificates *certs, const struct trust *trust,
                             const char *identity, const struct conf_tls *tls,
                             struct conf_errors *errors)
{
    ERR_clear_error();
    SSL_CTX *ctx = make(TLS_client_method(), tls->min_version);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    staple_ask(ctx, tls->ocsp);
    believe(ctx, trust);
    if (!show_identity(ctx, certs, identity, tls->place, errors)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

struct trust *tls_client_trust_load(const struct conf_tls *tls, struct conf_errors *errors)
{
    if (tls->ca[0] == '\0') {
        conf_errors_add(errors, tls->place,
                        "ca is missing (name the file of the authorities that "
                        "issue broker certificates)");
        return NULL;
    }
    return trust_load(tls->ca, tls->crl, tls->place, errors);
}

SSL_CTX *tls_client_ctx_new(const struct certificates *certs, const char *identity,
                            const struct conf_tls *tls, struct conf_errors *errors)
{
    struct trust *trust = tls_client_trust_load(tls, errors);
    SSL_CTX *ctx =
        trust != NULL ? tls_client_ctx_from(certs, trust, identity, tls, errors) : NULL;
    trust_unref(&trust);
    return ctx;
}

bool tls_expect_host(SSL *ssl, const char *host)
{
    char name[256];
    struct in6_addr address;
    size_t length = strlen(host);
    /* "name." is the same host, but no certificate is written that way. */
    length -= length > 1 && host[length - 1] == '.' ? 1 : 0;
    if (length == 0 || length >= sizeof(name)) {
        return false;
    }
    memcpy(name, host, length);
    name[length] = '\0';
    const bool is_address =
        inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
    if (!is_address && SSL_set_tlsext_host_name(ssl, name) != 1) {
        return false;
    }
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
                      : X509_VERIFY_PARAM_set1_host(param, name, length) == 1;
}

/* The client leg ---------------------------------------------------------------------------- */

/* Name the authorities in the request, so that a client with several certificates can choose. */
static bool name_authorities(SSL_CTX *ctx)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
    bool good = true;
    for (int i = 0; i < sk_X509_OBJECT_num(objects) && good; i++) {
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        good = cert == NULL || SSL_CTX_add_client_CA(ctx, cert) == 1;
    }
    return good;
}

static bool ask_clients(SSL_CTX *ctx, const struct conf_listener_tls *tls,
                        const struct trust *clients, struct conf_errors *errors)
{
    if (tls->client_auth == CONF_CLIENT_AUTH_NONE) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        return true;
    }
    int required =
        tls->client_auth == CONF_CLIENT_AUTH_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | required, NULL);
    believe(ctx, clients);
    if (!name_authorities(ctx)) {
        openssl_fault(errors, tls->place, tls->client_ca);
        return false;
    }
    return true;
}

/* A session of one listener is nothing on another, whatever a client offers. */
static void separate_sessions(SSL_CTX *ctx, const char *listener)
{
    unsigned char hash[SSL_MAX_SID_CTX_LENGTH];
    unsigned length = 0;
    if (EVP_Digest(listener, strlen(listener), hash, &length, EVP_sha256(), NULL) != 1 ||
        SSL_CTX_set_session_id_context(ctx, hash, length) != 1) {
        abort();
    }
}

SSL_CTX *tls_server_ctx_from(const struct conf_listener *listener, const struct key_pair *pair,
                             const struct trust *clients, struct conf_errors *errors)
{
    const struct conf_listener_tls *tls = &listener->tls;
    ERR_clear_error();
    SSL_CTX *ctx = make(TLS_server_method(), tls->min_version);
    separate_sessions(ctx, listener->name);
    if (!use_pair(ctx, pair->leaf, pair->key, pair->issuers, tls->place, tls->chain, errors) ||
        !ask_clients(ctx, tls, clients, errors)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

bool tls_server_pair_load(const struct conf_listener_tls *tls, int64_t now_s,
                          struct conf_errors *errors, struct key_pair *pair_r)
{
    const struct key_pair_source source = {
        .chain = tls->chain,
        .key = tls->key,
        .pkcs11 = tls->pkcs11,
        .chain_place = tls->place,
        .key_place = tls->place,
        .use = KEY_PAIR_SERVER,
    };
    return key_pair_load(&source, now_s, errors, pair_r);
}

bool tls_server_trust_load(const struct conf_listener_tls *tls, struct conf_errors *errors,
                           struct trust **trust_r)
{
    *trust_r = NULL;
    if (tls->client_auth == CONF_CLIENT_AUTH_NONE) {
        return true;
    }
    if (tls->client_ca[0] == '\0') {
        conf_errors_add(errors, tls->place,
                        "client_ca is missing (client_auth: required needs the "
                        "authorities that issue client certificates)");
        return false;
    }
    *trust_r = trust_load(tls->client_ca, tls->client_crl, tls->place, errors);
    return *trust_r != NULL;
}

SSL_CTX *tls_server_ctx_new(const struct conf_listener *listener, int64_t now_s,
                            struct conf_errors *errors)
{
    struct key_pair pair;
    struct trust *clients = NULL;
    /* Not && : every fault is to be told. */
    const bool shown = tls_server_pair_load(&listener->tls, now_s, errors, &pair);
    const bool asked = tls_server_trust_load(&listener->tls, errors, &clients);
    SSL_CTX *ctx =
        shown && asked ? tls_server_ctx_from(listener, &pair, clients, errors) : NULL;
    key_pair_free(&pair);
    trust_unref(&clients);
    return ctx;
}

/* Peers ------------------------------------------------------------------------------------- */

static enum tls_peer_status name_peer(const struct rules *rules, const char *subject,
                                      struct tls_peer *peer)
{
    char name[DN_BYTES_MAX];
    struct view result = view_from_string(subject);
    if (rules != NULL) {
        switch (rules_apply(rules, result, name, sizeof(name), &peer->rule)) {
        case RULES_OK:
            result = view_from_string(name);
            break;
        case RULES_NO_MATCH:
            return TLS_PEER_NO_RULE;
        case RULES_LIMIT:
            return TLS_PEER_LIMIT;
        case RULES_BAD:
            return TLS_PEER_BAD_NAME;
        }
    }
    return principal_canonical(result, peer->principal) == PRINCIPAL_OK ? TLS_PEER_OK
                                                                        : TLS_PEER_BAD_NAME;
}

enum tls_peer_status tls_peer_principal(const SSL *ssl, const struct rules *rules,
                                        struct tls_peer *peer_r)
{
    *peer_r = (struct tls_peer){0};
    const X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (leaf == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 ||
        SSL_get_verify_result(ssl) != X509_V_OK) {
        return TLS_PEER_NONE;
    }
    certificates_fingerprint(leaf, peer_r->fingerprint);
    char subject[DN_BYTES_MAX];
    size_t length = 0;
    if (dn_print(X509_get_subject_name(leaf), subject, sizeof(subject), &length) != DN_OK) {
        return TLS_PEER_BAD_NAME;
    }
    if (length < sizeof(peer_r->subject)) {
        memcpy(peer_r->subject, subject, length + 1);
    }
    return name_peer(rules, subject, peer_r);
}

static bool is_ems_refusal(unsigned long error)
{
    static const int not_enabled = 233; /* PROV_R_EMS_NOT_ENABLED, unknown to headers before 3.1 */
    return EVP_default_properties_is_fips_enabled(NULL) == 1 &&
           (ERR_GET_REASON(error) == ERR_R_UNSUPPORTED ||
            (ERR_GET_LIB(error) == ERR_LIB_PROV && ERR_GET_REASON(error) == not_enabled));
}

void tls_error_text(unsigned long error, char *out, size_t capacity)
{
    const char *reason = ERR_reason_error_string(error), *library = ERR_lib_error_string(error);
    char number[64] = "";
    if (reason == NULL) {
        snprintf(number, sizeof(number), "%.40s, reason %d",
                 library == NULL ? "unknown library" : library, ERR_GET_REASON(error));
    }
    snprintf(out, capacity, "%s%s", reason == NULL ? number : reason,
             is_ems_refusal(error)
                 ? " (FIPS mode: TLS 1.2 peers without extended master secret are refused)"
                 : "");
}

const char *tls_certificate_text(const SSL *ssl, unsigned long error)
{
    const enum staple_verdict staple = staple_verdict_of(ssl);
    const long verify = SSL_get_verify_result(ssl);
    if (staple_refuses(staple)) {
        return staple_text(staple);
    }
    const char *reason = verify != X509_V_OK ? X509_verify_cert_error_string(verify)
                                             : ERR_reason_error_string(error);
    return reason != NULL ? reason : "unknown";
}
