# SPDX-License-Identifier: Apache-2.0
"""The main job on real brokers: a SCRAM client writes to and reads from a cluster of two generations through Setu."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys

from tests.rig import __main__ as rig_cli
from tests.rig import embedded, evidence, load, paths, process
from tests.rig.cluster import SERVICES, Cluster
from tests.rig.setu import Setu
from tests.rig.teller import Teller

RECORD_BYTES = 100
WARM_UP = 300_000
# Three copies of each record of both runs, with what a log needs beside them.
DISK_BYTES_PER_RECORD = 2 * 3 * 125


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/demo", description=__doc__)
    parser.add_argument("--records", type=int, default=5_000_000, metavar="N",
                        help=f"records of {RECORD_BYTES} bytes to write on each way (default: 5000000)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--keep", action="store_true",
                        help="leave the cluster and Setu running in the background, and print commands to try")
    parser.add_argument("--embedded", action="store_true", help="the built-in test broker instead of Apache Kafka")
    return parser.parse_args(argv)


def warm_up(cluster: Cluster, setu: Setu, records: int, tell) -> None:
    """Lets the brokers' compilers settle on both ways, so that the one measured first does not pay for both."""
    tell.head("Warming up, and asking the brokers whom they see")
    count = min(WARM_UP, records)
    load.write(cluster.login_direct(), "direct-warm-up", count, RECORD_BYTES, cluster.directory, "warm-direct")
    cluster.log_requests(True)
    load.write(setu.login("orders"), "orders-warm-up", count, RECORD_BYTES, cluster.directory, "demo-orders")
    load.write(setu.login("payments"), "payments", 20_000, RECORD_BYTES, cluster.directory, "demo-payments",
               batch_size=4096)
    cluster.log_requests(False)


def identities(cluster: Cluster, setu: Setu, tell) -> list[dict]:
    """For each service and node: the principal that the broker itself wrote into its request log."""
    rows = []
    requests = {node_id: [r for r in evidence.requests(broker) if r.listener == "CLIENT" and r.api == "PRODUCE"]
                for node_id, broker in cluster.nodes.items()}
    for service in SERVICES:
        for node_id, broker in cluster.nodes.items():
            seen = sorted({r.principal for r in requests[node_id] if r.client_id == f"demo-{service}"})
            protocols = {r.protocol for r in requests[node_id]}
            subject = setu.subject(service) if broker.generation == "ajna" else None
            rows.append({"principal": service, "certificate_subject": subject, "node_id": node_id,
                         "seen_as": ", ".join(seen) or None})
            tell(f"   {service:<9} → node {node_id} ({broker.version}, {'/'.join(sorted(protocols))}) "
                 f"saw {rows[-1]['seen_as']}" + (f" by certificate {subject}" if subject else " by SCRAM"))
    return rows


def denied(cluster: Cluster, setu: Setu, tell) -> bool:
    """`payments` tries to write to the topic of `orders`: the brokers, not Setu, must refuse."""
    try:
        load.write(setu.login("payments"), "orders-demo", 1, RECORD_BYTES, cluster.directory, "demo-trespasser",
                   max_block_ms=8000, delivery_timeout_ms=8000, request_timeout_ms=4000)
    except process.ProcessFailed:
        pass
    refusals = [d for d in cluster.seen("User:payments", "orders-demo") if not d.allowed]
    allowed = [d for d in cluster.seen("User:payments", "orders-demo") if d.allowed]
    tell(f"   payments → topic orders-demo: {'refused' if refusals and not allowed else 'NOT refused'} by node "
         f"{', '.join(sorted({str(d.node_id) for d in refusals})) or '-'}")
    return bool(refusals) and not allowed


