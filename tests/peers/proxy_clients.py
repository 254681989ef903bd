"""The proxy under clients that others wrote: curl, wget, openssl, pip, npm, git. Everything they reach is web.py, on loopback."""

import hashlib
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tarfile
import zipfile

BODY_BYTES = 5_000_000


class Clients:
    """Runs programs with nothing of this machine's proxy settings in their environment."""

    def __init__(self, directory, proxy, web, web_tls, ca):
        self.directory, self.proxy, self.web, self.web_tls, self.ca = directory, proxy, web, web_tls, ca
        self.http = f"http://localhost:{web.port}"
        self.https = f"https://localhost:{web_tls.port}"

    def run(self, *command, **environment):
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C", **environment}
        return subprocess.run(
            command, env=clean, cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )

    def curl(self, *arguments, proxied=True):
        through = ["--proxy", self.proxy] if proxied else []
        return self.run("curl", "-sS", "--max-time", "30", "--cacert", str(self.ca), *through, *arguments)

    def denied(self, result, reason):
        """curl's output must be a denial of that reason, with a rule and a fix."""
        answer = json.loads(result.stdout)
        assert answer["error"] == "denied" and answer["reason"] == reason, answer
        assert answer["rule"] and answer["message"] and answer["remedy"] and answer["policy"] == "peers", answer
        return answer


def run(checks, clients, credential, gateway):
    plain(checks, clients)
    bodies(checks, clients)
    tunnels(checks, clients)
    refusals(checks, clients)
    others(checks, clients)
    git(checks, clients)
    packages(checks, clients)
    upstream(checks, clients, credential, gateway)


def plain(checks, clients):
    with checks("curl, absolute form: GET and POST under a rule"):
        seen = json.loads(clients.curl(f"{clients.http}/open/a?b=c").stdout)
        assert (seen["method"], seen["path"]) == ("GET", "/open/a?b=c"), seen
        headers = {name.lower(): value for name, value in seen["headers"].items()}
        assert headers["host"] == f"localhost:{clients.web.port}", seen
        assert not headers.keys() & {"proxy-connection", "proxy-authorization"}, seen
        assert json.loads(clients.curl("-d", "x=1", f"{clients.http}/open/form").stdout)["bytes"] == 3
    with checks("curl by http_proxy in the environment"):
        result = clients.run("curl", "-sS", f"{clients.http}/open/env", http_proxy=clients.proxy)
        assert json.loads(result.stdout)["path"] == "/open/env", result
        assert "proxy-connection" not in {name.lower() for name in clients.web.headers_of("/open/env")}
    with checks("curl: two requests on one kept connection, each judged"):
        result = clients.curl("-w", "\n%{num_connects} %{http_code}\n", f"{clients.http}/open/1", f"{clients.http}/closed/2")
        lines = [line for line in result.stdout.splitlines() if line]
        assert '"/open/1"' in lines[0] and lines[1] == "1 200", lines
        assert json.loads(lines[2])["reason"] == "path" and lines[3].endswith("403"), lines
        assert lines[3].startswith("0 "), f"the refusal should have come on the kept connection: {lines}"


def bodies(checks, clients):
    body = clients.directory / "body"
    body.write_bytes(os.urandom(BODY_BYTES))
    digest = hashlib.sha256(body.read_bytes()).hexdigest()
    for how, arguments in {
        "with its length (and Expect: 100-continue)": ["--data-binary", f"@{body}"],
        "chunked": ["-H", "Transfer-Encoding: chunked", "--data-binary", f"@{body}"],
    }.items():
        with checks(f"curl: {BODY_BYTES} bytes up, {how}"):
            result = clients.curl(*arguments, f"{clients.http}/open/up")
            seen = json.loads(result.stdout)
            assert (seen["bytes"], seen["sha256"]) == (BODY_BYTES, digest), seen
    (clients.web.files / "files").mkdir(exist_ok=True)
    (clients.web.files / "files" / "body").write_bytes(body.read_bytes())
    with checks(f"curl: {BODY_BYTES} bytes down, in the clear and through a tunnel"):
        for url in (f"{clients.http}/files/body", f"{clients.https}/files/body"):
            clients.curl("-o", "down", url)
            assert hashlib.sha256((clients.directory / "down").read_bytes()).hexdigest() == digest, url


