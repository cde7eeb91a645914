"""The health check that the images carry."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

Serving = Callable[[int], AbstractContextManager[int]]


@pytest.fixture
def serving() -> Serving:
    """A server that answers /readyz with this status and all else with 404; its port."""

    @contextmanager
    def serve(status: int) -> Iterator[int]:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/readyz" else 404)
                self.end_headers()

        with HTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield server.server_port
            finally:
                server.shutdown()

    return serve


def exit_code(port: int) -> int:
    command = [sys.executable, "-m", "oms_events.runtime.probe"]
    return subprocess.run(command, env=os.environ | {"OMS_HTTP_PORT": str(port)}, check=False).returncode


def test_a_service_that_is_ready_is_healthy(serving: Serving) -> None:
    with serving(200) as port:
        assert exit_code(port) == 0


def test_a_service_that_is_not_ready_is_not(serving: Serving) -> None:
    with serving(503) as port:
        assert exit_code(port) == 1


def test_nobody_answering_is_not_healthy(serving: Serving) -> None:
    with serving(200) as port:
        pass
    assert exit_code(port) == 1
