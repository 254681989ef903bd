"""Compares what the agent met with what the sidecar recorded and what arrived outside: verdict, reason, record, metric.

judge.py OUTCOMES WORLD-LOG AUDIT-DIR METRICS
"""

import json
import pathlib
import sys
from datetime import datetime

COUNTED_WITHIN = 1.5  # seconds: the span of the sidecar's counts, and until it looks
SLACK = 0.04  # seconds; agent.py rests longer between two rows


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines() if line.strip()]


def audit(directory):
    """The denials, with the moment of each."""
    found = []
    for file in sorted(pathlib.Path(directory).glob("*.jsonl")):
        for record in lines(file):
            if record.get("decision") == "deny":
                record["at"] = moment(record["time"])
                found.append(record)
    return found


def moment(text):
    """Seconds of a record's time, which has more digits than Python takes."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def judge(outcome, denials, arrivals):
    """What is wrong with a row; nothing if it is as it should be."""
    wrong = []
    if outcome["found"] != outcome["expected"]:
        wrong.append(f"expected {outcome['expected']}, found {outcome['found']}")
    inside = lambda moment: outcome["begun"] - SLACK <= moment <= outcome["ended"] + SLACK  # noqa: E731
    if outcome["reason"]:
        # One that equals another of its second is in the record that counts them, which comes after it.
        counted = lambda record: "count" in record and outcome["begun"] <= record["at"] <= outcome["ended"] + COUNTED_WITHIN  # noqa: E731
        reasons = sorted({str(record.get("reason")) for record in denials if inside(record["at"]) or counted(record)})
        if outcome["reason"] not in reasons:
            wrong.append(f"no record of reason `{outcome['reason']}`, only {reasons}")
    if outcome["expected"] == "denied" and outcome["row"].split()[0] not in MAY_ARRIVE:
        leaks = [arrival for arrival in arrivals if inside(arrival["time"]) and arrival["kind"] != "dns"]
        if leaks:
            wrong.append(f"arrived outside: {leaks[0]}")
    return wrong


# The first request of these is an honest one.
# Of 41b the handshake arrives, which shows the certificate; of 31b and 31c the first hello.
MAY_ARRIVE = {"50", "50a", "41b", "31b", "31c"}


def main():
    outcomes, arrivals, denials = lines(sys.argv[1]), lines(sys.argv[2]), audit(sys.argv[3])
    failed = 0
    for outcome in outcomes:
        wrong = judge(outcome, denials, arrivals)
        failed += bool(wrong)
        verdict = "FAILED " if wrong else "ok     "
        print(f"{verdict} v{outcome['family']} {outcome['row']}: {outcome['title']}: {outcome['detail']}" + "".join(f"\n        {text}" for text in wrong))
    if not any(arrival["kind"] == "tcp" for arrival in arrivals):
        failed += 1
        print("FAILED  the world noted no connection at all, so it would have noted no leak")
    asked = {arrival["name"] for arrival in arrivals if arrival["kind"] == "dns"}
    stray = sorted(name for name in asked if not (name.endswith(".example.net") or name in ("cdn.example.org", "vault.example.org")) or "cluster.local" in name)
    if stray:
        failed += 1
        print(f"FAILED  names that went upstream though no rule lists them: {stray}")
    metrics = pathlib.Path(sys.argv[4]).read_text()
    counted = sum(int(float(line.rsplit(" ", 1)[1])) for line in metrics.splitlines() if line.startswith("pinfold_egress_connections_total{") and 'decision="deny"' in line)
    recorded = sum(record.get("count", 1) for record in denials if record.get("event") == "egress")
    if counted != recorded:
        failed += 1
        print(f"FAILED  {recorded} denied connections recorded, {counted} counted")
    print(f"{len(outcomes)} rows, {failed} wrong")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
