"""The answers of the real Caddy, Granian and Daphne to slow, hostile or unlucky clients."""

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from django.conf import settings

from overlord.embedded import ports, processes, program
from overlord.embedded.processes import Program
from overlord.shop import static_files
from tests.name_server import name_server
from tests.system import System, eventually, on_loop

pytestmark = pytest.mark.processes

PROBLEM = "application/problem+json"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def port_of(system: System, name: str) -> int:
    """Return the port on which one of the processes listens."""
    argv = system.child(name).program.argv
    return int(argv[argv.index("-p" if name == "live" else "--port") + 1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def raw(port: int, request: bytes) -> http.client.HTTPResponse:
    """Send bytes as they are, and return the answer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(request)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    connection.close()
    return answer


def problem_of(answer: httpx.Response | http.client.HTTPResponse) -> tuple[int, str]:
    """Return status and code of an answer that is a problem; fail if it is not a problem."""
    status = answer.status if isinstance(answer, http.client.HTTPResponse) else answer.status_code
    content_type = answer.headers["Content-Type"]
    body = json.loads(answer.read())
    assert content_type == PROBLEM
    assert (body["status"], body["type"]) == (status, f"urn:ticket-overlord:problem:{body['code']}")
    return status, body["code"]


def is_guarded(answer: httpx.Response) -> bool:
    """Return whether an answer by Caddy itself has the headers for browsers that the application's answers have."""
    has = answer.headers
    allowed = has["Content-Security-Policy"].split("; ")
    return (has["X-Content-Type-Options"], has["X-Frame-Options"], allowed[0], allowed[-1]) == (
        "nosniff", "DENY", "default-src 'none'", "frame-ancestors 'none'",
    )  # fmt: skip


def with_caddyfile(described: Program, folder: Path, line: str, instead: str) -> Program:
    """Return a Caddy whose file has another line in place of one of ours."""
    text = program.CADDYFILE.read_text()
    assert line in text
    (folder / "Caddyfile").write_text(text.replace(line, instead))
    changed = str(folder / "Caddyfile")
    argv = (changed if part == str(program.CADDYFILE) else part for part in described.argv)
    return replace(described, argv=tuple(argv))


class TestSlowClients:
    def test_sixty_slow_bodies_delay_nobody(self, system: System) -> None:
        head = b"POST /register/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with ExitStack() as opened:
            for _ in range(60):
                client = opened.enter_context(socket.create_connection(("127.0.0.1", system.port)))
                client.sendall(head + b"Content-Length: 1000\r\n\r\n{")
            for _ in range(20):
                assert httpx.get(f"{system.url}/event/events/", timeout=10).status_code == 200

    def test_an_incomplete_body_changes_nothing(self, system: System) -> None:
        """Send the body past Caddy: `amount=10` without its last byte must not become `amount=1`."""
        head = b"POST /register/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port_of(system, "web")), timeout=30) as client:
            client.sendall(head + b"Content-Length: 1000\r\n\r\n{}")
            client.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert problem_of(answer) == (400, "request_incomplete")


class TestBodies:
    @pytest.mark.parametrize("size", [60_000, 150_000, 300_000, 900_000])
    @pytest.mark.parametrize(("path", "status"), [("/event/reservations/", 401), ("/nothing/here/", 404)])
    def test_an_answer_to_a_body_that_nobody_reads_arrives(
        self, system: System, path: str, status: int, size: int
    ) -> None:
        body = b'{"a":"' + b"x" * size + b'"}'
        answers: Counter[int] = Counter()
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=30)
            connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            json.loads(answer.read())
            answers[answer.status] += 1
            connection.close()
        assert answers == {status: 100}

    def test_a_chunked_body_is_read(self, system: System) -> None:
        def chunks() -> Iterator[bytes]:
            yield b'{"username": "chunks-of-mine", "email": "chunks@exam'
            yield b'ple.org", "password": "correct horse"}'

        answer = httpx.post(
            f"{system.url}/register/", content=chunks(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["username"]) == (201, "chunks-of-mine")

    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
    def test_a_compressed_body_is_an_unsupported_media_type(self, system: System, encoding: str) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        answer = httpx.post(f"{system.url}/register/", content=gzip.compress(b"{}"), headers=headers)
        assert problem_of(answer) == (415, "unsupported_media_type")

    def test_a_body_that_is_too_large_gets_a_problem_or_a_page(self, system: System) -> None:
        url, body = f"{system.url}/register/", b"x" * 1_100_000
        assert problem_of(httpx.post(url, content=body)) == (413, "request_too_large")
        page = httpx.post(url, content=body, headers=BROWSER)
        assert (page.status_code, page.headers["Content-Type"]) == (413, "text/html; charset=utf-8")
        assert "<h1>Request too large</h1>" in page.text
        assert is_guarded(page)

    def test_the_largest_allowed_body_is_accepted(self, system: System) -> None:
        headers = {"Content-Type": "application/json"}
        body = b'{"a":"' + b"x" * 999_992 + b'"}'
        assert len(body) == 1_000_000
        answer = httpx.post(f"{system.url}/register/", content=body, headers=headers)
        assert problem_of(answer) == (400, "invalid")


class TestHeadersAndMethods:
    @pytest.mark.parametrize("size", [40_000, 600_000, 900_000])
    def test_headers_that_are_too_large_get_a_problem(self, system: System, size: int) -> None:
        answer = raw(system.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * size + b"\r\n\r\n")
        assert problem_of(answer) == (431, "headers_too_large")

    def test_a_malformed_host_gets_a_problem_or_a_page(self, system: System) -> None:
        request = b"GET / HTTP/1.1\r\nHost: a_b!c\r\n"
        assert problem_of(raw(system.port, request + b"\r\n")) == (400, "bad_host")
        page = raw(system.port, request + b"Accept: text/html\r\n\r\n")
        assert (page.status, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")

    @pytest.mark.parametrize(
        "path", ["/", "/login", "/signup/", "/translations/en.js", "/static/shop/shop.css", "/livez"]
    )
    def test_head_is_answered_wherever_get_is(self, system: System, path: str) -> None:
        head, get = httpx.head(system.url + path), httpx.get(system.url + path)
        assert (head.status_code, head.headers["Content-Type"]) == (200, get.headers["Content-Type"])
        assert head.content == b""

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PROPFIND"])
    def test_a_method_that_a_page_does_not_take_is_405_with_those_it_takes(
        self, system: System, method: str
    ) -> None:
        answer = httpx.request(method, f"{system.url}/")
        assert answer.headers["Allow"] == "GET, HEAD"
        assert problem_of(answer) == (405, "method_not_allowed")
        page = httpx.request(method, f"{system.url}/", headers=BROWSER)
        assert (page.status_code, page.headers["Allow"]) == (405, "GET, HEAD")
        assert "<h1>" in page.text


class TestStaticFiles:
    def test_caddy_serves_static_files_by_itself(self, system: System) -> None:
        answer = httpx.get(f"{system.url}/static/shop/shop.css")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert is_guarded(answer)
        again = httpx.get(
            f"{system.url}/static/shop/shop.css", headers={"If-None-Match": answer.headers["ETag"]}
        )
        assert (again.status_code, again.content) == (304, b"")

    def test_the_modules_of_the_widget_alone_are_for_pages_of_other_sites(self, system: System) -> None:
        for name, allowed in (("tickets/widget.js", "*"), ("realtime/live.js", "*"), ("shop/page.js", None)):
            answer = system.get(f"/static/{name}")
            assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (
                200,
                allowed,
            ), name

    @pytest.mark.parametrize("encoding", ["br", "gzip"])
    def test_a_file_with_a_hash_in_its_name_is_cached_for_ever(self, system: System, encoding: str) -> None:
        storage = Path(settings.STATIC_ROOT)
        name = "shop/test.0123456789ab.js"
        (storage / name).write_text("let a = 1;\n" * 100)
        static_files.compress(storage / name)
        answer = httpx.get(f"{system.url}/static/{name}", headers={"Accept-Encoding": encoding})
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Encoding"] == encoding

    @pytest.mark.parametrize(
        "path", ["shop/none.js", "shop/none.0123456789ab.js", "", "shop/", "..%2fenv", "../env", ".env"]
    )
    def test_a_missing_file_gets_a_problem_or_a_page(self, system: System, path: str) -> None:
        answer = httpx.get(f"{system.url}/static/{path}")
        assert problem_of(answer) == (404, "not_found")
        assert "no-store" in answer.headers["Cache-Control"]
        assert is_guarded(answer)
        page = httpx.get(f"{system.url}/static/{path}", headers=BROWSER)
        assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")

    def test_a_static_file_can_only_be_read(self, system: System) -> None:
        answer = httpx.post(f"{system.url}/static/shop/shop.css")
        assert problem_of(answer) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, HEAD"


class TestStaticFilesOfOtherVersions:
    """During a deploy two versions serve pages, and any front server is asked for the files of both."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Path:
        for folder in ("own", "of all"):
            (tmp_path / folder / "shop").mkdir(parents=True)
            (tmp_path / folder / "shop/page.js").write_text(folder)
        (tmp_path / "own/shop/here.0123456789ab.js").write_text("own")
        (tmp_path / "of all/shop/there.0123456789ab.js").write_text("of all")
        return tmp_path

    @pytest.fixture
    def front(self, folders: Path) -> Iterator[str]:
        shop, web, logins, door, live = (ports.any_free() for _ in range(5))
        described = program.caddy(
            shop,
            web_port=web,
            logins_port=logins,
            door_port=door,
            live_port=live,
            static=folders / "own",
            data_dir=folders,
        )
        env = {**described.env, "OVERLORD_STATIC_OF_ALL": str(folders / "of all")}
        child = processes.start(replace(described, env=env), folders)
        try:
            eventually(lambda: listens(shop))
            yield f"http://127.0.0.1:{shop}/static"
        finally:
            processes.stop([child])

    def test_what_it_has_itself_comes_first_and_what_it_lacks_from_all(
        self, front: str, folders: Path
    ) -> None:
        assert httpx.get(f"{front}/shop/page.js").text == "own"
        there = httpx.get(f"{front}/shop/there.0123456789ab.js")
        assert (there.status_code, there.text) == (200, "of all")
        assert "immutable" in there.headers["Cache-Control"]
        assert problem_of(httpx.get(f"{front}/shop/none.0123456789ab.js")) == (404, "not_found")

    def test_what_it_has_itself_needs_no_other_folder(self, front: str, folders: Path) -> None:
        shutil.rmtree(folders / "of all")
        assert httpx.get(f"{front}/shop/here.0123456789ab.js").text == "own"
        assert problem_of(httpx.get(f"{front}/shop/there.0123456789ab.js")) == (404, "not_found")


class TestPictures:
    NAME = f"{'0' * 32}-1200x800"

    @pytest.fixture
    def folder(self, system: System) -> Iterator[Path]:
        folder = system.logs / "pictures"
        folder.mkdir(exist_ok=True)
        (folder / f"{self.NAME}-small.webp").write_bytes(b"picture")
        (folder / f".{self.NAME}.jpg.1").write_bytes(b"unfinished")
        yield folder
        for file in folder.iterdir():
            file.unlink()

    def test_caddy_lets_pictures_be_cached_for_ever_and_serves_nothing_else_of_their_folder(
        self, system: System, folder: Path
    ) -> None:
        answer = system.get(f"/pictures/{self.NAME}-small.webp")
        assert (answer.status_code, answer.content) == (200, b"picture")
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert is_guarded(answer)
        for name in (f".{self.NAME}.jpg.1", f"{self.NAME}.jpg", "", "../secrets", "..%2fsecrets"):
            assert system.get(f"/pictures/{name}").status_code == 404, name

    def test_only_an_upload_may_be_large(self, system: System) -> None:
        place, form = (
            f"{system.url}/office/events/1/picture/",
            {"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert httpx.post(place, content=bytes(2_000_000), headers=form).status_code == 403
        page = httpx.post(place, content=bytes(12_500_000), headers={**form, **BROWSER})
        assert page.status_code == 413
        assert "larger than 10 MB" in page.text
        logo = f"{system.url}/office/look/logo/"
        assert httpx.post(logo, content=bytes(2_000_000), headers=form).status_code == 403
        for other in ("/office/events/1/edit/", "/office/events/1/picture/x/", "/office/look/"):
            assert (
                httpx.post(f"{system.url}{other}", content=bytes(2_000_000), headers=form).status_code == 413
            )


class TestDaphne:
    """Daphne answers sockets and its own health checks only, whatever path or header a request has."""

    @pytest.mark.parametrize("path", ["/ws/admin/login/", "/ws/", "/ws/events/", "/ws/livez"])
    @pytest.mark.parametrize("headers", [{}, {"Daphne-Root-Path": "/ws"}, {"daphne-root-path": "/ws/.."}])
    def test_no_page_is_reached_through_daphne(
        self, system: System, path: str, headers: dict[str, str]
    ) -> None:
        for port in (system.port, port_of(system, "live")):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                asked = client.build_request("GET", "/", headers=headers)
                asked.url = asked.url.copy_with(raw_path=path.encode())
                assert problem_of(client.send(asked)) == (404, "not_found")

    def test_daphne_answers_livez(self, system: System) -> None:
        for path in ("/livez", "/livez/"):
            answer = httpx.get(f"http://127.0.0.1:{port_of(system, 'live')}{path}")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limit of another process")
    def test_readyz_says_that_daphne_can_take_no_more_sockets(self, system: System) -> None:
        live = psutil.Process(system.child("live").process.pid)
        limits = live.rlimit(psutil.RLIMIT_NOFILE)
        system.watch("/ws/events/")
        with httpx.Client(base_url=f"http://127.0.0.1:{port_of(system, 'live')}") as known:
            assert known.get("/readyz/self").json() == {"status": "ok", "missing": []}
            live.rlimit(psutil.RLIMIT_NOFILE, (8, limits[1]))
            try:
                full = known.get("/readyz/self")
                assert (full.status_code, full.json()["missing"]) == (503, ["sockets"])
                eventually(lambda: system.get("/readyz").json()["missing"] == ["sockets"])
                assert system.get("/readyz/self").status_code == 200
            finally:
                live.rlimit(psutil.RLIMIT_NOFILE, limits)
        eventually(system.ready)


class TestServersThatAreAway:
    @pytest.fixture
    def alone(self, tmp_path: Path) -> Iterator[str]:
        """Start a Caddy with no server behind it, which repeats a request for one second only."""
        shop, web, logins, door, live = (ports.any_free() for _ in range(5))
        described = program.caddy(
            shop,
            web_port=web,
            logins_port=logins,
            door_port=door,
            live_port=live,
            static=tmp_path,
            data_dir=tmp_path,
        )
        described = with_caddyfile(described, tmp_path, "import web 4s 10s", "import web 4s 1s")
        child = processes.start(described, tmp_path)
        try:
            eventually(lambda: listens(shop))
            yield f"http://127.0.0.1:{shop}"
        finally:
            processes.stop([child])

    def test_a_program_is_told_when_to_try_again_and_a_person_gets_a_page(self, alone: str) -> None:
        answer = httpx.post(f"{alone}/event/reservations/", json={}, timeout=30)
        assert answer.headers["Retry-After"] == "1"
        assert problem_of(answer) == (503, "busy")
        page = httpx.get(f"{alone}/", headers=BROWSER, timeout=30)
        assert (page.status_code, page.headers["Retry-After"]) == (503, "1")
        assert (page.headers["Content-Type"], page.headers["Cache-Control"]) == (
            "text/html; charset=utf-8",
            "no-store, private",
        )
        assert "<h1>Busy</h1>" in page.text

    def test_a_stopped_web_process_keeps_no_request_for_ever(self, system: System) -> None:
        """Check that the other process answers, or that the answer is 503."""
        stopped = psutil.Process(system.child("web").pid).children()[-1]
        with httpx.Client(base_url=system.url, timeout=60) as client:
            os.kill(stopped.pid, signal.SIGSTOP)
            try:
                answers = [client.get("/event/events/") for _ in range(12)]
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
        given = Counter(answer.status_code for answer in answers)
        assert set(given) <= {200, 503}
        assert given[200] >= 8
        assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 503)


def test_a_socket_stays_open_longer_than_a_body_may_take(system: System, tmp_path: Path) -> None:
    """Use a front server that gives bodies one second: it ends a slow body, and no socket."""
    shop = ports.any_free()
    described = program.caddy(
        shop,
        web_port=port_of(system, "web"),
        logins_port=port_of(system, "logins"),
        door_port=port_of(system, "door"),
        live_port=port_of(system, "live"),
        static=tmp_path,
        data_dir=tmp_path,
    )
    child = processes.start(with_caddyfile(described, tmp_path, "read_body 60s", "read_body 1s"), tmp_path)
    try:
        child.wait_ready()
        screen = System(port=shop, programs=[], children=[], logs=tmp_path, opened=system.opened).watch(
            "/ws/events/"
        )
        with socket.create_connection(("127.0.0.1", shop), timeout=30) as slow:
            slow.sendall(b"POST /register/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            assert problem_of(answer) == (408, "request_timeout")
        on_loop(screen.socket.send('{"type": "resync"}'), seconds=30)
        assert screen.take()["type"] == "snapshot"
    finally:
        processes.stop([child])


class Echo(BaseHTTPRequestHandler):
    """A server that answers with the X-Forwarded-For that it was sent, under each name that WSGI takes for that."""

    def do_GET(self) -> None:
        sent = [value for name, value in self.headers.items() if _name_of_wsgi(name) == "X_FORWARDED_FOR"]
        said = ", ".join(sent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET  # noqa: N815  (the name that the server looks for)

    def log_message(self, *_args: object) -> None: ...


def _name_of_wsgi(header: str) -> str:
    return header.upper().replace("-", "_")


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [
        ("", "127.0.0.1"),
        ("192.0.2.0/24", "127.0.0.1"),
        ("192.0.2.0/24 127.0.0.0/8", "203.0.113.9, 127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_names_the_address_of_a_client(
    tmp_path: Path, trusted: str, believed: str
) -> None:
    shop, other = ports.any_free(), ports.any_free()
    echo = ThreadingHTTPServer(("127.0.0.1", other), Echo)
    thread = threading.Thread(target=echo.serve_forever)
    thread.start()
    described = program.caddy(
        shop,
        web_port=other,
        logins_port=other,
        door_port=other,
        live_port=other,
        static=tmp_path,
        data_dir=tmp_path,
        trusted_proxies=trusted,
    )
    child = processes.start(described, tmp_path)
    try:
        child.wait_ready()
        given = {"X-Forwarded-For": "203.0.113.9"}
        smuggled = {"X_Forwarded_For": "203.0.113.8", "X-Forwarded_For": "203.0.113.7"}
        assert httpx.get(f"http://127.0.0.1:{shop}/", headers=given | smuggled).text == believed
        unguarded = httpx.get(f"http://127.0.0.1:{other}/", headers=smuggled).text
        assert unguarded == "203.0.113.8, 203.0.113.7", "the control: without Caddy they arrive"
    finally:
        processes.stop([child])
        echo.shutdown()
        echo.server_close()
        thread.join(timeout=30)


@contextmanager
def vanished(port: int) -> Iterator[str]:
    """Yield an address that does not answer and does not refuse, like a machine without power."""
    with ExitStack() as opened:
        silent = opened.enter_context(socket.socket())
        silent.bind(("127.0.0.3", port))
        silent.listen(0)
        for _ in range(3):  # these connections fill its queue, so the kernel drops the next ones
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.3", port))
        yield "127.0.0.3"


@pytest.mark.parametrize("path", ["/reservations/", "/api-auth/login/"])
def test_a_vanished_machine_fails_no_request_while_its_name_still_leads_there(
    tmp_path: Path, path: str
) -> None:
    shop, other = ports.any_free(), ports.any_free()
    with ExitStack() as opened:
        echo = opened.enter_context(ThreadingHTTPServer(("127.0.0.2", other), Echo))
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        opened.callback(echo.shutdown)
        replicas = ["127.0.0.2", opened.enter_context(vanished(other))]
        resolver = opened.enter_context(name_server({"shop": replicas}))
        described = program.caddy(
            shop,
            web_port=other,
            logins_port=other,
            door_port=other,
            live_port=other,
            static=tmp_path,
            data_dir=tmp_path,
        )
        found = f"dynamic a {{\n\t\tresolvers 127.0.0.1:{resolver}"
        described = with_caddyfile(described, tmp_path, "dynamic a {", found)
        names = {f"OVERLORD_{name}": "shop" for name in ("WEB", "LOGINS", "DOOR", "LIVE")}
        child = processes.start(replace(described, env={**described.env, **names}), tmp_path)
        opened.callback(processes.stop, [child])
        child.wait_ready()
        clients = opened.enter_context(ThreadPoolExecutor(12))
        url = f"http://127.0.0.1:{shop}{path}"
        given = Counter(clients.map(lambda _: httpx.post(url, timeout=30).status_code, range(12)))
        assert given[200] >= 11, given  # by chance one request may go to the lost machine several times


@pytest.mark.parametrize(
    ("uri", "logged"),
    [
        ("/t/Secret1/", "/t/..."),
        ("/t/Secret1.pdf?a=b", "/t/..."),
        ("/password-reset/Mg/Secret1/", "/password-reset/..."),
        ("/invitations/Secret1/", "/invitations/..."),
        ("/news/Secret1/", "/news/..."),
        ("/ws/tickets/Secret1/", "/ws/tickets/..."),
        ("/events/1/?code=Secret1", "/events/1/..."),
        ("/events/1/", "/events/1/"),
    ],
)
def test_caddys_log_hides_links_and_what_they_ask(uri: str, logged: str) -> None:
    line = re.search(r'request>uri regexp "(.+)" "(.+)"', program.CADDYFILE.read_text())
    assert line is not None
    assert re.sub(line[1], line[2].replace("$1", r"\g<1>"), uri) == logged
