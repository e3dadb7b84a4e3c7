"""A browser that uses little CPU: connections, a cache, what a page loads, and sockets.

It runs in the benchmark's process. It asks for one file after another on one connection, because HTTP/2 also needs
only one, and caches what the answers allow. A page or a module with the same content is parsed only once, so that
the load uses less CPU than the servers.
"""

import asyncio
import base64
import contextlib
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

from benchmarks.load import HOST

_TAGS = re.compile(r"<(script|link|img)\b([^>]*)>", re.IGNORECASE)
_ATTRIBUTES = re.compile(r"""([\w-]+)\s*=\s*["']([^"']*)["']""")
_IMPORT_MAP = re.compile(r"""<script[^>]*type=["']importmap["'][^>]*>(.*?)</script>""", re.DOTALL)
_IMPORTS = re.compile(r"""^(?:import|(?:import|export)\b[^"';()=]*\bfrom)\s*["']([^"']+)["']""", re.MULTILINE)
_LOADED = {"stylesheet", "icon", "modulepreload", "preload"}
_TEXT, _PING, _CLOSE = 0x81, 0x89, 0x88
_KEY = base64.b64encode(bytes(16)).decode()
_UPGRADE = (
    f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n"
)


class WrongAnswerError(Exception):
    """An answer was not the one that the step needs."""

    def __init__(self, path: str, status: int, content: bytes = b"") -> None:
        self.status = status
        super().__init__(f"{path}: {status} {content[:200].decode(errors='replace')}")


