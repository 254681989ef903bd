"""Creates an agent pod in `lab-acme`, as a dry run, over and over until FILE exists; prints how many calls there were and every failure.

create_continuously.py SERVER LAB_DIR FILE
"""

import http.client
import json
import pathlib
import ssl
import sys
import time
import urllib.parse

POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "load-", "namespace": "lab-acme"},
    "spec": {"containers": [{"name": "c", "image": "docker.io/library/busybox:1"}]},
}
PATH = "/api/v1/namespaces/lab-acme/pods?dryRun=All"
HEADERS = {"Content-Type": "application/json", "Impersonate-User": "alice", "Impersonate-Group": "acme:devs"}


def main(server, lab, stop):
    context = ssl.create_default_context(cafile=lab / "ca.crt")
    context.load_cert_chain(lab / "admin.crt", lab / "admin.key")
    address = urllib.parse.urlsplit(server)
    api = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=30)
    calls, failures, slowest = 0, [], 0.0
    while not stop.exists():
        start = time.monotonic()
        api.request("POST", PATH, json.dumps(POD), HEADERS)
        reply = api.getresponse()
        body = reply.read()
        slowest = max(slowest, time.monotonic() - start)
        calls += 1
        if reply.status != 201:
            failures.append(f"call {calls}: {reply.status} {body.decode()[:500]}")
    print(f"{calls} calls, {len(failures)} failed, slowest {slowest:.2f} s")
    print("\n".join(failures[:10]))
    return 1 if failures or calls < 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))
