/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIPS mode, and what it costs with old peers. Extended master secret (RFC 7627): OpenSSL from 1.1.0 on and Java from
 * 8u161 on have it; CentOS 7's OpenSSL 1.0.2 has not, and RHEL 9.2 and later refuse TLS 1.2 without it in FIPS mode.
 */
#include "proxy/cli/doctor.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

#include "conf/config.h"

enum { LIST_SIZE = 256 };

/* What Setu asks OpenSSL for; whether the default properties leave one. */
enum kind { DIGEST, CIPHER, MAC, KDF, SIGNATURE, EXCHANGE };

static const struct {
    enum kind kind;
    const char *name;
} wanted[] = {
    {DIGEST, "SHA2-256"},     {DIGEST, "SHA2-512"},     {MAC, "HMAC"},
    {KDF, "PBKDF2"},          {KDF, "TLS1-PRF"},        {KDF, "TLS13-KDF"},
    {CIPHER, "AES-128-GCM"},  {CIPHER, "AES-256-GCM"},  {SIGNATURE, "RSA"},
    {SIGNATURE, "ECDSA"},     {SIGNATURE, "ED25519"},   {EXCHANGE, "ECDH"},
};

static bool fetches(enum kind kind, const char *name)
{
    EVP_MD *md = kind == DIGEST ? EVP_MD_fetch(NULL, name, NULL) : NULL;
    EVP_CIPHER *cipher = kind == CIPHER ? EVP_CIPHER_fetch(NULL, name, NULL) : NULL;
    EVP_MAC *mac = kind == MAC ? EVP_MAC_fetch(NULL, name, NULL) : NULL;
    EVP_KDF *kdf = kind == KDF ? EVP_KDF_fetch(NULL, name, NULL) : NULL;
    EVP_SIGNATURE *signature = kind == SIGNATURE ? EVP_SIGNATURE_fetch(NULL, name, NULL) : NULL;
    EVP_KEYEXCH *exchange = kind == EXCHANGE ? EVP_KEYEXCH_fetch(NULL, name, NULL) : NULL;
    const bool there = md != NULL || cipher != NULL || mac != NULL || kdf != NULL ||
                       signature != NULL || exchange != NULL;
    EVP_MD_free(md);
    EVP_CIPHER_free(cipher);
    EVP_MAC_free(mac);
    EVP_KDF_free(kdf);
    EVP_SIGNATURE_free(signature);
    EVP_KEYEXCH_free(exchange);
    return there;
}

void doctor_gather_fips(struct doctor_fips *fips_r)
{
    *fips_r = (struct doctor_fips){0};
    ERR_set_mark();
    fips_r->by_default = EVP_default_properties_is_fips_enabled(NULL) == 1;
    fips_r->provider = OSSL_PROVIDER_available(NULL, "fips") == 1;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!fetches(wanted[i].kind, wanted[i].name)) {
            const size_t used = strlen(fips_r->missing);
            snprintf(fips_r->missing + used, sizeof fips_r->missing - used, "%s%s",
                     used > 0 ? ", " : "", wanted[i].name);
        }
    }
    ERR_pop_to_mark();
}

static void judge_mode(struct doctor *doctor, const struct doctor_fips *fips, bool kernel)
{
    static const char why[] =
        "FIPS mode refuses TLS 1.2 peers without extended master secret (RHEL 9.2 and later), and "
        "fast_aes is not used in it";
    if (!fips->by_default) {
        doctor_add(doctor, "fips", kernel ? DOCTOR_WARN : DOCTOR_OK, why,
                   "let OpenSSL's configuration activate its fips provider and say "
                   "'default_properties = fips=yes', or take the kernel out of FIPS mode",
                   "%s%s",
                   kernel ? "the kernel is in FIPS mode, but OpenSSL is not: Setu is not either"
                          : "not in FIPS mode",
                   fips->provider ? ", though a fips provider is there" : "");
        return;
    }
    doctor_add(doctor, "fips", fips->provider ? DOCTOR_OK : DOCTOR_FAIL, why,
               "install OpenSSL's fips provider, and let its configuration activate it",
               fips->provider ? "OpenSSL is in FIPS mode, and so is Setu"
                              : "OpenSSL is told to be in FIPS mode and has no fips provider");
}

static void judge_algorithms(struct doctor *doctor, const struct doctor_fips *fips)
{
    static const char why[] = "what OpenSSL does not give, Setu cannot do: ED25519 signs the audit "
                              "log, all others are needed for logins and TLS";
    const bool only_audit = strcmp(fips->missing, "ED25519") == 0;
    if (fips->missing[0] == '\0') {
        doctor_add(doctor, "algorithms", DOCTOR_OK, why, "", "OpenSSL has all that Setu uses");
    } else {
        doctor_add(doctor, "algorithms", only_audit ? DOCTOR_WARN : DOCTOR_FAIL, why,
                   only_audit ? "leave audit.signing_key out on this machine, and sign elsewhere"
                              : "mend OpenSSL's configuration (providers, default_properties)",
                   "OpenSSL does not have %s", fips->missing);
    }
}

static void note_name(char list[LIST_SIZE], const char *kind, const char *name)
{
    const size_t used = strlen(list);
    snprintf(list + used, LIST_SIZE - used, "%s%s %s", used > 0 ? ", " : "", kind, name);
}

/* Who may speak TLS 1.2 to us by the configuration. */
static void find_tls12(const struct config *config, char list[LIST_SIZE])
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        if (listener->tls.present && listener->tls.min_version == CONF_TLS_1_2) {
            note_name(list, "listener", listener->name);
        }
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            const struct conf_generation *generation = &cluster->generations[k];
            if (config_protocol_has_tls(generation->protocol) &&
                generation->tls.min_version == CONF_TLS_1_2) {
                note_name(list, "generation", generation->name);
            }
        }
    }
}

void doctor_judge_fips(struct doctor *doctor, const struct doctor_fips *fips, bool kernel)
{
    judge_mode(doctor, fips, kernel);
    judge_algorithms(doctor, fips);
}

void doctor_judge_ems(struct doctor *doctor, const struct doctor_fips *fips,
                      const struct config *config)
{
    static const char why[] =
        "peers with OpenSSL 1.0.x (CentOS 7, and clients built on it) or Java before 8u161 do not "
        "have it, speak no TLS 1.3 either, and cannot be reached from a Setu in FIPS mode at all";
    static const char fix[] =
        "ask `setu probe HOST:PORT` from a machine that is not in FIPS mode: its line "
        "'ext. master' says whether a broker has it; upgrade the peer, or run the Setu it talks "
        "to outside of FIPS mode";
    char list[LIST_SIZE] = "";
    find_tls12(config, list);
    if (list[0] == '\0') {
        doctor_add(doctor, "master_secret", DOCTOR_OK, why, fix,
                   "nobody speaks TLS 1.2: extended master secret does not matter");
    } else {
        doctor_add(doctor, "master_secret", fips->by_default ? DOCTOR_WARN : DOCTOR_OK, why, fix,
                   fips->by_default
                       ? "in FIPS mode TLS 1.2 needs extended master secret: %s"
                       : "TLS 1.2 without extended master secret is taken (not in FIPS mode): %s",
                   list);
    }
}
