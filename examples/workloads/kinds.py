"""An HTTP server that keeps what it is given in every kind of memory that a program can have.

`POST /` writes the body behind what is there, in each of them; `GET /` answers what is in each, a line by kind.
"""

import http.server
import mmap
import os
import threading

SIZE = 8 << 20
# Linux, mman.h: pages that an administrator has set aside.
MAP_HUGETLB = 0x40000


def of_file(descriptor):
    os.ftruncate(descriptor, SIZE)
    return mmap.mmap(descriptor, SIZE, flags=mmap.MAP_SHARED)


def huge():
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


kinds = {
    "private": mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
    "shared": mmap.mmap(-1, SIZE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
    "memfd": of_file(os.memfd_create("kept")),
    "file": of_file(os.open("/data/kept", os.O_RDWR | os.O_CREAT)),
    "huge": huge(),
}
try:
    kinds["reserved"] = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
except OSError as error:
    print(f"no reserved pages: {error}", flush=True)

at = 0
lock = threading.Lock()

# What is shared is written by another process: afterwards it must be the same memory for both.
request, asked = os.pipe()
done, told = os.pipe()
if os.fork() == 0:
    place = 0
    while body := os.read(request, 4096):
        kinds["shared"][place : place + len(body)] = body
        place += len(body)
        os.write(told, b".")
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for an answer.
    wbufsize = -1

    def do_POST(self):
        global at
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            os.write(asked, body)
            os.read(done, 1)
            for kind, memory in kinds.items():
                if kind != "shared":
                    memory[at : at + len(body)] = body
            at += len(body)
        self.answer(str(at))

    def do_GET(self):
        with lock:
            lines = [f"{kind} {memory[:at].decode()}\n" for kind, memory in kinds.items()]
        self.answer("".join(lines))

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
