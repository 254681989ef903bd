"""Connections that come and go, from two processes, beside an honest one every tenth of a second: whether that one still gets through.

churn.py SECONDS CHURNED HONEST [RATE]: both ADDRESS/PORT; so many a second, else as many as they can; prints `connections a second`, `refused`, `honest` and `failed`.
"""

import os
import socket
import sys
import time

PATIENCE = 3  # seconds: SYNs that a full queue drops come again after one


def endpoint(text):
    address, _, port = text.rpartition("/")
    return address, int(port)


def churn(seconds, to, out, share, rate):
    """Opens and closes; each to another port, so that no two have one pair of ends."""
    family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
    start, count, refused = time.time(), 0, 0
    while (gone := time.time() - start) < seconds:
        if rate and count > gone * rate:
            time.sleep(0.001)
            continue
        client = socket.socket(family)
        client.settimeout(1)
        try:
            client.connect((to[0], 20000 + (count * 2 + share) % 40000))
        except ConnectionRefusedError:
            refused += 1
        except OSError:
            pass
        client.close()
        count += 1
    os.write(out, f"{count} {refused}\n".encode())


def honest(to):
    with socket.create_connection(to, PATIENCE) as client:
        client.settimeout(PATIENCE)
        client.sendall(b"x")
        return client.recv(4) == b"peer"


def main():
    seconds, churned, wanted = float(sys.argv[1]), endpoint(sys.argv[2]), endpoint(sys.argv[3])
    rate = float(sys.argv[4]) / 2 if sys.argv[4:] else 0
    back, out = os.pipe()
    for share in range(2):
        if os.fork() == 0:
            churn(seconds, churned, out, share, rate)
            os._exit(0)
    end, good, failed = time.time() + seconds, 0, 0
    while time.time() < end:
        try:
            good, failed = (good + 1, failed) if honest(wanted) else (good, failed + 1)
        except OSError:
            failed += 1
        time.sleep(0.1)
    os.wait(), os.wait()
    counts = [tuple(map(int, line.split())) for line in os.read(back, 1000).decode().splitlines()]
    rate = sum(count for count, _ in counts) / seconds
    print(f"rate {rate:.0f} refused {sum(refused for _, refused in counts)} honest {good} failed {failed}")


main()