def run(options: argparse.Namespace, cluster: Cluster, setu: Setu, tell) -> tuple[dict, bool]:
    for topic in ("orders-warm-up", "orders-demo", "direct-warm-up", "direct-demo"):
        cluster.create_topic(topic, partitions=6)
    leaders = cluster.leaders("orders-demo")
    tell(f"topic orders-demo: 6 partitions, 3 replicas each, led by nodes {leaders}")

    warm_up(cluster, setu, options.records, tell)
    seen = identities(cluster, setu, tell)
    refused = denied(cluster, setu, tell)

    os.sync()
    tell.head(f"Writing {options.records:,} records of {RECORD_BYTES} bytes without Setu, for comparison")
    direct = load.write(cluster.login_direct(), "direct-demo", options.records, RECORD_BYTES, cluster.directory,
                        "perf-direct", tell.written(options.records))
    tell(f"   {direct.acknowledged:,} acknowledged, {direct.records_per_s:,.0f} records/s, {direct.mb_per_s:.1f} MB/s")

    os.sync()  # what the run before left to be written must not slow this one
    tell.head(f"Writing {options.records:,} records as orders (SCRAM-SHA-512) through Setu")
    through = load.write(setu.login("orders"), "orders-demo", options.records, RECORD_BYTES, cluster.directory,
                         "perf-setu", tell.written(options.records))
    tell(f"   {through.acknowledged:,} acknowledged, {through.records_per_s:,.0f} records/s, "
         f"{through.mb_per_s:.1f} MB/s")

    tell.head("Reading all of them back through Setu, and comparing their contents")
    tell("   drawing once more what was written, to compare with")
    counted = load.read_all(setu.login("orders"), "orders-demo", options.records, RECORD_BYTES, cluster.directory,
                            "count-setu", "orders-demo", tell.read(options.records))
    tell(f"   {counted['consumed']:,} read in {counted['seconds']:.1f} s: {counted['lost']} lost, "
         f"{counted['duplicated']} duplicated, {counted['foreign']} altered")

    setu.process.check()
    report = {
        "kafka": [{"node_id": b.node_id, "generation": b.generation, "version": b.version}
                  for b in cluster.nodes.values()],
        "records": {"sent": through.asked, "acknowledged": through.acknowledged, "consumed": counted["consumed"],
                    "lost": counted["lost"], "duplicated": counted["duplicated"]},
        "throughput": {"direct_records_per_s": direct.records_per_s, "setu_records_per_s": through.records_per_s,
                       "direct_mb_per_s": direct.mb_per_s, "setu_mb_per_s": through.mb_per_s},
        "setu": {"cpu_s": round(setu.process.cpu_s(), 2), "rss_peak_bytes": setu.process.rss_peak_bytes()},
        "identities": seen,
    }
    good = (through.acknowledged == counted["consumed"] == through.asked and refused
            and not (counted["lost"] or counted["duplicated"] or counted["foreign"])
            and all(row["seen_as"] == f"User:{row['principal']}" for row in seen))
    return report, good


def summary(report: dict, good: bool, tell) -> None:
    records, speed, setu = report["records"], report["throughput"], report["setu"]
    tell.head("Result")
    tell("   cluster     " + ", ".join(f"node {n['node_id']}: Kafka {n['version']} ({n['generation']})"
                                       for n in report["kafka"]))
    tell(f"   records     sent {records['sent']:,}, acknowledged {records['acknowledged']:,}, consumed "
         f"{records['consumed']:,}, lost {records['lost']:,}, duplicated {records['duplicated']:,}")
    ratio = speed["setu_records_per_s"] / speed["direct_records_per_s"] if speed["direct_records_per_s"] else 0
    tell(f"   throughput  direct {speed['direct_records_per_s']:,.0f} records/s ({speed['direct_mb_per_s']:.1f} MB/s), "
         f"through Setu {speed['setu_records_per_s']:,.0f} records/s ({speed['setu_mb_per_s']:.1f} MB/s): {ratio:.0%}")
    tell(f"   setu        {setu['cpu_s']} s of CPU time, {setu['rss_peak_bytes'] / 2**20:.1f} MiB of memory at most")
    tell("   " + ("every record accounted for, every identity as intended" if good else "FAILED: see above"))


