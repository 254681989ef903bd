"""Many tunnels at once, on loopback: a busy one and new ones beside thousands that idle, a reload that revokes them all, and a stop while they are open.

crowds.py BIN [TUNNELS]: BIN has pinfold-sidecar and pinfold. Prints figures; exit code 1 if a bound is broken. The bounds are far from what a quiet machine
shows, so that a busy one passes; they are there for what grows with the number of tunnels.
"""

import asyncio
import json
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

WANTED = 10_000  # tunnels; fewer where descriptors don't suffice
PER_TUNNEL = 2  # descriptors of the sidecar
SPARE = 500
DRAIN = 5  # seconds, as injected; the pod's own period is 30
BUSY_P99 = 0.25  # seconds for a round trip of 1 KiB
NEW_P99 = 0.5  # seconds to open a tunnel and get an answer
CUT_MAX = 5  # seconds from the changed file to the last cut tunnel, of which 0.1 are until the file is looked at
STOP_MAX = 15  # half of the pod's period

failed = 0


def figure(what, value, most=None, unit="ms"):
    global failed
    bad = most is not None and value > most
    failed += bad
    shown = f"{value * 1000:.1f} ms" if unit == "ms" else f"{value} {unit}"
    print(f"{'FAILED ' if bad else 'ok     '} {what}: {shown}" + (f" (at most {most * 1000:.0f} ms)" if most else ""), flush=True)


def policy(port):
    return f"""
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {{name: crowd}}
spec:
  egress:
    limits: {{connections: 100000}}
    allow: [{{cidr: 127.0.0.0/8, ports: [{port}], protocol: tcp}}]
"""


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def tunnel(proxy, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer


async def round_trip(ends, data):
    reader, writer = ends
    began = time.monotonic()
    writer.write(data)
    await writer.drain()
    await asyncio.wait_for(reader.readexactly(len(data)), 30)
    return time.monotonic() - began


async def new_tunnel(proxy, port):
    began = time.monotonic()
    ends = await tunnel(proxy, port)
    await round_trip(ends, b"x")
    ends[1].close()
    return time.monotonic() - began


def p99(times):
    return sorted(times)[len(times) * 99 // 100 - 1]


async def many(proxy, port, count):
    opened = []
    for _ in range(0, count, 100):
        opened += await asyncio.gather(*(tunnel(proxy, port) for _ in range(min(100, count - len(opened)))))
    return opened


async def until_cut(ends):
    """The moment at which a tunnel ended."""
    try:
        while await ends[0].read(1000):
            pass
    except OSError:
        pass
    return time.monotonic()


class Sidecar:
    def __init__(self, binaries, directory, port):
        self.directory = pathlib.Path(directory)
        self.policy = self.directory / "policy.yaml"
        self.policy.write_text(policy(port))
        ready = self.directory / "ready.json"
        ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [binaries / "pinfold-sidecar", "run", "--policy", self.policy, "--audit", self.directory / "audit", "--ready-file", ready, "--drain", str(DRAIN)]
            + ["--proxy", "127.0.0.1:0", "--gateway", "off", "--admin", "127.0.0.1:0"],
            stderr=open(self.directory / "sidecar.log", "a"),
        )
        until = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < until and self.process.poll() is None, "no sidecar"
            time.sleep(0.02)
        self.proxy = int(json.loads(ready.read_text())["proxy"][0].rpartition(":")[2])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)


async def play(binaries, directory, count):
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    sidecar = Sidecar(binaries, directory, port)
    alone = [await round_trip(ends, b"x" * 1024) for ends in [await tunnel(sidecar.proxy, port)] for _ in range(300)]
    figure("round trip of a tunnel alone, p99", p99(alone), BUSY_P99)
    began = time.monotonic()
    idle = await many(sidecar.proxy, port, count)
    figure(f"{count} tunnels opened", round(count / (time.monotonic() - began)), unit="a second")
    busy = await tunnel(sidecar.proxy, port)
    figure(f"round trip beside {count} idle tunnels, p99", p99([await round_trip(busy, b"x" * 1024) for _ in range(1000)]), BUSY_P99)
    figure(f"new tunnel beside {count} idle ones, p99", p99([await new_tunnel(sidecar.proxy, port) for _ in range(200)]), NEW_P99)
    cuts = [asyncio.ensure_future(until_cut(ends)) for ends in idle]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    sidecar.policy.write_text(policy(port + 1 if port < 65535 else 1))
    ended = await asyncio.wait_for(asyncio.gather(*cuts), 60)
    figure(f"reload that revokes {count} tunnels, to the last cut", max(ended) - began, CUT_MAX)
    for _, writer in idle + [busy]:
        writer.close()
    sidecar.policy.write_text(policy(port))
    await asyncio.sleep(1)
    idle = await many(sidecar.proxy, port, count)
    began = time.monotonic()
    cuts = [asyncio.ensure_future(until_cut(ends)) for ends in idle]
    sidecar.stop()
    code = await asyncio.get_running_loop().run_in_executor(None, sidecar.process.wait, 60)
    figure(f"a stop with {count} tunnels open, {DRAIN} s of them for draining", time.monotonic() - began, STOP_MAX)
    await asyncio.wait_for(asyncio.gather(*cuts), 30)
    figure("exit code", code, 0, "")
    server.close()


def main():
    binaries, wanted = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else WANTED
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # This process has both far ends.
    count = min(wanted, (hard - SPARE) // PER_TUNNEL)
    if count < wanted:
        print(f"{hard} descriptors: {count} tunnels instead of {wanted}")
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(binaries, directory, count))
        verified = subprocess.run([binaries / "pinfold", "audit", "verify", pathlib.Path(directory) / "audit"], capture_output=True, text=True)
        figure("pinfold audit verify, exit code", verified.returncode, 0, "")
        log = pathlib.Path(directory, "audit")
        cut = sum(1 for file in log.glob("*.jsonl") for line in file.open() if '"decision":"deny"' in line)
        figure("records of what the reload cut, missing", max(0, count - cut), 0, "")
    sys.exit(1 if failed else 0)


main()
