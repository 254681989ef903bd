"""Lists, as FILE=PATH_IN_IMAGE a line, what an image needs so that this machine's own programs run in it: those that honest.py runs, and Python for the suite."""

import glob
import os
import pathlib
import re
import shutil
import subprocess

PROGRAMS = ("python3.11", "curl", "wget", "git", "apt-get", "apt-config", "dpkg", "gpgv", "node", "env", "sh", "psql")
TREES = ("/usr/lib/python3.11", "/usr/lib/python3/dist-packages/pip", "/usr/lib/git-core", "/usr/lib/apt", "/usr/share/dpkg")
PATH = "/usr/local/bin:/usr/bin:/bin"


def postgres():
    return max(glob.glob("/usr/lib/postgresql/*/bin/psql"), default=None)


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(path):
    told = subprocess.run(("ldd", path), capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S*lib\S*) \(0x", told)


def main():
    files, trees = {}, {tree: tree for tree in TREES}
    for name in PROGRAMS:
        # Debian's `psql` is a script in Perl that looks for the real one.
        found = postgres() if name == "psql" else shutil.which(name, path=PATH)
        assert found, f"no {name} in {PATH}"
        files[f"/usr/bin/{name}"] = found
    files["/bin/sh"] = files["/usr/bin/sh"]
    files["/usr/bin/python3"] = files["/usr/bin/python3.11"]
    npm = pathlib.Path(os.path.realpath(shutil.which("npm", path=PATH))).parents[1]
    trees[f"/usr/lib/node_modules/{npm.name}"] = str(npm)
    inside = (str(file) for tree in trees.values() for file in pathlib.Path(tree).rglob("*") if file.is_file())
    for program in [*files.values(), *inside]:
        if is_elf(program):
            files |= {library: library for library in libraries(program)}
    for to, source in {**trees, **files}.items():
        print(f"{source}={to}")


if __name__ == "__main__":
    main()
