/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mapping_facts.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/dn.h"
#include "auth/key_pair.h"
#include "auth/pem.h"
#include "conf/config.h"

/* ---- texts ---- */

static FILE *text_open(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    if (out == NULL) {
        abort();
    }
    return out;
}

static void text_close(FILE *out)
{
    if (fclose(out) != 0) {
        abort();
    }
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        abort();
    }
    return copy;
}

static char *name_text(const X509_NAME *name)
{
    char text[DN_BYTES_MAX];
    return copy_of(dn_print(name, text, sizeof text, NULL) == DN_OK ? text : "(malformed)");
}

/* Bytes of a name that is meant to be ASCII; what is not is shown as it would be in a URI. */
static void put_ascii(FILE *out, const ASN1_STRING *string)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(string);
    for (int i = 0; i < ASN1_STRING_length(string); i++) {
        if (bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != ',' && bytes[i] != '%') {
            fputc(bytes[i], out);
        } else {
            fprintf(out, "%%%02X", bytes[i]);
        }
    }
}

static void put_address(FILE *out, const ASN1_STRING *address)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(address);
    const int length = ASN1_STRING_length(address);
    for (int i = 0; i < length; i++) {
        if (length == 16) {
            fprintf(out, "%s%02x", i > 0 && i % 2 == 0 ? ":" : "", bytes[i]);
        } else {
            fprintf(out, "%s%d", i > 0 ? "." : "", bytes[i]);
        }
    }
}

static void put_name(FILE *out, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        fputs("DNS:", out);
        put_ascii(out, name->d.dNSName);
        break;
    case GEN_URI:
        fputs("URI:", out);
        put_ascii(out, name->d.uniformResourceIdentifier);
        break;
    case GEN_EMAIL:
        fputs("email:", out);
        put_ascii(out, name->d.rfc822Name);
        break;
    case GEN_IPADD:
        fputs("IP:", out);
        put_address(out, name->d.iPAddress);
        break;
    default:
        fputs("other", out);
        break;
    }
}

static char *names_text(const X509 *leaf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = text_open(&text, &size);
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        fputs(i > 0 ? ", " : "", out);
        put_name(out, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    text_close(out);
    return text;
}

static char *usages_text(const X509 *leaf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = text_open(&text, &size);
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        char name[80] = "";
        const ASN1_OBJECT *usage = sk_ASN1_OBJECT_value(usages, i);
        const int nid = OBJ_obj2nid(usage);
        if (nid == NID_undef) {
            (void)OBJ_obj2txt(name, sizeof name, usage, 1);
        }
        fprintf(out, "%s%s", i > 0 ? ", " : "", nid == NID_undef ? name : OBJ_nid2sn(nid));
    }
    EXTENDED_KEY_USAGE_free(usages);
    text_close(out);
    return text;
}

static char *serial_text(const X509 *leaf)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;
    char *text = copy_of(hex != NULL ? hex : "");
    OPENSSL_free(hex);
    BN_free(number);
    return text;
}

/* ---- one certificate ---- */

static bool is_weakly_signed(X509 *certificate)
{
    int bits = 0;
    if ((X509_get_extension_flags(certificate) & EXFLAG_SS) != 0) {
        return false; /* nobody looks at a root's */
    }
    return X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) == 1 &&
           bits < KEY_PAIR_BITS_MIN;
}

static void read_key_facts(struct mapping_certificate *facts, X509 *leaf)
{
    const EVP_PKEY *key = X509_get0_pubkey(leaf);
    const int type = key != NULL ? EVP_PKEY_get_base_id(key) : NID_undef;
    facts->key_type = type == EVP_PKEY_RSA ? "RSA" : type == EVP_PKEY_EC ? "EC" : OBJ_nid2sn(type);
    facts->key_bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;
    int digest = NID_undef;
    (void)X509_get_signature_info(leaf, &digest, NULL, NULL, NULL);
    snprintf(facts->signature, sizeof facts->signature, "%s",
             digest != NID_undef ? OBJ_nid2sn(digest) : "");
}

