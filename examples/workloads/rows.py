"""SQLite on a volume: `POST /` inserts one row and answers how many there are; `GET /` checks the database.

It opens the database for each request, or with the argument `keep` once. Then it must use a write-ahead log: with
SQLite's other journals a database that was opened before a move is read-only after it, because SQLite looks at the
file's inode number, and that is another one on another device.
"""

import contextlib
import http.server
import sqlite3
import sys


def open_database(journal):
    database = sqlite3.connect("/data/rows.db", isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {journal}")
    database.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return database


kept = open_database("WAL") if "keep" in sys.argv else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for an answer.
    wbufsize = -1

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(("INSERT INTO rows (text) VALUES (?)", (text,)), ("SELECT count(DISTINCT text) FROM rows",))

    def do_GET(self):
        self.answer(("PRAGMA integrity_check",))

    def answer(self, *statements):
        with contextlib.nullcontext(kept) if kept else contextlib.closing(open_database("DELETE")) as database:
            for statement in statements:
                row = database.execute(*statement).fetchone()
        body = str(row[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# One thread: an SQLite connection belongs to the thread that made it.
http.server.HTTPServer(("", 8080), Handler).serve_forever()