def tunnels(checks, clients):
    with checks("curl: CONNECT to an allowed TLS server, whose certificate curl itself checks"):
        result = clients.curl(f"{clients.https}/open/tls")
        assert json.loads(result.stdout)["path"] == "/open/tls", result
    with checks("curl by https_proxy in the environment"):
        result = clients.run("curl", "-sS", "--cacert", str(clients.ca), f"{clients.https}/open/env", https_proxy=clients.proxy)
        assert json.loads(result.stdout)["path"] == "/open/env", result
    with checks("curl: CONNECT for plain HTTP under an http rule is judged inside"):
        result = clients.curl("--proxytunnel", f"{clients.http}/open/inside")
        assert json.loads(result.stdout)["path"] == "/open/inside", result
        clients.denied(clients.curl("--proxytunnel", f"{clients.http}/closed/inside"), "path")
    with checks("plain HTTP inside a tunnel for TLS is refused, nothing arrives"):
        result = clients.curl("--proxytunnel", f"http://localhost:{clients.web_tls.port}/open/smuggled")
        assert '"/open/smuggled"' not in result.stdout and "/open/smuggled" not in clients.web_tls.paths(), result
    with checks("openssl: the same server name passes, another one is refused"):
        for name, passes in (("localhost", True), ("elsewhere.example", False)):
            address = clients.proxy.removeprefix("http://")
            result = clients.run("openssl", "s_client", "-proxy", address, "-connect", f"localhost:{clients.web_tls.port}",
                                 "-servername", name, "-CAfile", str(clients.ca), "-verify_return_error")
            assert (result.returncode == 0) == passes, (name, result)
            assert passes or "unrecognized name" in result.stderr, result.stderr
    with checks("CONNECT to a host without a rule: 403 for curl, with the reason in the body"):
        result = clients.curl("-w", "%{http_connect}", "https://denied.example/")
        assert result.returncode == 56 and result.stdout == "403", result
        status, answer = connect(clients, "denied.example:443")
        assert status == 403 and answer["reason"] == "host" and answer["remedy"], (status, answer)
    with checks("CONNECT to an allowed name without an address: 502, reason `resolve`"):
        status, answer = connect(clients, "gone.invalid:443")
        assert status == 502 and answer["reason"] == "resolve", (status, answer)


def connect(clients, target):
    """CONNECT by hand, because curl doesn't show the body of a refusal."""
    host, port = clients.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        with connection.makefile("rb") as reply:
            status = int(reply.readline().split()[1])
            length = 0
            while line := reply.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return status, json.loads(reply.read(length))


def refusals(checks, clients):
    port = clients.web.port
    before = len(clients.web.paths())
    url = f"http://127.0.0.1:{port}/"
    for asked, reason, more in (
        ("http://denied.example/", "host", []),
        ("http://localhost:1/open/a", "port", []),
        (f"http://localhost:{port}/closed", "path", []),
        (f"http://localhost:{port}/open/%2e%2e/closed", "path", ["--path-as-is"]),
        (f"http://localhost:{port}/open/../closed", "path", ["--path-as-is"]),
        (f"http://localhost:{port}/open/a", "method", ["-X", "DELETE"]),
        ("http://169.254.169.254/latest/meta-data/", None, []),
        # curl writes such forms as 127.0.0.1, which has a rule, so it is told what to send.
        *((url, None, ["--request-target", numeric, "-H", f"Host: {numeric.split('/')[2]}"]) for numeric in (
            f"http://2130706433:{port}/open/a", f"http://0x7f.1:{port}/open/a", f"http://0177.0.0.1:{port}/open/a",
            f"http://[::ffff:7f00:1]:{port}/open/a",
        )),
    ):
        with checks(f"curl {' '.join([*more, asked])}: refused, {reason or 'some reason'}"):
            result = clients.curl("-w", "\n%{http_code}", *more, asked)
            body, _, status = result.stdout.rpartition("\n")
            answer = json.loads(body)
            assert answer["error"] == "denied" and answer["remedy"], answer
            assert reason is None or (answer["reason"], status) == (reason, "403"), (answer, status)
            assert status in ("400", "403"), status
    with checks("none of that reached the server"):
        assert len(clients.web.paths()) == before, clients.web.paths()[before:]


def others(checks, clients):
    with checks("wget: allowed and refused"):
        result = clients.run("wget", "-qO-", f"{clients.http}/open/wget", http_proxy=clients.proxy)
        assert json.loads(result.stdout)["path"] == "/open/wget", result
        result = clients.run("wget", "-qO-", "--content-on-error", f"{clients.http}/closed", http_proxy=clients.proxy)
        assert result.returncode == 8 and json.loads(result.stdout)["reason"] == "path", result
        result = clients.run("wget", "-qO-", f"--ca-certificate={clients.ca}", f"{clients.https}/open/wget", https_proxy=clients.proxy)
        assert json.loads(result.stdout)["path"] == "/open/wget", result