static void read_usages(struct mapping_certificate *facts, X509 *leaf)
{
    const uint32_t usage = X509_get_extended_key_usage(leaf); /* absent: all bits */
    facts->usages = usages_text(leaf);
    facts->may_be_client = (usage & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
    facts->may_be_server = (usage & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
    facts->says_server = facts->usages[0] != '\0' && facts->may_be_server;
}

static void read_leaf(struct mapping_certificate *facts, X509 *leaf)
{
    facts->leaf = leaf;
    facts->subject = name_text(X509_get_subject_name(leaf));
    facts->issuer = name_text(X509_get_issuer_name(leaf));
    facts->names = names_text(leaf);
    facts->serial = serial_text(leaf);
    certificates_fingerprint(leaf, facts->fingerprint);
    certificates_spki_fingerprint(leaf, facts->spki_fingerprint);
    if (!key_pair_time(X509_get0_notBefore(leaf), &facts->not_before_s) ||
        !key_pair_time(X509_get0_notAfter(leaf), &facts->not_after_s)) {
        facts->not_before_s = facts->not_after_s = 0;
    }
    read_key_facts(facts, leaf);
    read_usages(facts, leaf);
}

static void read_chain(struct mapping_certificate *facts)
{
    struct pem_fault fault;
    STACK_OF(X509) *chain = pem_read_certificates(facts->conf->chain, false, &fault);
    if (chain == NULL) {
        snprintf(facts->problem, sizeof facts->problem, "%s", fault.text);
        facts->subject = copy_of("");
        facts->issuer = copy_of("");
        facts->names = copy_of("");
        facts->serial = copy_of("");
        facts->usages = copy_of("");
        return;
    }
    for (int i = 0; i < sk_X509_num(chain); i++) {
        facts->weak_signature = facts->weak_signature || is_weakly_signed(sk_X509_value(chain, i));
    }
    read_leaf(facts, sk_X509_shift(chain));
    sk_X509_pop_free(chain, X509_free);
}

static void look_at_key(struct mapping_certificate *facts)
{
    struct stat status;
    if (facts->conf->pkcs11 != NULL) {
        facts->key_on_token = true;
        return; /* nobody is asked for a PIN by a verb that only reads files */
    }
    facts->key_found = stat(facts->conf->key, &status) == 0;
    facts->key_mode = facts->key_found ? status.st_mode & 07777 : 0;
}

struct mapping_facts *mapping_facts_new(const struct config *config)
{
    struct mapping_facts *facts = calloc(1, sizeof *facts);
    if (facts == NULL ||
        (facts->items = calloc(config->certificates_count + 1, sizeof *facts->items)) == NULL) {
        abort();
    }
    facts->count = config->certificates_count;
    for (size_t i = 0; i < facts->count; i++) {
        facts->items[i].conf = &config->certificates[i];
        facts->items[i].key_type = "";
        read_chain(&facts->items[i]);
        look_at_key(&facts->items[i]);
    }
    ERR_clear_error();
    return facts;
}

void mapping_facts_free(struct mapping_facts **facts)
{
    struct mapping_facts *gone = *facts;
    *facts = NULL;
    for (size_t i = 0; gone != NULL && i < gone->count; i++) {
        struct mapping_certificate *item = &gone->items[i];
        free(item->subject);
        free(item->issuer);
        free(item->names);
        free(item->serial);
        free(item->usages);
        X509_free(item->leaf);
    }
    if (gone != NULL) {
        free(gone->items);
        free(gone);
    }
}

const struct mapping_certificate *mapping_facts_find(const struct mapping_facts *facts,
                                                     const char *name)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (strcmp(facts->items[i].conf->name, name) == 0) {
            return &facts->items[i];
        }
    }
    return NULL;
}

/* ---- revocation ---- */

static int64_t time_of(const ASN1_TIME *time)
{
    int64_t seconds = 0;
    return time != NULL && key_pair_time(time, &seconds) ? seconds : 0;
}

void mapping_facts_revocation(const struct mapping_certificate *certificate,
                              const struct conf_tls *tls, struct mapping_revocation_facts *facts_r)
{
    struct pem_fault fault;
    *facts_r = (struct mapping_revocation_facts){.state = MAPPING_REVOCATION_UNCHECKED};
    STACK_OF(X509_CRL) *lists =
        tls->crl[0] != '\0' && certificate->leaf != NULL ? pem_read_crls(tls->crl, &fault) : NULL;
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        X509_CRL *list = sk_X509_CRL_value(lists, i);
        X509_REVOKED *entry = NULL;
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(certificate->leaf)) !=
            0) {
            continue;
        }
        facts_r->state = X509_CRL_get0_by_cert(list, &entry, certificate->leaf) == 1
                             ? MAPPING_REVOKED
                             : MAPPING_REVOCATION_GOOD;
        facts_r->list_from_s = time_of(X509_CRL_get0_lastUpdate(list));
        facts_r->list_to_s = time_of(X509_CRL_get0_nextUpdate(list));
        break;
    }
    sk_X509_CRL_pop_free(lists, X509_CRL_free);
    ERR_clear_error();
}

const char *mapping_revocation_name(enum mapping_revocation state)
{
    switch (state) {
    case MAPPING_REVOCATION_GOOD:
        return "good";
    case MAPPING_REVOKED:
        return "revoked";
    case MAPPING_REVOCATION_UNCHECKED:
        break;
    }
    return "unchecked";
}
