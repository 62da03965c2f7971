/* SPDX-License-Identifier: Apache-2.0 */
/* What may go to a broker that judges its clients itself. The rest is shown by test_session and test_attacks_login. */
#include "proxy/session/passthrough.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/login_kit.h"

static struct credentials *users;

static void prepare(void)
{
    users = kit_users();
}

static void tidy(void)
{
    credentials_unref(&users);
}

TestSuite(passthrough, .init = prepare, .fini = tidy);

struct token {
    const char *mechanism;
    const char *text; /* '|' stands for NUL */
    const char *claimed;
    const char *reason; /* NULL: it goes */
};

static void judge(const struct token *token)
{
    char bytes[1024], claimed[PRINCIPAL_SIZE];
    size_t length = strlen(token->text);
    memcpy(bytes, token->text, length + 1);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = bytes[i] == '|' ? '\0' : bytes[i];
    }
    const char *reason =
        passthrough_forbids(users, token->mechanism, view_of((uint8_t *)bytes, length), claimed);
    cr_assert_eq(reason == NULL, token->reason == NULL, "%s %s: %s", token->mechanism, token->text,
                 reason);
    if (reason != NULL) {
        cr_assert_str_eq(reason, token->reason, "%s: %s", token->text, reason);
    }
    cr_assert_str_eq(claimed, token->claimed, "%s", token->text);
}

/* T21, T30: carol may use SCRAM-SHA-512 only; dave is nobody here. */
Test(passthrough, t21_what_may_go_to_the_broker)
{
    static const struct token tokens[] = {
        {"PLAIN", "|alice|x", "alice", NULL},
        {"PLAIN", "alice|alice|x", "alice", NULL},
        {"PLAIN", "|dave|x", "dave", NULL},
        {"PLAIN", "bob|alice|x", "alice", "authzid_mismatch"},
        {"PLAIN", "Alice|alice|x", "alice", "authzid_mismatch"},
        {"PLAIN", "|carol|x", "carol", "mechanism_not_allowed"},
        {"PLAIN", "carol|carol|x", "carol", "mechanism_not_allowed"},
        {"PLAIN", "|alice|", "", "malformed"},
        {"PLAIN", "|alice", "", "malformed"},
        {"PLAIN", "alice", "", "malformed"},
        {"PLAIN", "", "", "malformed"},
        {"PLAIN", "|alice|x|", "", "malformed"},
        {"PLAIN", "|ali|ce|x", "", "malformed"},
        {"PLAIN", "||x", "", "principal_not_canonical"},
        {"PLAIN", "|alice |x", "alice ", "principal_not_canonical"},
        {"PLAIN", "|ali\nce|x", "ali\nce", "principal_not_canonical"},
        {"PLAIN", "|ali\xc2\xad" "ce|x", "ali\xc2\xad" "ce", "principal_not_canonical"},
        {"SCRAM-SHA-512", "n,,n=alice,r=abc", "alice", NULL},
        {"SCRAM-SHA-512", "n,,n=carol,r=abc", "carol", NULL},
        {"SCRAM-SHA-512", "n,a=alice,n=alice,r=abc", "alice", NULL},
        {"SCRAM-SHA-256", "n,a=d=3D=2Ce,n=d=3D=2Ce,r=abc", "d=,e", NULL},
        {"SCRAM-SHA-512", "n,a=bob,n=alice,r=abc", "alice", "authzid_mismatch"},
        {"SCRAM-SHA-512", "n,a==,n=alice,r=abc", "alice", "authzid_mismatch"},
        {"SCRAM-SHA-256", "n,,n=carol,r=abc", "carol", "mechanism_not_allowed"},
        {"SCRAM-SHA-512", "n,,n=alice,r=abc,tokenauth=true", "alice", "tokenauth"},
        {"SCRAM-SHA-512", "n,,n=alice ,r=abc", "alice ", "principal_not_canonical"},
        {"SCRAM-SHA-512", "n,,n=al=ice,r=abc", "", "malformed"},
        {"SCRAM-SHA-512", "n,,n=alice", "", "malformed"},
        {"SCRAM-SHA-512", "|alice|x", "", "malformed"},
        {"GSSAPI", "|alice|x", "", "passthrough_name"},
        {"OAUTHBEARER", "n,,\x01" "auth=Bearer x\x01\x01", "", "passthrough_name"},
        {"OAUTHBEARER", "|alice|x", "", "passthrough_name"},
    };
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        judge(&tokens[i]);
    }
}

Test(passthrough, names_longer_than_any_go_nowhere)
{
    char text[300] = "|", claimed[PRINCIPAL_SIZE];
    memset(text + 1, 'a', 256);
    memcpy(text + 257, "|x", 3);
    struct token plain = {"PLAIN", text, claimed, "principal_not_canonical"};
    memset(claimed, 'a', PRINCIPAL_BYTES_MAX);
    claimed[PRINCIPAL_BYTES_MAX] = '\0';
    judge(&plain);
}

Test(passthrough, without_a_users_file_nobody_is_held_to_a_mechanism)
{
    char claimed[PRINCIPAL_SIZE];
    const char token[] = "n,,n=carol,r=abc";
    cr_assert_null(
        passthrough_forbids(NULL, "SCRAM-SHA-256", view_from_string(token), claimed));
    cr_assert_str_eq(claimed, "carol");
}