@dataclass(frozen=True)
class Answer:
    """An answer: headers by their names in lower case, the content as it was sent."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def plain(self) -> str:
        """Return the content as text."""
        zipped = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.content) if zipped else self.content).decode()


@dataclass(frozen=True)
class _Kept:
    """A file in the cache, what it imports, and until when it is fresh."""

    fresh_until: float
    tag: str | None
    imports: tuple[str, ...]


@dataclass(frozen=True)
class _Page:
    """What a page loads, and its import map."""

    files: tuple[str, ...]
    modules: Mapping[str, str]


@dataclass
class Browser:
    """One person's browser, with nothing in its cache at first. `source` is that person's address."""

    port: int
    source: str = HOST
    token: str | None = None
    asked: Counter[int] = field(default_factory=Counter)  # requests by status

    def __post_init__(self) -> None:
        self._site = f"{HOST}:{self.port}"
        self._cache: dict[str, _Kept] = {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._streams:
            await _hang_up(self._streams[1])
            self._streams = None

    async def page(self, path: str) -> str:
        """Load a page with all its files; return its text. Raise WrongAnswerError."""
        answer = await self._ask("GET", path, "Accept: text/html\r\nAccept-Encoding: gzip\r\n")
        if answer.status != 200:
            raise WrongAnswerError(path, answer.status, answer.content)
        text = answer.plain()
        page = _parsed_page(text)
        seen = set[str]()
        waiting = [urljoin(path, name) for name in page.files]
        while waiting:
            name = waiting.pop(0)
            if name not in seen and name.startswith("/"):
                seen.add(name)
                imports = await self._file(name)
                waiting += [page.modules.get(each) or urljoin(name, each) for each in imports]
        return text

    async def api(self, method: str, path: str, expected: int, **body: object) -> dict[str, Any]:
        """Send a request to the API; return its answer. Raise WrongAnswerError unless the status is `expected`."""
        sent = json.dumps(body).encode() if body else b""
        headers = "Accept: application/json\r\nContent-Type: application/json\r\n" + self._who()
        answer = await self._ask(method, path, headers, sent)
        if answer.status != expected:
            raise WrongAnswerError(path, answer.status, answer.content)
        return json.loads(answer.content) if answer.content else {}

    @contextlib.asynccontextmanager
    async def follow(self, path: str) -> AsyncIterator["Stream"]:
        """Open a socket; yield it. A client with a token is not a browser, and sends no Origin."""
        streams = await self._connect()
        try:
            head = f"GET {path} HTTP/1.1\r\nHost: {self._site}\r\nSec-WebSocket-Protocol: overlord.v1\r\n"
            who = self._who() or f"Origin: http://{self._site}\r\n"
            streams[1].write(f"{head}{_UPGRADE}{who}\r\n".encode())
            answer = await streams[0].readuntil(b"\r\n\r\n")
            if b" 101 " not in answer[:20]:
                raise WrongAnswerError(path, int(answer[9:12]))
            yield Stream(path, *streams)
        finally:
            await _hang_up(streams[1])

    async def _file(self, name: str) -> tuple[str, ...]:
        """Load a file unless the cache has it; return what it imports. Raise WrongAnswerError."""
        kept = self._cache.get(name)
        if kept and time.monotonic() < kept.fresh_until:
            return kept.imports
        headers = "Accept: */*\r\nAccept-Encoding: gzip\r\n"
        if kept and kept.tag:
            headers += f"If-None-Match: {kept.tag}\r\n"
        answer = await self._ask("GET", name, headers)
        if kept and answer.status == 304:
            imports = kept.imports
        elif answer.status == 200:
            imports = _parsed_module(answer.content, answer.headers.get("content-encoding") == "gzip")
            imports = imports if "javascript" in answer.headers.get("content-type", "") else ()
        else:
            raise WrongAnswerError(name, answer.status, answer.content)
        fresh = time.monotonic() + _seconds_fresh(answer.headers.get("cache-control", ""))
        self._cache[name] = _Kept(fresh, answer.headers.get("etag"), imports)
        return imports

    async def _ask(self, method: str, path: str, headers: str, body: bytes = b"") -> Answer:
        """Send a request on the connection, or on a new one if the server has closed it."""
        length = f"Content-Length: {len(body)}\r\n" if method != "GET" else ""
        request = f"{method} {path} HTTP/1.1\r\nHost: {self._site}\r\n{headers}{length}\r\n".encode() + body
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await self._connect()
        reader, writer = self._streams
        writer.write(request)
        answer = await _read_answer(reader)
        self.asked[answer.status] += 1
        if answer.headers.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.port, local_addr=(self.source, 0), limit=1 << 20)

    def _who(self) -> str:
        return f"Authorization: Token {self.token}\r\n" if self.token else ""


class Stream:
    """A socket on one stream. Data that arrives waits in the buffer until it is read."""

    def __init__(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._path, self._reader, self._writer = path, reader, writer

    async def state(self) -> Any:
        """Wait for the next frame with the stream's state, and return the state. Raise WrongAnswerError."""
        while True:
            frame = json.loads(await self._text())
            if frame["type"] in ("snapshot", "update"):
                return frame["data"]

    async def _text(self) -> bytes:
        while True:
            kind, length = await self._reader.readexactly(2)
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8))
            content = await self._reader.readexactly(length)
            if kind == _TEXT:
                return content
            if kind == _PING:
                self._writer.write(bytes((0x8A, 0x80 | length)) + bytes(4) + content)
            elif kind == _CLOSE:
                raise WrongAnswerError(self._path, int.from_bytes(content[:2]))


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0][9:12])
    if status in (204, 304):
        return Answer(status, headers, b"")
    if "content-length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return Answer(status, headers, b"".join(parts))


def _seconds_fresh(cache_control: str) -> float:
    found = re.search(r"max-age=(\d+)", cache_control)
    return float(found[1]) if found and "no-cache" not in cache_control else 0.0


@lru_cache(maxsize=64)
def _parsed_page(text: str) -> _Page:
    """Find what a page loads: scripts, styles, icons, preloads, pictures; and its import map."""
    files = []
    for tag, rest in _TAGS.findall(text):
        attributes = dict(_ATTRIBUTES.findall(rest))
        if tag.lower() == "link":
            if _LOADED & set(attributes.get("rel", "").split()):
                files.append(attributes["href"])
        elif "src" in attributes:
            files.append(attributes["src"])
    found = _IMPORT_MAP.search(text)
    return _Page(tuple(files), json.loads(found[1])["imports"] if found else {})


@lru_cache(maxsize=256)
def _parsed_module(content: bytes, zipped: bool) -> tuple[str, ...]:
    """Find the modules that a module imports."""
    text = (gzip.decompress(content) if zipped else content).decode(errors="replace")
    return tuple(_IMPORTS.findall(text))
