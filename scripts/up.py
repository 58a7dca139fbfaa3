"""Start the service and the page together; Ctrl-C, or the end of one, ends both.

python scripts/up.py [--port 9000] [--page-port 8501] [--model FOLDER]
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "up"
GRACE = 12.0  # seconds that a process has to end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9000, help="of the service")
    parser.add_argument("--page-port", type=int, default=8501, help="of the page")
    parser.add_argument("--model", help="a bundle, or 'shipped'")
    args = parser.parse_args()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    LOGS.mkdir(parents=True, exist_ok=True)
    service, page = f"http://127.0.0.1:{args.port}", f"http://127.0.0.1:{args.page_port}"
    model = ["--model", args.model] if args.model else []
    started = [
        start("serve", "--port", str(args.port), *model),
        start("ui", "--port", str(args.page_port), "--api", service),
    ]
    try:
        waiting = {"service": f"{service}/readyz", "page": f"{page}/_stcore/health"}
        for name, address in waiting.items():
            while not answers(address):
                if any(process.poll() is not None for process in started):
                    return print_logs()
                time.sleep(0.2)
            print(f"{name:8} {service if name == 'service' else page}", flush=True)
        print(f"Ctrl-C ends both. Their logs are in {LOGS.relative_to(ROOT)}.", flush=True)
        while all(process.poll() is None for process in started):
            time.sleep(0.5)
        return print_logs()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(started)


def print_logs() -> int:
    """The last lines of both logs, after one of the processes has ended."""
    for log in sorted(LOGS.glob("*.log")):
        print(f"{log.stem}:", *log.read_text(encoding="utf-8").splitlines()[-5:], sep="\n  ")
    return 1


def start(*command: str) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this script alone, which then ends both in order.
    with (LOGS / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "patclass", *command],
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def answers(address: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=2) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def stop(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
