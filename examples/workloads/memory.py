"""An HTTP server with all its data in memory: `POST /<key>` keeps the body, `GET /` answers everything kept.

Its answers carry who it is: a process that was started anew has another number, another birth and another mark.
"""

import http.server
import os
import secrets
import threading
import time

BORN = time.time_ns()
MARK = secrets.token_hex(8)
kept = {}
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for an answer.
    wbufsize = -1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with lock:
            kept[self.path[1:]] = body
        self.answer(f"{len(kept)}")

    def do_GET(self):
        with lock:
            lines = [f"{key}={value}\n" for key, value in sorted(kept.items())]
        self.answer(f"{os.getpid()} {BORN} {MARK}\n" + "".join(lines))

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
