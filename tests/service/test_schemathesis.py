"""Anything the schema allows or forbids, sent to a real server: responses match the schema."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import full
from service_process import Server

# Requests that can be refused or be late although the schema allows them: a text without words, a
# level or a coverage that the model does not have, a deadline of one millisecond.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "504"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422", "429", "504"]
"""
EXAMPLES = full(10, 60)


def test_every_response_matches_the_schema(server: Server, tmp_path: Path):
    (tmp_path / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    options = [
        *("--checks", "all", "--continue-on-failure"),
        *(("--max-response-time", "10") if full(False, True) else ()),
        *("--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--warnings", "off", "--no-color"),
    ]
    before = len(server.lines())
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", *options],
        cwd=tmp_path,
        env=os.environ | {"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    count = sum(len(operations) for operations in paths.values())
    assert f"{count} selected / {count} total" in done.stdout
    assert server.process.poll() is None
    assert [line for line in server.lines()[before:] if line["level"] == "error"] == []
