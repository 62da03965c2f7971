# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets: whose bytes each takes, and the sources that read them, whose coverage has a floor."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"

# The first twelve are run first.
SOURCES = {
    "frame": ("protocol/frame.c",),
    "headers": ("protocol/frame.c",),
    "endpoint": ("protocol/endpoint.c", "protocol/schema.c"),
    "records": ("protocol/records.c", "protocol/records_batches.c", "protocol/batch.c"),
    "handshake": ("protocol/handshake.c",),
    "plain": ("auth/mech_plain.c", "auth/plain_message.c"),
    "scram_server": ("auth/mech_scram_server.c", "auth/scram_message.c"),
    "scram_client": ("auth/mech_scram_client.c", "auth/scram_message.c"),
    "jwt": ("auth/jws.c", "auth/jwks.c", "auth/tokens.c", "auth/oauth_message.c", "auth/mech_oauthbearer.c",
            "auth/bounded_json.c"),
    "mapping_rules": ("auth/mapping.c", "auth/mapping_build.c", "auth/pattern.c", "conf/glob.c"),
    "conf": ("conf/source.c", "conf/yaml.c", "conf/yaml_value.c", "conf/utf8.c", "conf/forms.c", "conf/decode.c"),
    "audit": ("auth/audit.c", "auth/audit_verify.c", "auth/audit_key.c"),
    "audit_forms": ("proxy/cli/audit_format.c", "proxy/cli/audit_format_cef.c", "proxy/cli/audit_format_ecs.c",
                    "proxy/cli/audit_format_ocsf.c", "proxy/cli/audit_kind.c", "proxy/cli/audit_filter.c"),
    "broker_login": ("proxy/cluster/broker_login.c", "proxy/cluster/broker_login_steps.c"),
    "channel": ("proxy/ops/channel.c",),
    "credentials": ("auth/credentials.c", "auth/scram_import.c"),
    "dn": ("auth/dn.c",),
    "gaps": ("protocol/gaps.c",),
    "handover": ("proxy/ops/handover.c",),
    "kerberos_name": ("auth/kerberos_name.c", "auth/rule_text.c"),
    "ledger": ("proxy/ops/ledger_block.c", "proxy/ops/ledger_judge.c"),
    "ledger_file": ("proxy/ops/ledger_read.c", "proxy/ops/ledger_verify.c", "proxy/ops/ledger_block.c"),
    "mapping_cases": ("auth/mapping_cases.c",),
    "produce_response": ("protocol/produce_response.c", "protocol/metadata_topics.c"),
    "rules": ("auth/rules.c", "auth/rule_text.c", "auth/java_pattern.c", "auth/java_replacement.c"),
    "saslauthd": ("auth/saslauthd.c",),
    "session": ("proxy/session/login.c", "proxy/session/session.c", "proxy/session/flow.c",
                "proxy/session/relay_request.c", "proxy/session/relay_response.c", "proxy/session/relay_records.c",
                "proxy/session/reauth_client.c", "proxy/session/reauth_broker.c", "proxy/session/reauth_pass.c",
                "proxy/session/passthrough.c"),
}
# Longer inputs than this many bytes say nothing new; 4096 where nothing is said.
LENGTHS = {"saslauthd": 64, "dn": 1024, "rules": 512, "kerberos_name": 512, "mapping_rules": 1024, "headers": 512}
# An input of these takes as long as its simulated minutes do, and no alarm clock may go off in between.
WITHOUT_ALARM = ("session",)


def declared() -> list[str]:
    """As CMake builds them."""
    text = (HERE / "CMakeLists.txt").read_text()
    return re.findall(r"^setu_fuzz\(fuzz_(\w+)", text, re.M)


def disagreement() -> str:
    """Why this table and CMakeLists.txt are not about the same targets; empty: they are."""
    built, named = set(declared()), set(SOURCES)
    if built != named:
        return f"not in both targets.py and CMakeLists.txt: {', '.join(sorted(built ^ named))}"
    absent = [s for sources in SOURCES.values() for s in sources if not (ROOT / s).is_file()]
    return f"no such source: {', '.join(absent)}" if absent else ""


def corpus_size(target: str) -> tuple[int, int]:
    """Files and bytes."""
    sizes = [path.stat().st_size for path in (CORPUS / target).glob("*") if path.is_file()]
    return len(sizes), sum(sizes)
