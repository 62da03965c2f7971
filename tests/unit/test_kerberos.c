/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/kerberos.h"

#include <criterion/criterion.h>

#include "auth/gssapi_client.h"
#include "auth/principal.h"
#include "tests/unit/kerberos_kit.h"

static const char *const own[] = {"kafka/localhost@EXAMPLE.COM", "HTTP/localhost@EXAMPLE.COM",
                                  "kafka/other.example@EXAMPLE.COM", "orders@EXAMPLE.COM", NULL};

static void setup(void)
{
    kit_open();
    kit_keytab("good.keytab", own, 0600);
}

TestSuite(kerberos, .init = setup, .fini = kit_close);

static struct kerberos_acceptor *load(const char *format, struct conf_errors *errors)
{
    char section[1024];
    snprintf(section, sizeof section, format, kit_folder);
    struct config *config = kit_config(section);
    conf_errors_init(errors);
    struct kerberos_acceptor *acceptor =
        kerberos_acceptor_load(config, &config->listeners[0], errors);
    cr_assert_eq(acceptor == NULL, errors->errors > 0);
    config_unref(&config);
    return acceptor;
}

static void refuses(const char *format, const char *text)
{
    struct conf_errors errors;
    struct kerberos_acceptor *acceptor = load(format, &errors);
    cr_assert_null(acceptor, "%s", format);
    cr_assert_geq(errors.errors, 1);
    cr_assert_not_null(strstr(errors.items[0].text, text), "%s: %s", format, errors.items[0].text);
    cr_assert_gt(errors.items[0].line, 0, "%s has a place", format);
    conf_errors_deinit(&errors);
}

static void accepts(const char *format)
{
    struct conf_errors errors;
    struct kerberos_acceptor *acceptor = load(format, &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(acceptor, "%s", format);
    cr_assert_not_null(kerberos_acceptor_credential(acceptor));
    cr_assert_str_eq(kerberos_acceptor_system_realm(acceptor), "EXAMPLE.COM");
    struct kerberos_acceptor *second = kerberos_acceptor_ref(acceptor);
    kerberos_acceptor_unref(&acceptor);
    cr_assert_null(acceptor);
    char name[PRINCIPAL_SIZE];
    cr_assert_eq(
        kerberos_acceptor_name(second, view_from_string("alice@EXAMPLE.COM"), name, sizeof name),
        KERBEROS_NAME_OK);
    cr_assert_str_eq(name, "alice");
    kerberos_acceptor_unref(&second);
    kerberos_acceptor_unref(&second);
    conf_errors_deinit(&errors);
}

Test(kerberos, an_acceptor_has_the_keys_of_its_hosts)
{
    accepts("keytab: %s/good.keytab");
    accepts("keytab: %s/good.keytab, service_name: http");
    accepts("keytab: %s/good.keytab, hosts: [localhost, OTHER.example]");
    accepts("keytab: %s/good.keytab, principal_to_local_rules: ['RULE:[2:x]', DEFAULT]");
}

Test(kerberos, a_host_without_a_key_is_told)
{
    refuses("keytab: %s/good.keytab, service_name: nfs", "nfs/localhost");
    refuses("keytab: %s/good.keytab, hosts: [localhost, third.example]", "kafka/third.example");
}

Test(kerberos, rules_are_read_with_the_rest)
{
    refuses("keytab: %s/good.keytab, principal_to_local_rules: [DEFAULT, 'RULE:[1:$2]']",
            "at character 9");
    refuses("keytab: %s/good.keytab, principal_to_local_rules: [nonsense]", "neither DEFAULT");
}

Test(kerberos, without_a_realm_default_means_nothing)
{
    kit_krb5_conf("");
    refuses("keytab: %s/good.keytab", "default_realm");
}

Test(kerberos, t52_a_keytab_is_a_key_file)
{
    kit_keytab("open.keytab", own, 0644);
    kit_write("text.keytab", "this is no keytab\n", 0600);
    kit_write("empty.keytab", "", 0600);
    cr_assert_eq(symlink(kit_path("good.keytab"), kit_path("link.keytab")), 0);
    cr_assert(mkdir(kit_path("open"), 0700) == 0 && chmod(kit_path("open"), 0777) == 0);
    cr_assert_eq(symlink(kit_path("good.keytab"), kit_path("open/link.keytab")), 0);
    accepts("keytab: %s/link.keytab"); /* nobody else could have made it */
    refuses("keytab: %s/open.keytab", "is not safe");
    refuses("keytab: %s/open/link.keytab", "is not safe");
    refuses("keytab: %s/text.keytab", "is no keytab");
    refuses("keytab: %s/empty.keytab", "is no keytab");
    refuses("keytab: %s/missing.keytab", "cannot be read");
}

static struct kerberos_login *login_of(const char *principal, const char *keytab)
{
    struct kerberos_fault fault;
    struct kerberos_login *login = kerberos_login_new(principal, kit_path(keytab), &fault);
    cr_assert_not_null(login, "%s", fault.text);
    return login;
}

Test(kerberos, a_login_has_its_own_keys_only)
{
    struct kerberos_fault fault;
    struct kerberos_login *login = login_of("orders@EXAMPLE.COM", "good.keytab");
    struct kerberos_login *second = kerberos_login_ref(login);
    kerberos_login_unref(&login);
    kerberos_login_unref(&second);
    login = login_of("orders", "good.keytab"); /* of the default realm */
    kerberos_login_unref(&login);
    cr_assert_null(kerberos_login_new("payments", kit_path("good.keytab"), &fault));
    cr_assert_not_null(strstr(fault.text, "no key for this principal"), "%s", fault.text);
    cr_assert_null(kerberos_login_new("orders@", kit_path("none.keytab"), &fault));
    cr_assert_null(kerberos_login_new("a@b@c", kit_path("good.keytab"), &fault));
    cr_assert_not_null(strstr(fault.text, "no Kerberos principal"), "%s", fault.text);
    cr_assert_null(kerberos_login_new("orders", kit_path("none.keytab"), &fault));
}

Test(kerberos, without_a_kdc_there_is_no_ticket_and_a_reason)
{
    struct kerberos_login *login = login_of("orders", "good.keytab");
    struct kerberos_fault fault = {.text = ""};
    struct writer reply;
    writer_init_growing(&reply, 65536);
    for (int i = 0; i < 3; i++) {
        struct gssapi_client *client = gssapi_client_new(login, "kafka", "broker.example");
        cr_assert_eq(gssapi_client_step(client, view_of(NULL, 0), &reply, &fault),
                     GSSAPI_CLIENT_NO_TICKET);
        cr_assert_not_null(strstr(fault.text, "KDC"), "%s", fault.text);
        cr_assert_eq(reply.length, 0);
        gssapi_client_free(&client);
        cr_assert_null(client);
    }
    writer_free(&reply);
    kerberos_login_unref(&login);
}

Test(kerberos, a_broker_that_speaks_first_is_refused)
{
    struct kerberos_login *login = login_of("orders", "good.keytab");
    struct kerberos_fault fault;
    struct writer reply;
    struct gssapi_client *client = gssapi_client_new(login, "kafka", "broker.example");
    writer_init_growing(&reply, 65536);
    cr_assert_eq(gssapi_client_step(client, view_from_string("x"), &reply, &fault),
                 GSSAPI_CLIENT_REFUSED);
    gssapi_client_free(&client);
    gssapi_client_free(&client);
    writer_free(&reply);
    kerberos_login_unref(&login);
}
