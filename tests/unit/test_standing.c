/* SPDX-License-Identifier: Apache-2.0 */
/* Who has come in by a Kerberos ticket, and a reload: two snapshots, loaded from files. */
#include "proxy/session/standing.h"

#include <criterion/criterion.h>

#include "proxy/session/edition.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "tests/unit/kerberos_kit.h"

static const char *const own[] = {"kafka/localhost@EXAMPLE.COM",
                                  "kafka/other.example@EXAMPLE.COM", NULL};
static struct shared *before, *after;
static struct edition edition;
static struct gate gate;
static struct session session;

static struct shared *load(const char *mechanisms, const char *gssapi)
{
    char text[4096];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text,
             "audit: {file: \"\"}\n"
             "users: {file: %s/users.yaml}\n"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: ['127.0.0.1:9092']\n"
             "    generations:\n"
             "      - {name: g, protocol: PLAINTEXT, login: none}\n"
             "listeners:\n"
             "  - name: l\n"
             "    cluster: main\n"
             "    bind: 127.0.0.1\n"
             "    port: 19092\n"
             "    advertised_host: localhost\n"
             "    node_base_port: 19100\n"
             "    mechanisms: [%s]\n"
             "%s",
             kit_folder, mechanisms, gssapi);
    kit_write("setu.yaml", text, 0600);
    struct shared *shared = shared_load(kit_path("setu.yaml"), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(shared);
    conf_errors_deinit(&errors);
    return shared;
}

/* `more` is what else stands in the section. */
static struct shared *load_gssapi(const char *keytab, const char *more)
{
    char section[512];
    snprintf(section, sizeof section, "    gssapi: {keytab: %s/%s%s}\n", kit_folder, keytab, more);
    return load("GSSAPI, SCRAM-SHA-512", section);
}

static void setup(void)
{
    kit_open();
    kit_keytab("one.keytab", own, 0600);
    kit_keytab("two.keytab", own, 0600); /* other keys */
    kit_write("users.yaml", "users: []\n", 0600);
    before = load_gssapi("one.keytab", "");
    edition.shared = before;
    gate = (struct gate){.edition = &edition, .conf = before->config->listeners};
    session = (struct session){.gate = &gate, .principal = (char *)"alice", .mechanism = "GSSAPI"};
}

static void teardown(void)
{
    shared_unref(&after);
    shared_unref(&before);
    kit_close();
}

TestSuite(standing, .init = setup, .fini = teardown);

static bool stands(struct shared *now)
{
    after = now;
    return standing_holds(&session, now, now->config->listeners);
}

Test(standing, a_ticket_stands_where_nothing_has_changed)
{
    cr_assert(stands(load_gssapi("one.keytab", "")));
}

Test(standing, a_ticket_falls_with_its_keys)
{
    cr_assert_not(stands(load_gssapi("two.keytab", "")));
}

/* The file keeps its name. */
Test(standing, a_ticket_falls_with_its_keys_in_the_same_file)
{
    cr_assert_eq(rename(kit_path("two.keytab"), kit_path("one.keytab")), 0);
    cr_assert_not(stands(load_gssapi("one.keytab", "")));
}

Test(standing, a_ticket_falls_with_the_rules_that_named_its_holder)
{
    const char rules[] = ", principal_to_local_rules: ['RULE:[1:$1-$0]', DEFAULT]";
    cr_assert_not(stands(load_gssapi("one.keytab", rules)));
}

Test(standing, a_ticket_falls_with_its_realm)
{
    cr_assert_not(stands(load_gssapi("one.keytab", ", realm: OTHER.ORG")));
}

Test(standing, a_ticket_falls_with_its_hosts)
{
    cr_assert_not(stands(load_gssapi("one.keytab", ", hosts: [other.example]")));
}

Test(standing, a_ticket_falls_with_the_mechanism)
{
    cr_assert_not(stands(load("SCRAM-SHA-512", "")));
}

Test(standing, a_ticket_falls_with_its_holders_entry)
{
    kit_write("users.yaml", "users:\n  - {name: alice, mechanisms: [OAUTHBEARER]}\n", 0600);
    cr_assert_not(stands(load_gssapi("one.keytab", "")));
}

Test(standing, a_ticket_stands_by_itself)
{
    kit_write("users.yaml", "users:\n  - {name: bob, mechanisms: [GSSAPI]}\n", 0600);
    cr_assert(stands(load_gssapi("one.keytab", "")), "others come and go");
}

Test(standing, a_password_falls_with_its_mechanism)
{
    session.mechanism = "SCRAM-SHA-512";
    cr_assert_not(stands(load("SCRAM-SHA-256", "")));
}

static void be_passed_through(void)
{
    session.mechanism = "SCRAM-SHA-512";
    session.passthrough = true;
}

Test(standing, who_was_judged_by_the_broker_stands)
{
    be_passed_through();
    kit_write("users.yaml", "users:\n  - {name: bob, mechanisms: [OAUTHBEARER]}\n", 0600);
    cr_assert(stands(load_gssapi("two.keytab", "")), "what else has changed here says nothing");
}

Test(standing, who_was_judged_by_the_broker_falls_with_the_mechanism)
{
    be_passed_through();
    cr_assert_not(stands(load("SCRAM-SHA-256", "")));
}

Test(standing, who_was_judged_by_the_broker_falls_with_his_entry)
{
    be_passed_through();
    kit_write("users.yaml", "users:\n  - {name: alice, mechanisms: [OAUTHBEARER]}\n", 0600);
    cr_assert_not(stands(load_gssapi("one.keytab", "")));
}
