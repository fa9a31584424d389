"""A small file server on 127.0.0.1: what tests put and get by http:// URLs, as a job does with a site's data server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from urllib.parse import unquote, urlsplit

PIECE = 2**20
"""Bytes that are copied at a time."""


@dataclass(frozen=True)
class Request:
    """One that was answered."""

    method: str
    path: str
    """Below the server's folder, without a leading slash."""
    status: int


@dataclass
class FileServer:
    """A server that runs: GET (also of a range), HEAD, PUT and DELETE of files below `folder`."""

    folder: Path
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    """What was answered, in the order of the ends."""
    refused: dict[str, HTTPStatus] = field(default_factory=dict)
    """Beginnings of paths, and the answer to all that is asked of them: the faults of a server."""

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def paths(self, method: str) -> list[str]:
        """The files of all requests of this method that were served."""
        return [request.path for request in self.requests if request.method == method and request.status < 300]

    def place(self, path: str) -> Path | None:
        """The file behind the path of a URL; None if it lies outside of the folder."""
        place = (self.folder / path).resolve()
        return place if place.is_relative_to(self.folder.resolve()) else None

    def refusal(self, path: str) -> HTTPStatus | None:
        return next((status for start, status in self.refused.items() if path.startswith(start)), None)


@contextmanager
def serve(folder: Path) -> Iterator[FileServer]:
    """Serve the files of a folder until the end of the block."""
    files = FileServer(folder)

    class Handler(_Handler):
        server_files = files

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        files.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_files: FileServer

    @property
    def file_path(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def do_GET(self) -> None:
        self._send(body=True)

    def do_HEAD(self) -> None:
        self._send(body=False)

    def do_PUT(self) -> None:
        place = self._place()
        if place is None:
            self.close_connection = True  # what was to be put stays unread
            return
        existed = place.exists()
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.part{threading.get_ident()}")
        with partial.open("wb") as file:
            whole = self._receive(file)
        if not whole:
            partial.unlink()
            self.close_connection = True
            return
        partial.replace(place)
        self._answer(HTTPStatus.NO_CONTENT if existed else HTTPStatus.CREATED)

    def do_DELETE(self) -> None:
        place = self._place()
        if place is None:
            return
        if not place.is_file():
            self._answer(HTTPStatus.NOT_FOUND)
            return
        place.unlink()
        self._answer(HTTPStatus.NO_CONTENT)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal of the tests."""

    def _place(self) -> Path | None:
        """The file that is asked for. None if it is refused, which then was answered."""
        place = self.server_files.place(self.file_path)
        refusal = HTTPStatus.FORBIDDEN if place is None else self.server_files.refusal(self.file_path)
        if refusal is not None:
            self._answer(refusal)
            return None
        return place

    def _answer(self, status: HTTPStatus, length: int = 0, **headers: str) -> None:
        self.server_files.requests.append(Request(self.command, self.file_path, int(status)))
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send(self, body: bool) -> None:
        place = self._place()
        if place is None:
            return
        if not place.is_file():
            self._answer(HTTPStatus.NOT_FOUND)
            return
        size = place.stat().st_size
        first, last = self._range(size)
        if first > last and size > 0:
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, Content_Range=f"bytes */{size}")
            return
        length = last - first + 1
        if length == size:
            self._answer(HTTPStatus.OK, length, Accept_Ranges="bytes")
        else:
            self._answer(HTTPStatus.PARTIAL_CONTENT, length, Content_Range=f"bytes {first}-{last}/{size}")
        if body:
            with place.open("rb") as file:
                file.seek(first)
                _copy(file, self.wfile, length)

    def _range(self, size: int) -> tuple[int, int]:
        """First and last byte that are asked for; all if it is no single range."""
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or asked.groups() == ("", ""):
            return 0, size - 1
        if asked[1] == "":
            return max(size - int(asked[2]), 0), size - 1
        return int(asked[1]), min(int(asked[2] or size), size - 1)

    def _receive(self, file: BufferedIOBase) -> bool:
        """Write the body of the request into a file. False if the connection ended before it."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            return _copy(self.rfile, file, length) == length
        while length := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            if _copy(self.rfile, file, length) != length:
                return False
            self.rfile.readline()
        return self.rfile.readline().strip() == b""


def _copy(source: BufferedIOBase, target: BufferedIOBase, length: int) -> int:
    """Copy `length` bytes; gives how many there were."""
    done = 0
    while done < length and (piece := source.read(min(PIECE, length - done))):
        target.write(piece)
        done += len(piece)
    return done
