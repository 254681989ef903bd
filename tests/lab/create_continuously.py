"""Creates an agent pod in `lab-acme`, as a dry run, over and over, four at once, until FILE exists; prints how many calls there were and every failure.

create_continuously.py SERVER LAB_DIR FILE
"""

import http.client
import json
import pathlib
import ssl
import sys
import threading
import time
import urllib.parse

POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "load-", "namespace": "lab-acme"},
    "spec": {"containers": [{"name": "c", "image": "docker.io/library/busybox:1"}]},
}
PATH = "/api/v1/namespaces/lab-acme/pods?dryRun=All"
HEADERS = {"Content-Type": "application/json", "Impersonate-User": "alice", "Impersonate-Group": "acme:devs"}


THREADS = 4
CALLS_MIN = 100


def create(server, lab, stop, times, failures):
    context = ssl.create_default_context(cafile=lab / "ca.crt")
    context.load_cert_chain(lab / "admin.crt", lab / "admin.key")
    address = urllib.parse.urlsplit(server)
    api = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=30)
    while not stop.exists():
        start = time.monotonic()
        try:
            api.request("POST", PATH, json.dumps(POD), HEADERS)
            reply = api.getresponse()
            body = reply.read()
            if reply.status != 201:
                failures.append(f"{reply.status} {body.decode()[:500]}")
        except OSError as error:
            failures.append(repr(error))
            api.close()
        times.append(time.monotonic() - start)


def main(server, lab, stop):
    times, failures = [], []
    threads = [threading.Thread(target=create, args=(server, lab, stop, times, failures)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(times)} calls, {len(failures)} failed, slowest {max(times):.2f} s")
    print("\n".join(failures[:10]))
    return 1 if failures or len(times) < CALLS_MIN else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))
