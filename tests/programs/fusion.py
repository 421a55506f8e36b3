"""A service that speaks SandboxFusion's HTTP, over our own sandbox: what a remote executor meets."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rayreward.programs.executor import Run, RunLimits, SandboxExecutor
from rayreward.programs.languages import LANGUAGES
from rayreward.sandbox import Sandbox

_NAMES = {"nodejs": "javascript"}
_STATUS = {"timeout": "TimeLimitExceeded"}


class FusionServer:
    """Listens on a port of its own; `asked` has what it was sent, `answers` what it says instead of running it."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.sandbox = Sandbox()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content = server.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # who asked has left before all was said

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def answer(self, path: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
        if path != "/run_code":
            return 404, b"{}"
        self.asked.append(body)
        if self.answers:
            return self.answers.pop(0)
        executor = SandboxExecutor(self.sandbox, RunLimits(body["run_timeout"], body["compile_timeout"]))
        language = LANGUAGES[_NAMES.get(body["language"], body["language"])]
        prepared = executor.prepare(language, body["code"])
        if isinstance(prepared, Run):
            compiled = {"status": "Finished", "return_code": 1, "stdout": "", "stderr": prepared.detail}
            return 200, json.dumps({"status": "Failed", "message": "", "compile_result": compiled}).encode()
        run = prepared(body["stdin"])
        result = {
            "status": _STATUS.get(run.status, "Finished"),
            "return_code": run.exit_code,
            "stdout": run.stdout,
            "stderr": run.detail,
            "execution_time": 0.1,
        }
        if run.status == "killed":
            result["return_code"] = -9
        status = "Success" if run.exit_code == 0 else "Failed"
        return 200, json.dumps({"status": status, "message": "", "run_result": result, "files": {}}).encode()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self.sandbox.close()
