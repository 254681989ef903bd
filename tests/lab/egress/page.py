"""Prints docs/egress-attacks.md, so that the page says what is tried and nothing else. page.py <PAGE-HEAD"""

import pathlib
import subprocess
import sys

SECTIONS = {"0": "DNS (D.1)", "18": "Addresses and metadata (D.2, D.3)", "30": "CONNECT, SOCKS and TLS (D.4)", "46c": "HTTP (D.5)", "63": "Beside TCP, and inside the pod (D.6)"}
WORDS = {"reached": "works", "denied": "refused", "hang": "dropped"}


def rows():
    """(number, entrances, title, expected, reason) of every row, families joined."""
    found = {}
    for family in ("4", "6"):
        script = f"import sys; sys.argv = ['agent.py', '{family}', 'x']; import agent, rows\nfor r in agent.ROWS: print('\\t'.join(map(str, r[:4])))"
        output = subprocess.run([sys.executable, "-B", "-c", script], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=True).stdout
        for line in output.splitlines():
            number, title, expected, reason = line.split("\t")
            number, _, entrance = number.partition(" ")
            entry = found.setdefault((number, title, expected, reason), (set(), set()))
            entry[0].add(entrance)
            entry[1].add(family)
    return found


def main():
    print(sys.stdin.read().rstrip("\n"))
    for (number, title, expected, reason), (entrances, families) in rows().items():
        if number in SECTIONS:
            print(f"\n## {SECTIONS.pop(number)}\n\n| Row | What is tried | How | By | Answer |\n| --- | --- | --- | --- | --- |")
        answer = WORDS[expected] + (f", `{reason}`" if reason != "None" else "")
        title = title.replace("|", "\\|")
        print(f"| {number} | {title} | {', '.join(sorted(entrances - {''})) or 'direct'} | {' and '.join(f'v{family}' for family in sorted(families))} | {answer} |")


main()
