# SPDX-License-Identifier: Apache-2.0
"""What brokers logged about who came to them."""

import dataclasses
import json
import re

# Up to 3.9 "Operation = Write", from 4.0 on "operation = WRITE".
AUTHORIZER = re.compile(
    r"Principal = (?P<principal>\S+) is (?P<verdict>Allowed|Denied) [Oo]peration = (?P<operation>\w+)"
    r" from host = (?P<host>\S+) on resource = (?P<type>\w+):(?P<pattern>\w+):(?P<name>.*?)"
    r" for request = (?P<request>\w+)")


@dataclasses.dataclass(frozen=True)
class Decision:
    """One line of the broker's authorizer log. `operation` is in lower case: write, describe, clusteraction…"""
    node_id: int
    principal: str
    allowed: bool
    operation: str
    resource_type: str
    resource: str
    request: str


@dataclasses.dataclass(frozen=True)
class Request:
    """One line of the broker's request log."""
    node_id: int
    api: str
    version: int
    principal: str
    listener: str
    protocol: str
    client_id: str
    client_software: str


def decisions(broker, principal: str | None = None, resource: str | None = None, start: int = 0) -> list[Decision]:
    """What the broker's authorizer decided, from byte `start` of its log on."""
    found = []
    try:
        with open(broker.logs / "authorizer.log", "rb") as log:
            log.seek(start)
            for line in log:
                text = line.decode(errors="replace")
                match = AUTHORIZER.search(text)
                if not match or principal and match["principal"] != principal or resource and match["name"] != resource:
                    continue
                found.append(Decision(broker.node_id, match["principal"], match["verdict"] == "Allowed",
                                      match["operation"].replace("_", "").lower(), match["type"], match["name"],
                                      match["request"]))
    except FileNotFoundError:
        pass
    return found


def log_end(broker, name: str = "authorizer.log") -> int:
    try:
        return (broker.logs / name).stat().st_size
    except FileNotFoundError:
        return 0


def _request(node_id: int, line: bytes) -> Request | None:
    _, mark, rest = line.decode(errors="replace").partition("Completed request:")
    if not mark:
        return None
    try:
        row, _ = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return None
    head, client = row["requestHeader"], row.get("clientInformation", {})
    return Request(node_id, head["requestApiKeyName"], head["requestApiVersion"], row["principal"], row["listener"],
                   row["securityProtocol"], head["clientId"],
                   f"{client.get('softwareName')} {client.get('softwareVersion')}")


class RequestLog:
    """What the broker's request logger writes from now on; it does so only between Cluster.log_requests(True) and (False)."""

    def __init__(self, broker, start: int | None = None):
        self.broker = broker
        self.at = log_end(broker, "request.log") if start is None else start

    def more(self) -> list[Request]:
        """What came since the last call, whole lines only."""
        found = []
        try:
            with open(self.broker.logs / "request.log", "rb") as log:
                log.seek(self.at)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self.at += len(line)
                    row = _request(self.broker.node_id, line)
                    if row:
                        found.append(row)
        except FileNotFoundError:
            pass
        return found


def requests(broker, start: int = 0) -> list[Request]:
    """All of it from byte `start` on."""
    return RequestLog(broker, start).more()
