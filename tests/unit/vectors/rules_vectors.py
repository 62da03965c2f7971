#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write rules_vectors.def: principal mapping rules as Kafka itself applies them.

usage: CLASSPATH=kafka-clients.jar rules_vectors.py > rules_vectors.def     (needs a JDK 17)
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ORDERS = "CN=orders,OU=Kafka,O=Example,C=DE"

CASES = [
    ("DEFAULT", ORDERS), ("DEFAULT", ""), ("", ORDERS), (" , ,", ORDERS), (" DEFAULT , ", ORDERS),
    ("RULE:^CN=([^,]+),.*$/$1/,DEFAULT", ORDERS),
    ("RULE:^CN=([^,]+),.*$/$1/,DEFAULT", "O=Example,CN=orders"),
    ("RULE:^CN=([^,]+),.*$/$1/", "O=Example,CN=orders"),
    ("RULE:CN=([^,]+)/$1/", ORDERS),
    ("RULE:^CN=(.*?),OU=(.*?),O=(.*?),C=(.*?)$/$1@$2.$3/L", ORDERS),
    ("RULE:^CN=(.*?),OU=(.*?),O=(.*?),C=(.*?)$/$1@$2.$3/U", ORDERS),
    ("RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/", "CN=evil,OU=team CN=admin"),
    ("RULE:^cn=(.*?),ou=x$/$1/L, RULE:^uid=(.*?)$/$1/ ,\nDEFAULT", "uid=7"),
    ("RULE:(.*)/x/", "CN=a"), ("RULE:^(.*)$/x/", "CN=a"), ("RULE:.*/x/", ""),
    ("RULE:(.*?)/[$1]/", "ab"), ("RULE:.*?/-/", "üa日"), ("RULE:a*/-/", "aa"), ("RULE:(a|ab)(c|bcd)*/$1/", "abcd"),
    ("RULE:(?:a|ab)/x/", "ab"),
    ("RULE:CN=(.*)\\/(.*)/$1\\/$2/", "CN=a/b"), ("RULE:^(.*)$/\\$1/", "CN=a"),
    ("RULE:^(.*)$/\\\\$1/", "CN=a"), ("RULE:^(.*)$/a\\bc/", "CN=a"),
    ("RULE:^(.*)$/$1@$4/", "CN=a"), ("RULE:^(.*)$/$12/", "CN=a"), ("RULE:^(.*)$/$0$00$01/", "CN=a"),
    ("RULE:^(.)(.*)$/$21/", "CN=a"), ("RULE:^(?<who>.*)$/${who}!/", "CN=a"),
    ("RULE:^CN=(a)?(.*)$/<$1>$2/", "CN=b"),
    ("RULE:^(?i)cn=(.*)$/$1/", "CN=a"), ("RULE:^(?i:cn)=(.*)$/$1/", "Cn=A"),
    ("RULE:^CN=(.*)$/$1/U", "CN=straße"), ("RULE:^CN=(.*)$/$1/L", "CN=MÜNCHEN ΑΒΓ ЖУК"),
    ("RULE:^CN=(.*)$/$1/U", "CN=ÿµ日本"),
    ("RULE:^CN=([\\p{L}0-9]+)$/$1/", "CN=Füür9"), ("RULE:^CN=(.)$/$1/", "CN=😀"),
    ("RULE:^CN=([^,]*),.*$/$1/", "CN=a\\,b,O=x"), ("RULE:^CN=\\Qa.b\\E$/hit/", "CN=a.b"),
    ("RULE:^CN=\\Qa.b\\E$/hit/", "CN=axb"), ("RULE:^CN=[\\w.-]{2,4}+$/hit/", "CN=a-.b"),
    ("RULE:^CN=(?=a)(?!b).(?<=a)$/hit/", "CN=a"), ("RULE:^CN=(.)\\1$/$1/", "CN=bb"),
    ("RULE:///", "CN=a"), ("RULE://", ""), ("RULE://x/", ""), ("RULE:^$/x/", ""),
    ("RULE:a,b/c/", "a,b"), ("RULE:.*//", "CN=a"), ("RULE:^CN=(.*)$/ $1 /", "CN=a"),
    ("RULE:^.*$/x/L ,DEFAULT", "CN=a"),
    # refused
    ("default", ORDERS), ("DEFAULTS", ORDERS), ("DEFAULT DEFAULT", ORDERS), ("RULE:", ORDERS),
    ("RULE:a", ORDERS), ("RULE:a/b", ORDERS), ("RULE:a/b/LU", ORDERS), ("RULE:a/b/ L", ORDERS),
    ("RULE:a/b/l", ORDERS), ("RULE:(/b/", ORDERS), ("RULE:[/b/", ORDERS), ("RULE:*/b/", ORDERS),
    ("rule:a/b/", ORDERS), ("RULE:^(.*)$/${no}/", "CN=a"), ("RULE:^(.*)$/$/", "CN=a"),
    ("RULE:^.*$/$1/", "CN=a"), ("RULE:^(.*)$/\\$5/", "CN=a"), ("RULE:^.*$/\\/", "CN=a"),
    ("foo,DEFAULT", ORDERS), ("RULE:(a)(?R)?/b/", ORDERS), ("RULE:a{/b/", ORDERS),
]


def c_string(text):
    out = ""
    for byte in text:
        if byte in b'"\\?':
            out += "\\" + chr(byte)
        elif 32 <= byte < 127:
            out += chr(byte)
        else:
            out += "\\%03o" % byte
    return '"' + out + '"'


def main():
    lines = "".join("%s %s\n" % (rules.encode().hex(), name.encode().hex()) for rules, name in CASES)
    answers = subprocess.run(["java", os.path.join(HERE, "RulesVectors.java")], check=True,
                             input=lines.encode(), stdout=subprocess.PIPE).stdout.decode().split("\n")
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by vectors/rules_vectors.py: what Kafka's SslPrincipalMapper answers. */")
    for (rules, name), answer in zip(CASES, answers):
        status, result = ("OK", bytes.fromhex(answer[1:])) if answer[0] == "=" else (answer, b"")
        print("VECTOR(%s,\n       %s, %s, %s)" % (c_string(rules.encode()), c_string(name.encode()),
                                               status, c_string(result)))


if __name__ == "__main__":
    sys.exit(main())
