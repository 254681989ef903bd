"""Starts the peers and one pinfold-sidecar between them, runs every check, looks at metrics and audit, ends all. See README.md."""

import asyncio
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import mcp_gate
import proxy_clients
from checks import Checks
from web import Web

HERE = pathlib.Path(__file__).resolve().parent
WAIT_S = 30


def free_port():
    """A port that nobody has right now: server-everything can't say which one it chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    """A process with its log; ended by its id."""

    def __init__(self, directory, name, *command, **environment):
        self.log = directory / f"{name}.log"
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=self.log.open("wb"), stderr=subprocess.STDOUT
        )

    def wait_until(self, ready, what):
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end and self.process.poll() is None:
            if found := ready():
                return found
            time.sleep(0.05)
        raise SystemExit(f"{what}: not there; its log ends with\n{self.log.read_text()[-3000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_servers(directory, modules, started):
    everything, stateless = free_port(), free_port()
    program = modules / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    first = Started(directory, "everything", "node", program, "streamableHttp", PORT=str(everything))
    started.append(first)
    second = Started(directory, "stateless", sys.executable, HERE / "stateless_server.py", str(stateless), directory)
    started.append(second)
    first.wait_until(lambda: listens(everything), "server-everything")
    second.wait_until(lambda: listens(stateless), "stateless_server.py")
    return everything, stateless


def certificate(directory):
    """A self-signed certificate for localhost; returns its path without ending."""
    path = directory / "localhost"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{path}.key", "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )
    return path


def start_sidecar(directory, binaries, started, policy):
    (directory / "policy.yaml").write_text(policy)
    ready = directory / "ready.json"
    sidecar = Started(
        directory, "sidecar", binaries / "pinfold-sidecar", "run", "--policy", directory / "policy.yaml", "--agent", "peers",
        "--proxy", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--audit", directory / "audit",
        "--ready-file", ready,
    )
    started.append(sidecar)
    chosen = sidecar.wait_until(lambda: ready.exists() and json.loads(ready.read_text() or "null"), "pinfold-sidecar")
    return sidecar, {name: f"http://{addresses[0] if isinstance(addresses, list) else addresses}" for name, addresses in chosen.items() if addresses}


def metrics(admin):
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
            labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', match[2] or "")))
            found[match[1], labels] = float(match[3])
    return found


def count(found, name, **labels):
    """The sum over everything that has these labels."""
    wanted = set(labels.items())
    return sum(value for (metric, have), value in found.items() if metric == name and wanted <= set(have))


def check_metrics(checks, admin):
    found = metrics(admin)
    calls, egress = "pinfold_tool_calls_total", "pinfold_egress_connections_total"
    with checks("metrics: every kind of decision is counted under its reason"):
        for reason in ("argument", "tool", "rpc-method"):
            assert count(found, calls, server="everything", decision="deny", reason=reason) > 0, reason
        for tool in ("echo", "get-sum", "trigger-long-running-operation"):
            assert count(found, calls, server="everything", tool=tool, decision="allow", reason="none") > 0, tool
        for reason in ("host", "port", "path", "method", "resolve", "name"):
            assert count(found, egress, decision="deny", reason=reason) > 0, reason
        assert count(found, egress, decision="allow", reason="none") > 0
        assert count(found, "pinfold_audit_records_total") > 0 and count(found, "pinfold_audit_failures_total") == 0
        assert count(found, "pinfold_panics_total") == 0
    with checks("metrics: a label never has a name that the agent invented"):
        values = {value for (_, labels) in found for _, value in labels}
        assert not values & {"no-such-tool", "elsewhere", "denied.example"}, values


def check_audit(checks, directory, binaries, credential):
    def verify(path):
        return subprocess.run([binaries / "pinfold", "audit", "verify", path], capture_output=True, text=True, check=False)

    with checks("audit: verify passes"):
        result = verify(directory / "audit")
        assert result.returncode == 0, result
        print(f"        {result.stdout.strip()}")
    with checks("audit: verify fails once a line is edited, one is dropped, or two are swapped"):
        logs = [path for path in (directory / "audit").iterdir() if path.name not in ("checkpoints", "key.pub", "lock")]
        log = max(logs, key=lambda path: path.stat().st_size)
        lines = log.read_bytes().splitlines(keepends=True)
        for name, changed in {
            "edited": [*lines[:2], lines[2].replace(b'"sidecar"', b'"webhook"'), *lines[3:]],
            "dropped": [*lines[:2], *lines[3:]],
            "swapped": [*lines[:2], lines[3], lines[2], *lines[4:]],
        }.items():
            assert changed != lines, name
            copy = directory / f"audit-{name}"
            shutil.copytree(directory / "audit", copy)
            (copy / log.name).write_bytes(b"".join(changed))
            assert verify(copy).returncode == 1, name
    with checks("the credential and the agent's arguments are in neither audit nor log"):
        written = b"".join(path.read_bytes() for path in (directory / "audit").iterdir())
        written += (directory / "sidecar.log").read_bytes()
        for value in (credential, "höi", "notes/../etc"):
            assert value.encode() not in written, value


def main(modules, binaries):
    checks, started = Checks(), []
    with tempfile.TemporaryDirectory(prefix="pinfold-peers-") as name:
        directory = pathlib.Path(name)
        try:
            everything, stateless = start_servers(directory, modules, started)
            ca = certificate(directory)
            (directory / "www").mkdir()
            web, web_tls = Web(directory / "www"), Web(directory / "www", ca)
            credential = secrets.token_hex(16)
            (directory / "credential").write_text(credential)
            policy = (HERE / "policy.yaml").read_text()
            for key, value in {"WEB_TLS": web_tls.port, "WEB": web.port, "EVERYTHING": everything, "STATELESS": stateless,
                               "CLOSED": free_port(), "DIR": directory}.items():
                policy = re.sub(rf"\b{key}\b", str(value), policy)
            sidecar, at = start_sidecar(directory, binaries, started, policy)

            mcp = (f"http://127.0.0.1:{everything}/mcp", f"http://127.0.0.1:{stateless}/mcp", directory / "deleted")
            asyncio.run(mcp_gate.run(checks, at["gateway"], *mcp))
            # Node finds modules beside the script.
            script = shutil.copy(HERE / "mcp_gate.mjs", modules)
            with checks("the TypeScript clients"):
                assert subprocess.run(["node", script, at["gateway"]], check=False, timeout=120).returncode == 0
            clients = proxy_clients.Clients(directory, at["proxy"], web, web_tls, ca.with_suffix(".crt"))
            proxy_clients.run(checks, clients, credential, at["gateway"])
            check_metrics(checks, at["admin"])
            with checks("SIGTERM ends the sidecar with 0"):
                assert sidecar.stop() == 0
            check_audit(checks, directory, binaries, credential)
            if checks.failed:
                print(f"\nThe sidecar's log ends with\n{(directory / 'sidecar.log').read_text()[-4000:]}")
        finally:
            for process in reversed(started):
                process.stop()
    print(f"\n{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
