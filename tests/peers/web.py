"""The outside world of this test: an HTTP and an HTTPS server on loopback that note every request that reaches them."""

import hashlib
import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import urllib.parse

BACKEND = ["git", "http-backend"]


class Web:
    """`files` is served below its own names; `seen` has (method, path, headers) of every request."""

    def __init__(self, files, certificate=None, address=("127.0.0.1", 0)):
        self.files, self.seen, self.lock = pathlib.Path(files), [], threading.Lock()
        kind = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": socket.AF_INET6 if ":" in address[0] else socket.AF_INET})
        self.server = kind(address, _handler(self))
        self.port = self.server.server_port
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.with_suffix(".crt"), certificate.with_suffix(".key"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def paths(self):
        with self.lock:
            return [path for _, path, _ in self.seen]

    def headers_of(self, path):
        with self.lock:
            return next(headers for _, seen, headers in reversed(self.seen) if seen == path)


def _handler(web):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            body = self.body()
            with web.lock:
                web.seen.append((self.command, self.path, dict(self.headers)))
            path, _, query = self.path.partition("?")
            file = web.files / urllib.parse.unquote(path).lstrip("/")
            if path.startswith("/git/"):
                self.git(path, query, body)
            elif path.startswith("/open/"):
                self.echo(body)
            elif (file / "index.html").is_file():
                self.reply(200, "text/html", (file / "index.html").read_bytes())
            elif file.is_file():
                kind = "application/json" if path.startswith("/npm/") else "application/octet-stream"
                self.reply(200, kind, file.read_bytes())
            else:
                self.reply(404, "text/plain", b"no such file\n")

        do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        def body(self):
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def echo(self, body):
            """What was asked, so that a client can see it."""
            answer = {"method": self.command, "path": self.path, "headers": dict(self.headers),
                      "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            self.reply(200, "application/json", json.dumps(answer).encode())

        def git(self, path, query, body):
            """Git's own server, by CGI."""
            environment = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(web.files / "git"), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path.removeprefix("/git"), "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "REMOTE_USER": "peers", "REMOTE_ADDR": "127.0.0.1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            }
            output = subprocess.run(BACKEND, input=body, env=environment, stdout=subprocess.PIPE, check=False).stdout
            head, _, content = output.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.reply(int(fields.get("Status", "200").split()[0]), fields["Content-Type"], content)

        def reply(self, status, kind, content):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler
