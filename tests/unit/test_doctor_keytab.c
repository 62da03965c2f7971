/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/keytab.h"

#include <criterion/criterion.h>

#include "tests/unit/doctor_kit.h"
#include "tests/unit/kerberos_kit.h"

TestSuite(doctor_keytab, .init = kit_open, .fini = kit_close);

static void add_key(const char *file, const char *principal, krb5_kvno kvno, krb5_enctype enctype)
{
    krb5_context context;
    krb5_keytab table;
    krb5_keytab_entry entry = {.vno = kvno};
    uint8_t bytes[32] = {1, 2, 3};
    char full[300];
    cr_assert_eq(krb5_init_context(&context), 0);
    snprintf(full, sizeof full, "WRFILE:%s", kit_path(file));
    cr_assert_eq(krb5_kt_resolve(context, full, &table), 0);
    cr_assert_eq(krb5_parse_name(context, principal, &entry.principal), 0);
    entry.key = (krb5_keyblock){.enctype = enctype, .length = 16, .contents = bytes};
    entry.key.length = enctype == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ? 32 : 16;
    cr_assert_eq(krb5_kt_add_entry(context, table, &entry), 0);
    krb5_free_principal(context, entry.principal);
    cr_assert_eq(krb5_kt_close(context, table), 0);
    krb5_free_context(context);
    cr_assert_eq(chmod(kit_path(file), 0600), 0);
}

static int judged(const char *more)
{
    char section[512];
    forget();
    snprintf(section, sizeof section, "keytab: %s/k.keytab%s", kit_folder, more);
    struct config *config = kit_config(section);
    doctor_judge_keytabs(&doctor, config);
    config_unref(&config);
    return says("keytab");
}

static void mentions(size_t finding, const char *text)
{
    cr_assert_lt(finding, doctor.count);
    cr_assert_not_null(strstr(doctor.findings[finding].what, text), "%s",
                       doctor.findings[finding].what);
}

Test(doctor_keytab, the_newest_key_is_told)
{
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 2, ENCTYPE_ARCFOUR_HMAC);
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 7, ENCTYPE_ARCFOUR_HMAC);
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 7, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    add_key("k.keytab", "HTTP/localhost@EXAMPLE.COM", 9, ENCTYPE_ARCFOUR_HMAC);
    cr_assert_eq(judged(""), DOCTOR_OK);
    mentions(0, "kafka/localhost@EXAMPLE.COM, kvno 7, aes256-cts-hmac-sha1-96");
    forget();
}

Test(doctor_keytab, a_weak_key_is_warned_of)
{
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 2, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 3, ENCTYPE_ARCFOUR_HMAC);
    cr_assert_eq(judged(""), DOCTOR_WARN, "the newest one is what the KDC uses");
    mentions(0, "kvno 3, arcfour-hmac");
    forget();
}

Test(doctor_keytab, each_host_needs_its_key)
{
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 2, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    cr_assert_eq(judged(", hosts: [LOCALHOST, other.example]"), DOCTOR_FAIL);
    mentions(0, "kvno 2");
    mentions(1, "no key for kafka/other.example");
    cr_assert_eq(judged(", service_name: nfs"), DOCTOR_FAIL);
    forget();
}

/* T52 */
Test(doctor_keytab, t52_what_cannot_be_used_is_told)
{
    cr_assert_eq(judged(""), DOCTOR_FAIL);
    mentions(0, "cannot be read");
    add_key("k.keytab", "kafka/localhost@EXAMPLE.COM", 2, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    cr_assert_eq(chmod(kit_path("k.keytab"), 0644), 0);
    cr_assert_eq(judged(""), DOCTOR_FAIL);
    mentions(0, "is not safe");
    kit_write("k.keytab", "this is no keytab\n", 0600);
    cr_assert_eq(judged(""), DOCTOR_FAIL);
    mentions(0, "is no keytab");
    forget();
}
