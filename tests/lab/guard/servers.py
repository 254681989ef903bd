"""Servers that say who asks: servers.py PORT... A port that ends with `u` is UDP. `big` answers with a megabyte."""

import socket
import sys
import threading

BIG = b"x" * 1_000_000


def tcp(family, port):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    server.listen()
    while True:
        one, peer = server.accept()
        threading.Thread(target=answer, args=(one, peer), daemon=True).start()


def answer(one, peer):
    try:
        asked = one.recv(4096)
        one.sendall(BIG if asked.startswith(b"big") else f"peer {peer[0]}\n".encode())
    except OSError:
        pass
    one.close()


def udp(family, port):
    server = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    while True:
        _, peer = server.recvfrom(4096)
        try:
            server.sendto(b"answer", peer)
        except OSError:
            pass


for text in sys.argv[1:]:
    kind = udp if text.endswith("u") else tcp
    for family in (socket.AF_INET, socket.AF_INET6):
        threading.Thread(target=kind, args=(family, int(text.rstrip("u")))).start()
print("ready", flush=True)