def git(checks, clients):
    directory = clients.web.files / "git" / "project.git"
    work = clients.directory / "work"
    me = ["-c", "user.name=peers", "-c", "user.email=peers@localhost", "-c", "init.defaultBranch=main"]

    def run(*arguments, through=clients.proxy):
        return clients.run("git", *me, *arguments, http_proxy=through, GIT_TERMINAL_PROMPT="0")

    for command in (
        ["init", "-q", "--bare", str(directory)], ["-C", str(directory), "config", "http.receivepack", "true"],
        ["init", "-q", str(work)], ["-C", str(work), "commit", "-q", "--allow-empty", "-m", "first"],
        ["-C", str(work), "push", "-q", str(directory), "main"],
    ):
        result = run(*command)
        assert result.returncode == 0, result
    url = f"{clients.http}/git/project.git"
    with checks("git: clone and fetch over HTTP"):
        result = run("clone", "-q", url, "cloned")
        assert result.returncode == 0, result
        run("-C", str(work), "commit", "-q", "--allow-empty", "-m", "second")
        run("-C", str(work), "push", "-q", str(directory), "main")
        result = run("-C", "cloned", "fetch", "-q", "origin")
        assert result.returncode == 0 and run("-C", "cloned", "log", "-1", "--format=%s", "origin/main").stdout == "second\n", result
    with checks("git: push is refused by the path rule, and would have worked without the proxy"):
        run("-C", str(work), "commit", "-q", "--allow-empty", "-m", "third")
        result = run("-C", str(work), "push", url, "main:pushed")
        assert result.returncode != 0 and "403" in result.stderr, result
        assert run("-C", str(directory), "branch").stdout == "* main\n", "the branch arrived"
        assert run("-C", str(work), "push", "-q", url, "main:pushed", through="").returncode == 0


def packages(checks, clients):
    files = clients.web.files
    (files / "simple" / "peerspackage").mkdir(parents=True)
    name = "peerspackage-1.0-py3-none-any.whl"
    with zipfile.ZipFile(files / "simple" / "peerspackage" / name, "w") as wheel:
        wheel.writestr("peerspackage.py", "")
        wheel.writestr("peerspackage-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: peerspackage\nVersion: 1.0\n")
        wheel.writestr("peerspackage-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("peerspackage-1.0.dist-info/RECORD", "")
    (files / "simple" / "peerspackage" / "index.html").write_text(f'<a href="{name}">{name}</a>')
    with checks("pip: download from an index, and one that is refused"):
        pip = [sys.executable, "-m", "pip", "--isolated", "download", "-q", "--no-deps", "--no-cache-dir", "--retries", "0",
               "--disable-pip-version-check", "--trusted-host", "localhost", "--proxy", clients.proxy]
        result = clients.run(*pip, "-d", "wheels", "--index-url", f"{clients.http}/simple/", "peerspackage")
        assert result.returncode == 0 and (clients.directory / "wheels" / name).is_file(), result
        result = clients.run(*pip, "-d", "other", "--index-url", f"{clients.http}/closed/", "peerspackage")
        assert result.returncode != 0 and not (clients.directory / "other" / name).exists(), result
    npm_package(files, clients)
    with checks("npm: install from a registry"):
        (clients.directory / "app").mkdir()
        result = clients.run("npm", "install", "--prefix", "app", "--registry", f"{clients.http}/npm/", "--proxy", clients.proxy,
                             "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries", "0", "peerspackage@1.0.0")
        installed = clients.directory / "app" / "node_modules" / "peerspackage" / "package.json"
        assert result.returncode == 0 and installed.is_file(), result
        assert "/npm/peerspackage" in clients.web.paths()


def npm_package(files, clients):
    about = {"name": "peerspackage", "version": "1.0.0"}
    content = json.dumps(about).encode()
    (files / "npm").mkdir()
    with tarfile.open(files / "files" / "peerspackage-1.0.0.tgz", "w:gz") as package:
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(content)
        package.addfile(entry, io.BytesIO(content))
    version = {**about, "dist": {"tarball": f"{clients.http}/files/peerspackage-1.0.0.tgz"}}
    listing = {"name": about["name"], "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (files / "npm" / "peerspackage").write_text(json.dumps(listing))


def upstream(checks, clients, credential, gateway):
    def ask(*arguments):
        return clients.curl("-w", "\n%{http_code}", *arguments, proxied=False)

    with checks("curl to a named upstream: the sidecar adds the credential, and the reply that repeats it has it no more"):
        result = ask("-H", "Authorization: Bearer own", f"{gateway}/upstreams/web/open/u")
        assert result.stdout.endswith("\n200"), result
        sent = {name.lower(): value for name, value in clients.web.headers_of("/open/u").items()}
        assert sent["authorization"] == f"Bearer {credential}", sent
        assert credential not in result.stdout, result
    with checks("curl to a named upstream: another path and another method are refused"):
        for arguments, reason in ((["closed"], "path"), (["open/u", "-X", "DELETE"], "method")):
            path, *more = arguments
            body, _, status = ask(*more, f"{gateway}/upstreams/web/{path}").stdout.rpartition("\n")
            assert status == "403" and json.loads(body)["reason"] == reason, (arguments, body, status)
