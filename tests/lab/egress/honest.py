"""Honest programs inside the pod, as they come: curl, wget, git, pip, npm, apt, psql, with and without proxy variables. One line a check.

honest.py CA FAMILY [PROGRAM...]
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CA, FAMILY = sys.argv[1], sys.argv[2]
HOST = "pkgs.example.net"
PROXY = "http://[::1]:15002" if FAMILY == "6" else "http://127.0.0.1:15002"
LARGE = hashlib.sha256(bytes(range(256)) * 40_000).hexdigest()
failed = 0


def run(directory, *command, proxy=False):
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(directory), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0",
                   "CURL_CA_BUNDLE": CA, "GIT_SSL_CAINFO": CA, "NODE_EXTRA_CA_CERTS": CA, "PIP_CERT": CA}
    if proxy:
        environment |= {name: PROXY for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    result = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {result.returncode}: {(result.stderr or result.stdout)[-500:]}")
    return result.stdout


def curl(directory, scheme, proxy):
    run(directory, "curl", "-sSf", f"-{FAMILY}", "-o", "down", f"{scheme}://{HOST}/large", proxy=proxy)
    assert hashlib.sha256((directory / "down").read_bytes()).hexdigest() == LARGE
    run(directory, "curl", "-sSf", f"-{FAMILY}", "-T", "down", f"{scheme}://{HOST}/open/up", proxy=proxy)


def wget(directory, scheme, proxy):
    run(directory, "wget", "-q", f"-{FAMILY}", f"--ca-certificate={CA}", "-O", "down", f"{scheme}://{HOST}/large", proxy=proxy)
    assert hashlib.sha256((directory / "down").read_bytes()).hexdigest() == LARGE


def git(directory, scheme, proxy):
    run(directory, "git", "clone", "-q", f"{scheme}://{HOST}/git/project.git", "cloned", proxy=proxy)
    me = ("git", "-C", "cloned", "-c", "user.name=a", "-c", "user.email=a@b")
    run(directory, *me, "commit", "-q", "--allow-empty", "-m", "more", proxy=proxy)
    run(directory, *me, "push", "-q", "origin", f"HEAD:branch-{os.getpid()}-{scheme}-{proxy}", proxy=proxy)


def pip(directory, scheme, proxy):
    run(directory, "/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--retries", "0",
        "--trusted-host", HOST, "-d", "wheels", "--index-url", f"{scheme}://{HOST}/simple/", "honestpackage", proxy=proxy)
    assert list((directory / "wheels").iterdir())


def npm(directory, scheme, proxy):
    run(directory, "npm", "install", "--prefix", "app", "--registry", f"{scheme}://{HOST}/npm-{scheme}/", "--no-audit", "--no-fund",
        "--no-update-notifier", "--fetch-retries", "0", "honestpackage@1.0.0", proxy=proxy)
    assert (directory / "app" / "node_modules" / "honestpackage" / "package.json").is_file()


def apt(directory, scheme, proxy):
    for name in ("lists/partial", "cache/archives/partial", "parts", "preferences"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    (directory / "list").write_text(f"deb [trusted=yes] {scheme}://{HOST}/debian ./\n")
    options = [f"-oDir::State={directory}", f"-oDir::State::lists={directory}/lists", f"-oDir::State::status={directory}/status", f"-oDir::Cache={directory}/cache",
               f"-oDir::Etc::sourcelist={directory}/list", f"-oDir::Etc::sourceparts={directory}/parts", f"-oDir::Etc::parts={directory}/parts",
               f"-oDir::Etc::preferencesparts={directory}/preferences", f"-oAcquire::https::CAInfo={CA}", f"-oAcquire::ForceIPv{FAMILY}=true", "-oAPT::Sandbox::User=",
               f"-oDebug::NoLocking=true"]
    run(directory, "apt-get", *options, "update", "-q", proxy=proxy)
    run(directory, "apt-get", *options, "download", "honest", proxy=proxy)
    assert list(directory.glob("honest_*.deb"))


def psql(directory, scheme, _proxy):
    mode = "require" if scheme == "https" else "disable"
    found = run(directory, "psql", f"host={HOST} dbname=postgres user=honest sslmode={mode}", "-Atc", "select sum(n) from generate_series(1, 100000) n")
    assert found.strip() == "5000050000", found


PROGRAMS = {"curl": curl, "wget": wget, "git": git, "pip": pip, "npm": npm, "apt": apt, "psql": psql}

for name, program in PROGRAMS.items():
    if sys.argv[3:] and name not in sys.argv[3:]:
        continue
    for scheme in ("http", "https"):
        for proxy in (False, True):
            if proxy and name == "psql":
                continue
            what = f"{name}, {'TLS' if scheme == 'https' else 'in the clear'}, {'by proxy variables' if proxy else 'without any setting'}, IPv{FAMILY}"
            directory = pathlib.Path(tempfile.mkdtemp())
            try:
                program(directory, scheme, proxy)
                print(f"ok      {what}")
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"FAILED  {what}\n        {error}")
            shutil.rmtree(directory, ignore_errors=True)
sys.exit(1 if failed else 0)
