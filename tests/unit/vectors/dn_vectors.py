#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write dn_vectors.def: certificates made by openssl, named by a real JDK.

usage: dn_vectors.py > dn_vectors.def      (needs openssl and a JDK 11 or later)
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# Subjects as openssl's -subj reads them: "+" joins one RDN, "\" escapes.
SUBJECTS = [
    ("plain", "/C=DE/ST=Bayern/L=München/O=Example GmbH/OU=Kafka/CN=orders"),
    ("every keyword", "/DC=org/DC=example/C=SE/ST=s/L=l/street=Road 1/O=o/OU=ou/CN=cn/UID=u1"),
    ("multi-valued RDN", "/O=Example/CN=orders+OU=team a+UID=42"),
    ("two multi-valued RDNs", "/O=x+C=DE/CN=a+serialNumber=1"),
    ("e-mail address is an OID", "/CN=orders/emailAddress=a@b.c"),
    ("types without keyword", "/serialNumber=42/title=Dr/SN=Surname/GN=Given/initials=I/CN=x"),
    ("more types without keyword", "/dnQualifier=q/pseudonym=p/generationQualifier=g/name=n/description=d/CN=x"),
    ("comma and plus", r"/O=Example\, Inc.\+Co/CN=a\+b"),
    ("quote and backslash", r"/O=Say \"hi\"/CN=back\\slash"),
    ("angles semicolon equals hash", "/O=a<b>c;d/CN=x=y#z"),
    ("leading hash", "/CN=#abc"),
    ("leading and trailing blanks", "/O=  two  /CN= x "),
    ("only blanks", "/O=   /CN=x"),
    ("slash", r"/O=a\/b/CN=http:\/\/x"),
    ("Latin, Greek, Cyrillic", "/O=Füür/OU=Ωμέγα/CN=Привет"),
    ("CJK and emoji", "/O=日本語/CN=😀x"),
    ("combining mark", "/CN=e\u0301"),
    ("no-break space and BOM", "/O=\u00a0x\u00a0/CN=\ufeffx"),
    ("repeated CN", "/CN=admin/O=x/CN=evil"),
    ("CN inside an OU", "/OU=team CN=admin/CN=evil"),
    ("long value", "/O=" + "x" * 64 + "/CN=" + "y" * 64),
    ("host name", "/CN=broker-1.kafka.example.com"),
    ("SPIFFE-like", r"/O=SPIRE/CN=spiffe:\/\/example.org\/ns\/orders"),
]

# Names that openssl does not make from a subject line.
NAMES = [
    ("empty name", "3000"),
    ("empty value", "300b3109300706035504030c00"),
    ("NUL in a value", "301031 0e300c06035504030c0561006462 63".replace(" ", "")),
    ("BMPString read as UTF-8", "300f310d300b06035504031e0400610062"),
    ("T61String with a Latin-1 byte", "300e310c300a06035504031403" + "41e942"),
    ("UniversalString is not text", "300f310d300b06035504031c0400000061"),
    ("NumericString is not text", "300d310b30090603550403120231 32".replace(" ", "")),
    ("GeneralString is text", "300d310b300906035504031b024142"),
    ("IA5String", "300d310b3009060355040316024142"),
    ("INTEGER value", "300c310a3008060355040302012a"),
    ("SEQUENCE value", "300e310c300a060355040330030201 05".replace(" ", "")),
    ("truncated UTF-8 at the end", "300e310c300a06035504030c0341e282"),
    ("surrogate", "300e310c300a06035504030c03eda080"),
    ("overlong and beyond", "3013 3111 300f 0603550403 0c08 c080f4908080 41 42".replace(" ", "")),
    ("carriage return at the end", "300e310c300a06035504030c0341420d"),
    ("line feed", "300e310c300a06035504030c03410a42"),
    ("control and DEL", "300e310c300a06035504030c03417f01"),
    ("first arc 0 and 2", "301c310c300a06030603080c03616263310c300a06038837030c03616263"),
    ("large arc", "301431123010060a2b8fffffffffffff7f030c0241 42".replace(" ", "")),
]


def run(*arguments, **keywords):
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, **keywords).stdout


def make_certificates(directory):
    key = os.path.join(directory, "key.pem")
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    conf = os.path.join(directory, "openssl.cnf")
    with open(conf, "w") as file:
        file.write("[req]\ndistinguished_name=dn\n[dn]\n")
    for index, (_, subject) in enumerate(SUBJECTS):
        path = os.path.join(directory, "%d.pem" % index)
        run("openssl", "req", "-x509", "-new", "-config", conf, "-key", key, "-utf8",
            "-multivalue-rdn", "-subj", subject, "-days", "1", "-out", path)
        yield "cert " + path


def c_string(text):
    out = ""
    for byte in text:
        if byte in b'"\\':
            out += "\\" + chr(byte)
        elif 32 <= byte < 127:
            out += chr(byte)
        else:
            out += "\\%03o" % byte
    return '"' + out + '"'


def split(text, width, join):
    pieces = [text[i:i + width] for i in range(0, len(text), width)] or [""]
    return join.join('"%s"' % piece for piece in pieces)


def main():
    with tempfile.TemporaryDirectory() as directory:
        lines = list(make_certificates(directory)) + ["name " + der for _, der in NAMES]
        answers = run("java", os.path.join(HERE, "DnVectors.java"),
                      input=("\n".join(lines) + "\n").encode()).decode().split("\n")
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by vectors/dn_vectors.py from certificates made by openssl, named by a JDK. */")
    for (label, _), answer in zip(SUBJECTS + NAMES, answers):
        der, text = answer.split(" ")
        text = bytes.fromhex(text)
        print('VECTOR("%s",\n       %s,' % (label, split(der, 80, "\n       ")))
        pieces = [text[i:i + 24] for i in range(0, len(text), 24)] or [b""]
        print("       " + "\n       ".join(c_string(piece) for piece in pieces) + ")")


if __name__ == "__main__":
    sys.exit(main())
