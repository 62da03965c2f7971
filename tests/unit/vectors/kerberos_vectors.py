#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write kerberos_vectors.def: short names of Kerberos principals as Kafka itself makes them.

usage: CLASSPATH=kafka-clients.jar:slf4j-api.jar kerberos_vectors.py > kerberos_vectors.def     (needs a JDK 17)
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REALM = "EXAMPLE.COM"
ALICE, BROKER, OTHER = "alice@EXAMPLE.COM", "kafka/host1.example.com@EXAMPLE.COM", "alice@OTHER.ORG"

# principal, then the rules one by one
CASES = [
    (ALICE, "DEFAULT"), (BROKER, "DEFAULT"), (OTHER, "DEFAULT"), ("alice", "DEFAULT"), ("a/b", "DEFAULT"), (ALICE,),
    ("@EXAMPLE.COM", "DEFAULT"), ("/b@EXAMPLE.COM", "DEFAULT"), ("a/@EXAMPLE.COM", "DEFAULT"), ("alice@", "DEFAULT"),
    ("", "DEFAULT"), ("a/b/c@EXAMPLE.COM", "DEFAULT"), ("a@b@EXAMPLE.COM", "DEFAULT"), ("a@EXAMPLE.COM/x", "DEFAULT"),
    ("alice@example.com", "DEFAULT"), ("Alice@EXAMPLE.COM", "DEFAULT"), ("ålice@EXAMPLE.COM", "DEFAULT"),
    # the selection
    (ALICE, "RULE:[1:$1]"), (BROKER, "RULE:[1:$1]"), (BROKER, "RULE:[2:$1]"), (BROKER, "RULE:[2:$2]"),
    (OTHER, "RULE:[1:$1]"), (OTHER, "RULE:[1:$1-$0]"), (ALICE, "RULE:[1:$1@$0]"), (BROKER, "RULE:[2:$1/$2@$0]"),
    (ALICE, "RULE:[1:]"), (ALICE, "RULE:[1:fixed]"), (ALICE, "RULE:[1:$1$1]"), (ALICE, "RULE:[1:x$1y$0z]"),
    (ALICE, "RULE:[01:$01]"), (ALICE, "RULE:[0:$1]", "RULE:[3:$7]", "RULE:[2147483647:$]", "DEFAULT"),
    (ALICE, "RULE:[1:$2]"), (BROKER, "RULE:[2:$3]"), (ALICE, "RULE:[1:$]"),
    (ALICE, "RULE:[1:$x]"), (ALICE, "RULE:[1:$$1]"), (ALICE, "RULE:[1:$12]"), (ALICE, "RULE:[1:$99999999999]"),
    (ALICE, "RULE:[1:a[b]"), (ALICE, "RULE:[1:a:b]"), (ALICE, "RULE:[1:(]"), (ALICE, "RULE:[1:s/a/b/]"),
    # the match
    (ALICE, "RULE:[1:$1](alice)"), (ALICE, "RULE:[1:$1](ali)"), (ALICE, "RULE:[1:$1](ali)", "DEFAULT"),
    (ALICE, "RULE:[1:$1@$0](.*@EXAMPLE.COM)s/@.*//"), (OTHER, "RULE:[1:$1@$0](.*@EXAMPLE.COM)s/@.*//", "DEFAULT"),
    (BROKER, "RULE:[2:$1;$2](kafka;.*)s/;.*//"), (BROKER, "RULE:[2:$2](.*[.]example[.]com)s/[.].*//"),
    (ALICE, "RULE:[1:$1]()"), (ALICE, "RULE:[1:]()"), (ALICE, "RULE:[1:$1](a|alice)"),
    (ALICE, "RULE:[1:$1](^alice$)"), (ALICE, "RULE:[1:$1]((?i"), (ALICE, "RULE:[1:$1](ALICE)", "RULE:[1:$1](\\p{Ll}+)"),
    (ALICE, "RULE:[1:$1](.{5})"), (ALICE, "RULE:[1:$1](al(i)ce)"),
    # the substitution
    (ALICE, "RULE:[1:$1]s/a/b/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/o/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/o/g"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/x/o/g"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(a)(n)/$2$1/g"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(a)(n)/$2$1/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(?<x>a)/<${x}>/g"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/\\$1/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/\\\\/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/\\n/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(a)/$10/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(a)/$0$0/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(a)/$2/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/$1/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/$/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/\\/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/a/${x}/"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s//x/"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s//x/g"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/.*//"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/.*/x/g"), ("banana@EXAMPLE.COM", "RULE:[1:$1]s/n*/x/g"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1@$0]s/@.*//"), ("ünïcode@EXAMPLE.COM", "RULE:[1:$1]s/./-/g"),
    ("日本@EXAMPLE.COM", "RULE:[1:$1]s/(.)/<$1>/g"), ("日本@EXAMPLE.COM", "RULE:[1:$1]s//-/g"),
    ("banana@EXAMPLE.COM", "RULE:[1:$1]s/(b)?(x)?/<$1$2>/"), ("a.b@EXAMPLE.COM", "RULE:[1:$1]s/\\./-/g"),
    # what is left is not simple: no further rule is tried
    (ALICE, "RULE:[1:$1@$0]", "DEFAULT"), (BROKER, "RULE:[2:$1/$2]", "DEFAULT"), (ALICE, "RULE:[1:$1]s/l/@/L"),
    # case
    ("ALICE@EXAMPLE.COM", "RULE:[1:$1]/L"), ("ALICE@EXAMPLE.COM", "RULE:[1:$1]L"), (ALICE, "RULE:[1:$1]/U"),
    (ALICE, "RULE:[1:$1]U"), ("ALICE@EXAMPLE.COM", "RULE:[1:$1](.*)/L"), ("ALICE@EXAMPLE.COM", "RULE:[1:$1]s/A/B//L"),
    ("ALICE@EXAMPLE.COM", "RULE:[1:$1]s/A/B/L"), ("ALICE@EXAMPLE.COM", "RULE:[1:$1]s/A/B/g/L"),
    ("ALICE@EXAMPLE.COM", "RULE:[1:$1]s/A/B/gL"), ("straße@EXAMPLE.COM", "RULE:[1:$1]/U"),
    ("ÄÖÜ@EXAMPLE.COM", "RULE:[1:$1]/L"), (ALICE, "RULE:[1:$1]/"), (ALICE, "RULE:[1:$1]s/a/b/g/"),
    # order
    (BROKER, "RULE:[1:$1]s/.*/no/", "RULE:[2:$1](nobody)", "RULE:[2:$1](kafka)s/.*/broker/", "DEFAULT"),
    (OTHER, "RULE:[1:$1@$0](.*@OTHER[.]ORG)s/@OTHER[.]ORG/-other/", "DEFAULT"), (ALICE, "DEFAULT", "DEFAULT"),
    # refused
    (ALICE, ""), (ALICE, " DEFAULT"), (ALICE, "DEFAULT "), (ALICE, "default"), (ALICE, "DEFAULT/L"), (ALICE, "RULE"),
    (ALICE, "RULE:"), (ALICE, "RULE:["), (ALICE, "RULE:[]"), (ALICE, "RULE:[1]"), (ALICE, "RULE:[:$1]"),
    (ALICE, "RULE:[x:$1]"), (ALICE, "RULE:[-1:$1]"), (ALICE, "RULE:[2147483648:$1]"), (ALICE, "RULE:[1:$1"),
    (ALICE, "RULE:[1:$1](alice"), (ALICE, "RULE:[1:$1](a)(b)"), (ALICE, "RULE:[1:$1]s/a/b"),
    (ALICE, "RULE:[1:$1]s/a"), (ALICE, "RULE:[1:$1]s/a/b/x"), (ALICE, "RULE:[1:$1]s/a/b/gg"),
    (ALICE, "RULE:[1:$1]s|a|b|"), (ALICE, "RULE:[1:$1]/l"), (ALICE, "RULE:[1:$1]/LU"), (ALICE, "RULE:[1:$1]//L"),
    (ALICE, "RULE:[1:$1] /L"), (ALICE, "RULE:[1:$1](*)"), (ALICE, "RULE:[1:$1]([)"), (ALICE, "RULE:[1:$1]s/(/x/"),
    (ALICE, "RULE:[3:$1](*)"), (ALICE, "rule:[1:$1]"), (ALICE, "DEFAULT", "nonsense"), (ALICE, "RULE:[1:$1],DEFAULT"),
    (ALICE, "RULE: [1:$1]"), (ALICE, "RULE:[1:$1]s/a/b/c/"), (ALICE, "RULE:[1:$1]g"),
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
    lines = "".join("%s\n" % " ".join(word.encode().hex() for word in (REALM, *case)) for case in CASES)
    answers = subprocess.run(["java", os.path.join(HERE, "KerberosVectors.java")], check=True,
                             input=lines.encode(), stdout=subprocess.PIPE).stdout.decode().split("\n")
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by vectors/kerberos_vectors.py: what Kafka's KerberosShortNamer answers in %s. */" % REALM)
    for (principal, *rules), answer in zip(CASES, answers):
        status, result = ("OK", bytes.fromhex(answer[1:])) if answer[0] == "=" else (answer, b"")
        rules = ", ".join([c_string(rule.encode()) for rule in rules] + ["NULL"])
        print("VECTOR(%s, %s, %s,\n       %s)" % (c_string(principal.encode()), status, c_string(result), rules))


if __name__ == "__main__":
    sys.exit(main())