def hints(cluster: Cluster, setu: Setu) -> str:
    """Commands to try by hand, ready to paste."""
    state = rig_cli.describe(cluster, setu)
    files, jars = state["files"], paths.cache() / f"kafka-{paths.AJNA}"
    quiet = f"-Dlog4j.configuration=file:{paths.RIG / 'logging' / 'tools-log4j.properties'}"
    java, orders = f"java {quiet} -cp '{jars}/*'", files["orders_setu_properties"]
    ajna = next(b for b in cluster.nodes.values() if b.generation == "ajna")
    lines = [
        "Still running. To try by hand:", "",
        "  # write to and read from the cluster through Setu, as orders",
        f"  {java} kafka.tools.ConsoleProducer --bootstrap-server 127.0.0.1:{setu.port} "
        f"--producer.config {orders} --topic orders",
        f"  {java} org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server 127.0.0.1:{setu.port} "
        f"--consumer.config {orders} --group orders-hand --topic orders --from-beginning",
    ]
    if shutil.which("kcat"):
        lines += [f"  kcat -F {files['orders_setu_kcat']} -L -t orders"]
    lines += ["", f"  # whom node {ajna.node_id} saw, and what Setu says",
              f"  tail -f {ajna.logs / 'authorizer.log'}", f"  tail -f {setu.log}",
              f"  {setu.binary} check -c {setu.config_file}", "",
              "  # every address and file as shell variables; and the end of it all",
              f"  cd {paths.ROOT} && eval \"$(python3 -m tests.rig env)\"",
              f"  cd {paths.ROOT} && python3 -m tests.rig down"]
    return "\n".join(lines)


def check_disk(records: int) -> None:
    needed = records * DISK_BYTES_PER_RECORD + (1 << 30)
    directory = os.environ.get("TMPDIR", "/tmp")
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SystemExit(f"demo: {directory} has {free >> 20} MiB free, {needed >> 20} are needed: "
                         "set TMPDIR, or give fewer --records")


def on_kafka(options: argparse.Namespace, tell, directory: pathlib.Path | None, finished) -> int:
    """Runs the demo; with --keep, `finished` lets the terminal go and we stay until told to end."""
    check_disk(options.records)
    tell.head("Starting Apache Kafka: two brokers of the legacy generation, one of Ajna, one cluster")
    with Cluster(say=tell, directory=directory) as cluster, Setu(cluster) as setu:
        tell(f"setu up: process {setu.process.pid}, port {setu.port}, "
             f"nodes at {', '.join(str(setu.node_base_port + n) for n in cluster.nodes)}")
        report, good = run(options, cluster, setu, tell)
        write_report(options, report)
        summary(report, good, tell)
        if options.keep:
            (rig_cli.STATE / "rig.json").write_text(json.dumps(rig_cli.describe(cluster, setu), indent=2))
            print("\n" + hints(cluster, setu), flush=True)
            finished(0 if good else 1)
            while True:
                signal.pause()
        if not good:
            cluster.keep = True
    return 0 if good else 1


def write_report(options: argparse.Namespace, report: dict) -> None:
    if options.json:
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def kept(options: argparse.Namespace, tell) -> int:
    """With --keep a child in its own session does the work and stays; we wait for its result and leave."""
    if rig_cli.keeper():
        raise SystemExit("demo: a kept cluster runs already: python3 -m tests.rig down")
    shutil.rmtree(rig_cli.STATE, ignore_errors=True)
    rig_cli.STATE.mkdir(parents=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        (rig_cli.STATE / "keeper.pid").write_text(str(os.getpid()))

        def finished(status: int) -> None:
            os.write(writer, bytes([status]))
            os.close(writer)
            sink = os.open(rig_cli.STATE / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            source = os.open(os.devnull, os.O_RDONLY)
            for target, descriptor in ((0, source), (1, sink), (2, sink)):
                os.dup2(descriptor, target)
        try:
            return on_kafka(options, tell, rig_cli.STATE / "cluster", finished)
        finally:
            (rig_cli.STATE / "keeper.pid").unlink(missing_ok=True)
    os.close(writer)
    try:
        status = os.read(reader, 1)
    except BaseException:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    if status:
        return status[0]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    options = arguments()
    process.exit_on_signals()
    tell = Teller()
    try:
        if options.embedded:
            report, good = embedded.run(options.records, RECORD_BYTES, tell)
            write_report(options, report)
            summary(report, good, tell)
            return 0 if good else 1
        if options.keep:
            return kept(options, tell)
        return on_kafka(options, tell, None, lambda status: None)
    except (process.ProcessFailed, paths.Missing, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
