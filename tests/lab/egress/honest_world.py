"""Servers for honest programs, in the world: files, git, an npm registry, a Python index and a Debian archive over HTTP and HTTPS.

honest_world.py DIRECTORY CERTIFICATE-WITHOUT-SUFFIX ADDRESS...
"""

import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import threading
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "peers"))
from web import Web  # noqa: E402

HOST = "pkgs.example.net"


def run(*command, **options):
    subprocess.run(command, check=True, capture_output=True, **options)


def repository(files):
    bare, work = files / "git" / "project.git", files / "work"
    me = ["git", "-c", "user.name=honest", "-c", "user.email=honest@localhost", "-c", "init.defaultBranch=main"]
    run(*me, "init", "-q", "--bare", str(bare))
    run(*me, "-C", str(bare), "config", "http.receivepack", "true")
    run(*me, "init", "-q", str(work))
    run(*me, "-C", str(work), "commit", "-q", "--allow-empty", "-m", "first")
    run(*me, "-C", str(work), "push", "-q", str(bare), "main")


def index(files):
    directory = files / "simple" / "honestpackage"
    directory.mkdir(parents=True)
    name = "honestpackage-1.0-py3-none-any.whl"
    with zipfile.ZipFile(directory / name, "w") as wheel:
        about = "honestpackage-1.0.dist-info/"
        wheel.writestr("honestpackage.py", "")
        wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: honestpackage\nVersion: 1.0\n")
        wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(about + "RECORD", "")
    (directory / "index.html").write_text(f'<a href="{name}">{name}</a>')


def registry(files, scheme):
    """Each scheme has a registry of its own, because a listing names whole URLs."""
    about = {"name": "honestpackage", "version": "1.0.0"}
    content = json.dumps(about).encode()
    directory = files / f"npm-{scheme}"
    directory.mkdir()
    with tarfile.open(files / "honestpackage-1.0.0.tgz", "w:gz") as package:
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(content)
        package.addfile(entry, io.BytesIO(content))
    version = {**about, "dist": {"tarball": f"{scheme}://{HOST}/honestpackage-1.0.0.tgz"}}
    (directory / "honestpackage").write_text(json.dumps({"name": about["name"], "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}))


def archive(files):
    root, directory = files / "package", files / "debian"
    (root / "DEBIAN").mkdir(parents=True)
    directory.mkdir()
    (root / "DEBIAN" / "control").write_text("Package: honest\nVersion: 1.0\nArchitecture: all\nMaintainer: honest\nDescription: honest\n")
    run("dpkg-deb", "--build", "-Znone", str(root), str(directory / "honest.deb"))
    content = (directory / "honest.deb").read_bytes()
    control = (root / "DEBIAN" / "control").read_text()
    packages = control + f"Filename: ./honest.deb\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    (directory / "Packages").write_text(packages)
    digest = hashlib.sha256(packages.encode()).hexdigest()
    (directory / "Release").write_text(f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {len(packages)} Packages\n")


def main():
    files, certificate = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    files.mkdir(parents=True, exist_ok=True)
    (files / "large").write_bytes(bytes(range(256)) * 40_000)
    repository(files)
    index(files)
    registry(files, "http")
    registry(files, "https")
    archive(files)
    for address in sys.argv[3:]:
        Web(files, address=(address, 80))
        Web(files, certificate, address=(address, 443))
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
