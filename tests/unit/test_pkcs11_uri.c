/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/forms.h"

Test(pkcs11_uri, good_ones)
{
    static const char *const good[] = {
        "pkcs11:token=hsm;object=orders",
        "pkcs11:token=hsm;object=orders;type=private",
        "pkcs11:serial=0a1b;id=%01%ff",
        "PKCS11:token=my%20token;manufacturer=x;model=SoftHSM%20v2;object=a%3Bb",
        "/etc/setu/orders.key",
        "relative.key",
        "pkcs11",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_expect_null(form_key(good[i]), "%s: %s", good[i], form_key(good[i]));
    }
    cr_expect(config_key_is_token(good[0]));
    cr_expect(config_key_is_token(good[3]));
    cr_expect_not(config_key_is_token("/pkcs11:x"));
    cr_expect_not(config_key_is_token("pkcs11"));
}

Test(pkcs11_uri, bad_ones)
{
    static const struct {
        const char *uri, *why;
    } bad[] = {
        {"pkcs11:", "a part that Setu does not know"},
        {"pkcs11:token", "a part that Setu does not know"},
        {"pkcs11:token=hsm;object=o;slot-id=3", "a part that Setu does not know"},
        {"pkcs11:token=hsm;object=o;", "a part that Setu does not know"},
        {"pkcs11:Token=hsm;object=o", "a part that Setu does not know"},
        {"pkcs11:token=hsm;token=b;object=o", "twice"},
        {"pkcs11:token=;object=o", "empty"},
        {"pkcs11:token=a b;object=o", "RFC 7512"},
        {"pkcs11:token=a%2;object=o", "RFC 7512"},
        {"pkcs11:token=a%zz;object=o", "RFC 7512"},
        {"pkcs11:token=a%00b;object=o", "RFC 7512"},
        {"pkcs11:token=\xc3\xa4;object=o", "RFC 7512"},
        {"pkcs11:token=a/b;object=o", "RFC 7512"},
        {"pkcs11:token=hsm;object=o;type=cert", "not that of a private key"},
        {"pkcs11:object=o", "does not say which token"},
        {"pkcs11:token=hsm", "does not say which key"},
        {"pkcs11:token=hsm;object=o?module-path=/x.so", "has a query"},
        {"pkcs11:token=hsm;object=o?pin-source=file:/x", "has a query"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *why = form_key(bad[i].uri);
        cr_assert_not_null(why, "%s", bad[i].uri);
        cr_expect_not_null(strstr(why, bad[i].why), "%s: %s", bad[i].uri, why);
    }
    char text[2000] = "pkcs11:token=hsm;object=";
    memset(text + strlen(text), 'a', 1500);
    cr_expect_not_null(strstr(form_key(text), "too long"));
    cr_expect_not_null(form_module("softhsm.so"));
    cr_expect_null(form_module("/usr/lib/softhsm/libsofthsm2.so"));
}

/* Neither what is wrong with it nor anything else that is printed may hold it. */
Test(pkcs11_uri, a_pin_in_it_is_refused_and_not_told)
{
    static const char *const with[] = {"pkcs11:token=hsm;object=o?pin-value=4711",
                                       "pkcs11:token=hsm;pin-value=4711;object=o"};
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        snprintf(text, sizeof text, "certificates: [{name: a, chain: a.pem, key: '%s'}]\n",
                 with[i]);
        struct conf_errors errors;
        conf_errors_init(&errors);
        cr_assert_null(config_parse(text, strlen(text), "setu.yaml", &errors));
        char *printed = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&printed, &size);
        conf_errors_print(&errors, out);
        fclose(out);
        cr_expect_not_null(strstr(printed, "setu.yaml:1:45: 'key' holds a PIN"), "%s",
                           printed);
        cr_expect_null(strstr(printed, "4711"), "%s", printed);
        free(printed);
        conf_errors_deinit(&errors);
    }
}

static const char rest[] =
    "clusters:\n"
    "  - {name: main, bootstrap: ['a:1'], identity: {certificate: o}, generations: [{name: g,\n"
    "     protocol: SSL, login: mapped-certificate, tls: {ca: ca.pem}}]}\n"
    "listeners:\n"
    "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1, advertised_host: h,\n"
    "     node_base_port: 2, mechanisms: [SCRAM-SHA-512],\n"
    "     tls: {chain: l.pem, key: '%s'}}\n"
    "users: {file: u}\n"
    "audit: {file: a}\n"
    "mapping: [{principal: o, certificate: o}]\n"
    "certificates: [{name: o, chain: o.pem, key: '%s'}]\n%s";

static struct config *load(const char *listener, const char *own, const char *more, char why[512])
{
    char text[2048];
    snprintf(text, sizeof text, rest, listener, own, more);
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    why[0] = '\0';
    if (errors.count > 0) {
        snprintf(why, 512, "%d:%d: %s", errors.items[0].line, errors.items[0].column,
                 errors.items[0].text);
    }
    conf_errors_deinit(&errors);
    return config;
}

Test(pkcs11_uri, every_key_on_a_token_needs_to_know_how)
{
    static const char token[] = "pkcs11:token=t;object=o", how[] = "pkcs11: {module: /m.so}\n";
    char why[512];
    struct config *config = load(token, token, how, why);
    cr_assert_not_null(config, "%s", why);
    cr_expect_str_eq(why, "");
    cr_expect_eq(config->certificates[0].pkcs11, &config->pkcs11);
    cr_expect_eq(config->listeners[0].tls.pkcs11, &config->pkcs11);
    cr_expect_str_eq(config->pkcs11.pin_file, "");
    config_unref(&config);
    config = load("l.key", token, how, why);
    cr_expect_null(config->listeners[0].tls.pkcs11);
    config_unref(&config);
    cr_expect_null(load(token, "o.key", "", why));
    cr_expect_eq(strncmp(why, "7:31: 'key' is on a token", 25), 0, "%s", why);
    cr_expect_null(load("l.key", token, "", why));
    cr_expect_eq(strncmp(why, "11:45: 'key' is on a token", 26), 0, "%s", why);
    cr_expect_null(load(token, token, "pkcs11: {pin_file: /p}\n", why), "no module");
    config = load("l.key", "o.key", how, why);
    cr_expect_not_null(strstr(why, "no 'key' is on a token"), "%s", why);
    config_unref(&config);
}
