"""The page's files on loopback: a handful by name, under a path that nobody else can guess.

A page may use threads only where it is isolated from other origins: every answer says so (COOP, COEP, CORP).
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

TYPES = {
    ".html": "text/html; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".json": "application/json",
    ".wasm": "application/wasm",
}  # fmt: skip
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@contextmanager
def serve(files: Mapping[str, Path]) -> Iterator[str]:
    """The address under which `files` can be fetched by their names, for as long as it lasts."""
    secret = secrets.token_urlsafe(16)
    paths = {f"/{secret}/{name}": path for name, path in files.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, paths.get(self.path.partition("?")[0]))

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{secret}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, path: Path | None) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        if path is None or not path.is_file():
            request.send_error(HTTPStatus.NOT_FOUND)
            return
        request.send_response(HTTPStatus.OK)
        request.send_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
        request.send_header("Content-Length", str(path.stat().st_size))
        for name, value in HEADERS.items():
            request.send_header(name, value)
        request.end_headers()
        with path.open("rb") as file:
            shutil.copyfileobj(file, request.wfile, 1 << 20)
