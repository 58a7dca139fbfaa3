"""How long after the service's response the page shows it, in a real browser.

    python scripts/bench_page.py        (a minute; needs chromium)

The service's own time is read from its log; what remains is the page's: from the click to the
headline, the request over loopback and the drawing.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent / "bench_serve"))
from load import free_port, wait_until_ready

ROUNDS = 15
# Two patents in turn, so that a new headline can be told from the last one.
TEXTS = (
    "A drill bit for boreholes has a steel body with cutters. It is shown in figure {}.",
    "A base station sends a handover command to user equipment. It is shown in figure {}.",
)
TITLES = ("Fixed constructions", "Electric communication technique")
WANTED = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        port, page_port = free_port(), free_port()
        log = Path(work) / "log"
        service = f"http://127.0.0.1:{port}"
        with log.open("wb") as sink:
            started = [
                start("serve", "--port", str(port), "--model", "shipped", log=sink),
                start("ui", "--port", str(page_port), "--api", service, log=subprocess.DEVNULL),
            ]
            try:
                wait_until_ready(port, "/readyz", 120)
                wait_until_ready(page_port, "/_stcore/health", 120)
                waited = measure(f"http://127.0.0.1:{page_port}")
            finally:
                for process in started:
                    process.terminate()
                    process.wait(20)
        report(waited, service_times(log))


def start(*command: str, log: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "patclass", *command],
        stdout=subprocess.DEVNULL,
        stderr=log,  # type: ignore[arg-type]
    )


def measure(address: str) -> list[tuple[float, float]]:
    """Milliseconds from the click to the headline, and to the last part; round one warms up."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(address)
        found = [ask(page, number) for number in range(ROUNDS + 1)]
        browser.close()
    return found[1:]


def ask(page: Page, number: int) -> tuple[float, float]:
    page.get_by_role("textbox", name="Text of the patent").fill(TEXTS[number % 2].format(number))
    button = page.get_by_role("button", name="Classify")
    begin = time.perf_counter()
    button.click()
    page.get_by_role("heading", name=TITLES[number % 2]).wait_for()
    headline = time.perf_counter()
    page.locator(".text", has_text=f"figure {number}.").wait_for()
    return 1e3 * (headline - begin), 1e3 * (time.perf_counter() - begin)


def service_times(log: Path) -> list[float]:
    """Milliseconds of the responses that the page waited for, measured by the service."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [line["ms"] for line in lines if line.get("path") == "/v1/classify"][1:]


def report(waited: list[tuple[float, float]], served: list[float]) -> None:
    headline, whole = (
        statistics.median(found[part] - own for found, own in zip(waited, served, strict=True))
        for part in (0, 1)
    )
    print(f"the service responds in {statistics.median(served):.0f} ms, median of {len(served)}")
    print(f"the page adds {headline:.0f} ms until the code is there, {whole:.0f} ms until all is")
    print(f"wanted at most {WANTED} ms: {'held' if headline <= WANTED else 'missed'}")


if __name__ == "__main__":
    main()
