"""'make up': the service and the page together."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service_process import free_port, is_available

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)]
)
def test_service_and_page_start_and_stop_together(
    exported: Path, tmp_path: Path, ending: signal.Signals
):
    port, page_port = free_port(), free_port()
    command = [sys.executable, str(ROOT / "scripts" / "up.py"), "--model", str(exported)]
    command += ["--port", str(port), "--page-port", str(page_port)]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(2)]
        assert lines == [
            ["service", f"http://127.0.0.1:{port}"],
            ["page", f"http://127.0.0.1:{page_port}"],
        ]
        assert is_available(f"http://127.0.0.1:{port}/readyz")
        assert is_available(f"http://127.0.0.1:{page_port}")
        process.send_signal(ending)
        assert process.wait(300) == 0
    assert not is_available(f"http://127.0.0.1:{port}/livez")
    assert not is_available(f"http://127.0.0.1:{page_port}")


def test_if_one_cannot_start_the_reason_is_reported_and_the_other_stops(tmp_path: Path):
    page_port = free_port()
    command = [sys.executable, str(ROOT / "scripts" / "up.py"), "--model", "nosuch"]
    command += ["--port", str(free_port()), "--page-port", str(page_port)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 1
    assert "nosuch is not a bundle" in done.stdout
    assert not is_available(f"http://127.0.0.1:{page_port}")
