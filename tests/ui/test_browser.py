"""The page in a real browser, against a real service with the shipped model, exported.

With PATCLASS_PICTURES the screenshots of the documentation are written there ('make pictures').
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeoutError
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import office_documents as office
from helpers import wait_until
from patclass import load
from patclass.learning.review_queue import REASONS
from patclass.offices.settings import on_loopback
from patclass.store.database import locate_store
from patclass.store.feedback import FeedbackStore
from service_process import free_port, is_available, plain_client

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

expect.set_options(timeout=60_000)

# Absolute, as other tests change the working folder.
GIVEN = os.environ.get("PATCLASS_PICTURES")
PICTURES = Path(GIVEN).resolve() if GIVEN else None
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 360, "height": 740}
SIZES = (1600, 900), (1024, 768), (390, 844)  # a desktop, a tablet and a phone
TOPICS = (
    "A drill bit for boreholes has a steel body with cutters of diamond, number {}.",
    "An adhesive bandage has an absorbent pad that shows an infection of wound {}.",
    "A base station sends a handover command to user equipment in radio cell {}.",
)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        return is_available(address)

    wait_until(answers, 300)


@contextmanager
def running(
    folder: Path, address: str, *command: str, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A patclass command in a separate process, once ``address`` responds."""
    log = folder / f"{command[0]}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "patclass", *command],
            cwd=folder,
            env=os.environ | dict(environment),
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(address, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


# Run by every Python that the tests below start: writes down whom it connects to or looks up.
WATCH = """
import json, os, sys

def note(*to):
    with open(os.environ["PATCLASS_TEST_CALLS"], "a") as file:
        of = next((word for word in sys.orig_argv if word in ("serve", "ui")), "")
        file.write(json.dumps({"of": of, "to": to}, default=str) + "\\n")

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        note(*(arguments[1] if isinstance(arguments[1], tuple) else ["unix"]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        note(*arguments[:2])

note()
sys.addaudithook(watch)
"""


def is_local(host: str) -> bool:
    return host == "unix" or on_loopback(host.removeprefix("::ffff:"))


class Stage:
    """The service, which can be stopped and started, and the page before it."""

    def __init__(self, folder: Path, model: Path | str) -> None:
        self.folder, self.model = folder, model
        self.port, self.page_port = free_port(), free_port()
        self.calls = folder / "calls.jsonl"
        (folder / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        self.watched = {"PYTHONPATH": str(folder), "PATCLASS_TEST_CALLS": str(self.calls)}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._service = ExitStack()

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.page_port}"

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_service(self) -> None:
        flags = ("--model", str(self.model), "--port", str(self.port), "--keep-texts")
        self.running["serve"] = self._service.enter_context(
            running(
                self.folder,
                f"{self.service}/readyz",
                *("serve", *flags),
                environment=self.watched,
            )
        )

    def stop_service(self) -> None:
        self._service.close()


@pytest.fixture(scope="module")
def stage(exported_shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    model = "shipped" if PICTURES else exported_shipped
    stage = Stage(tmp_path_factory.mktemp("stage"), model)
    stage.start_service()
    flags = ("--port", str(stage.page_port), "--api", stage.service)
    health = f"{stage.page}/_stcore/health"
    with running(stage.folder, health, "ui", *flags, environment=stage.watched) as page:
        stage.running["ui"] = page
        yield stage
    stage.stop_service()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """One profile for all pages, which loads and compiles the scripts of the page once."""
    with browser.new_context(reduced_motion="reduce") as context:
        context.set_default_timeout(120_000)
        yield context


Open = Callable[..., Page]


@pytest.fixture
def visit(profile: BrowserContext, stage: Stage) -> Iterator[Open]:
    """Open the page in a new window, as another visitor: nothing is kept of the one before."""
    with ExitStack() as stack:

        def open_page(path: str = "", size: dict[str, int] = WIDE, scheme: str = "light") -> Page:
            page = profile.new_page()
            stack.callback(page.close)
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.goto(f"{stage.page}/{path}")
            return page

        yield open_page
        profile.clear_cookies()


def wait_until_rendered(page: Page) -> None:
    """Wait until the page is rendered, as elements may be replaced while they are clicked."""
    page.locator("[data-test-script-state=notRunning]").wait_for()


def picture(page: Page, name: str, tmp_path: Path) -> None:
    """Take a picture of the whole page once nothing moves."""
    page.mouse.move(0, 0)
    wait_until_rendered(page)
    if PICTURES:
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)  # charts and tables are loaded
        page.wait_for_timeout(1200)
    folder = PICTURES or tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    size = page.viewport_size
    assert size is not None
    main = page.get_by_test_id("stMain")
    height = main.evaluate("element => element.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": int(height) + 20})
    if PICTURES:
        page.wait_for_timeout(600)
    page.screenshot(path=folder / f"{name}.png")
    page.set_viewport_size(size)


def classify_example(page: Page, name: str = "Drill bit") -> None:
    page.get_by_text("Example", exact=True).click()
    page.get_by_text(name, exact=True).click()
    page.get_by_role("button", name="Classify").click()
    page.get_by_text("Similar patents").wait_for()


def choose_code(page: Page, beginning: str) -> None:
    """Choose the correct code whose name begins so.

    The list is filtered while it is open, and a click on an option that is being replaced is lost.
    """
    box = page.get_by_role("combobox", name="Correct code")
    option = page.get_by_role("option", name=re.compile(f"^{beginning}"))
    submit = page.get_by_role("button", name="Submit")

    def is_chosen() -> bool:
        box.click()
        box.fill(beginning)
        option.click()
        with suppress(PageTimeoutError):
            submit.wait_for(timeout=10_000)
        return submit.is_visible()

    assert any(is_chosen() for _ in range(5))


def fits_its_window(page: Page) -> bool:
    return bool(
        page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        and page.get_by_test_id("stMain").evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    )


def test_an_example_is_classified_and_a_bar_shows_the_codes_below(visit: Open, tmp_path: Path):
    page = visit()
    classify_example(page)
    expect(page.get_by_role("heading", level=2)).to_contain_text("Earth or rock drilling")
    expect(page.get_by_text("High confidence ·")).to_be_visible()
    expect(page.locator("mark.first")).to_be_visible()
    picture(page, "one-patent", tmp_path)
    page.get_by_test_id("stMain").evaluate("e => e.scrollTo(0, 0)")
    page.get_by_text("Section", exact=True).last.click()  # the first heads the chips of all codes
    bar = page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    back = page.get_by_role("button", name="Back to all codes")

    def is_open() -> bool:
        """Whether a click has opened the codes below; the chart may still be drawn anew before."""
        box = bar.first.bounding_box()
        if box is not None:
            bar.first.click(position={"x": box["width"] * 0.45, "y": 18})
        with suppress(PageTimeoutError):
            back.wait_for(timeout=10_000)
        return back.is_visible()

    assert any(is_open() for _ in range(10))


def test_a_patent_can_be_corrected_and_counts_once(visit: Open, stage: Stage, tmp_path: Path):
    store = FeedbackStore(locate_store(stage.folder / "patclass.db", {}))
    before = len(store.all())
    page = visit()
    classify_example(page, "Wound dressing")
    page.get_by_text("Incorrect", exact=True).click()
    choose_code(page, "A61L · ")
    page.get_by_label("Note (optional)").fill("a dressing")
    page.get_by_role("button", name="Submit").dblclick()
    page.get_by_text("Thank you.").wait_for()
    (given,) = store.all()[before:]
    feedback = given.feedback
    assert (feedback.correct, feedback.label, feedback.note) == (False, "A61L", "a dressing")
    assert (feedback.text or "").startswith("Wound dressing")


LOOM = (
    "A loom has a heald frame and a reed that a motor drives. A camera watches the warp, and a "
    "network that was trained on pictures of broken threads stops the motor before it is too late."
)


def dispute(service: str) -> None:
    """Two reviewers who disagree about the code of a loom, among predictions of low confidence."""
    with plain_client(service, timeout=30) as client:
        for number in range(12):
            client.post("/predict", json={"text": f"A device with a part, number {number}."})
        predicted = client.post("/predict", json={"text": LOOM}).json()
        for reviewer, correct, more in (
            ("Ada", True, {}),
            ("Bob", False, {"label": "D03D", "note": "it is about the loom"}),
        ):
            body = {"prediction_id": predicted["prediction_id"], "reviewer": reviewer, **more}
            headers = {"Idempotency-Key": f"feedback-of-{reviewer}"}
            given = client.post("/v1/feedback", json=body | {"correct": correct}, headers=headers)
            assert given.status_code == 201


def test_a_case_is_reviewed_and_the_decision_undone(visit: Open, stage: Stage, tmp_path: Path):
    store = FeedbackStore(locate_store(stage.folder / "patclass.db", {}))
    dispute(stage.service)
    page = visit("review")
    page.get_by_label("Your name").fill("Cleo")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("1: conflicting feedback").wait_for()
    page.get_by_role("button", name="Next case").click()
    page.get_by_text(REASONS["disputed"]).wait_for()
    expect(page.get_by_text(LOOM)).to_be_visible()
    expect(page.get_by_text("Previous feedback:")).to_be_visible()
    picture(page, "review", tmp_path)
    page.get_by_text("Incorrect", exact=True).click()
    choose_code(page, "G06T · ")
    page.get_by_role("button", name="Submit").dblclick()
    page.get_by_text(re.compile("is incorrect; the correct code is G06T")).wait_for()
    decided = store.all()[-1].feedback
    assert (decided.is_final, decided.reviewer, decided.label) == (True, "Cleo", "G06T")
    page.get_by_role("button", name="Undo last decision").click()
    page.get_by_text(LOOM).wait_for()
    assert store.all()[-1].feedback.withdraws is not None
    page.get_by_text("Assigned to you for another").wait_for()
    wait_until_rendered(page)
    page.get_by_role("button", name="Skip").click()
    page.get_by_text("Assigned to you for another").wait_for(state="hidden")
    wait_until_rendered(page)
    page.get_by_role("button", name="Next case").click()
    page.get_by_text("Assigned to you for another").wait_for()
    expect(page.get_by_text(LOOM)).to_have_count(0)


@pytest.fixture
def patents(tmp_path: Path) -> Path:
    """200 rows, one of which has no words."""
    rows = [
        {"number": f"EP{number:04}", "abstract": TOPICS[number % 3].format(number)}
        for number in range(200)
    ]
    rows[7]["abstract"] = " "
    path = tmp_path / "patents.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_file_is_classified_and_downloaded(visit: Open, patents: Path, tmp_path: Path):
    page = visit("file")
    page.locator("input[type=file]").set_input_files(patents)
    page.get_by_text("Recognised columns: publication number, abstract").wait_for()
    page.get_by_role("button", name="Classify 200 patents").click()
    page.get_by_text("of 200 patents").wait_for()
    # Away and back: by another page, then by the plain address in a new window.
    page.get_by_role("link", name="Model", exact=True).click()
    page.get_by_text("Model evaluation").wait_for()
    page.get_by_role("link", name="File", exact=True).click()
    page.get_by_text(re.compile("of 200 patents|Download results")).first.wait_for()
    page.wait_for_timeout(500)
    again = page.context.new_page()
    again.goto(page.url.split("?")[0])
    again.get_by_text("Download results").wait_for(timeout=300_000)
    expect(again.get_by_text("1 row failed")).to_be_visible()
    picture(again, "whole-file", tmp_path)
    read_xlsx = partial(pd.read_excel, engine="openpyxl")
    for kind, read in (("CSV", pd.read_csv), ("XLSX", read_xlsx), ("Parquet", pd.read_parquet)):
        with again.expect_download() as download:
            again.get_by_role("button", name=kind, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        table = read(path)
        assert list(table["Patent"]) == [f"EP{number:04}" for number in range(200)]
        assert table["Error"].notna().sum() == 1
        sections = table["Section"].drop(7)
        assert (sections[sections.index % 3 == 0] == "E").mean() > 0.9


CATEGORIES = {
    "Name of category 1": "Drilling",
    "Examples of category 1": "Drill bit with diamond cutters\nRotary steerable drilling tool\n"
    "Drilling fluid with clay inhibitor\nCasing hanger for a well\nDownhole motor with bearing",
    "Name of category 2": "Wounds",
    "Examples of category 2": "Wound dressing with silver\nBandage with a sensor\n"
    "Hydrogel dressing for burns\nPump for wound therapy\nAdhesive strip for closing skin",
    "Negative examples (optional)": "Handover between radio cells\nScheduling of uplink resources\n"
    "Random access procedure\nMeasurement report of a terminal\nChannel state feedback",
}


@pytest.mark.full
def test_own_categories_are_learnt_used_and_downloaded(visit: Open, tmp_path: Path):
    page = visit("categories")
    for label, text in CATEGORIES.items():
        page.get_by_label(label).fill(text)
        page.get_by_label(label).press("Control+Enter")
        wait_until_rendered(page)
    page.get_by_role("button", name="Learn the categories").click()
    page.get_by_text("Learning the categories").wait_for()
    page.get_by_text("Accuracy by cross-validation").wait_for(timeout=600_000)
    expect(page.get_by_text("95 % interval")).to_contain_text("15 examples")
    page.get_by_label("Text of a patent").fill(
        "A bandage for burns that is cooled with a hydrogel."
    )
    page.get_by_role("button", name="Classify").click()
    page.get_by_text(re.compile(r"^Wounds \(")).wait_for(timeout=300_000)
    picture(page, "categories", tmp_path)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the bundle").click()
    with ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path)
    name = str(tmp_path / Path(download.value.suggested_filename).stem)
    assert load(name).predict(["A drill bit"]) == ["Drilling"]


TITLES = ("Drill bit with cutters of diamond", "Bandage for wounds", "Handover in a radio network")

EXPORTS = {
    "espacenet.csv": "3 results found in the Worldwide database\n" + "\n" * 6
    + "No;Title;Publication number;IPC;CPC\n"
    + "".join(f"{n};{title};EP{n}A1;;\n" for n, title in enumerate(TITLES)),
    "lens-export.csv": "\ufeff#,Display Key,Title,Abstract,CPC Classifications\n"
    + "".join(f"{n},US {n} A1,{title},,E21B10/00;;E21B10/46\n" for n, title in enumerate(TITLES)),
    "gp-search.csv": "search URL:,https://example.org/?q=drill\n"
    + "id,title,assignee,publication date\n"
    + "".join(f'US-{n}-A1,"{title}",,2024-01-02\n' for n, title in enumerate(TITLES)),
    "ipg240102.xml": "".join(
        office.grant(str(11000000 + n), title=title) for n, title in enumerate(TITLES)
    ),
}  # fmt: skip


# The fast lane has one table and one of XML: how tables differ, tests/data tells.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.full if name in ("lens-export.csv", "gp-search.csv") else ()
        )
        for name in EXPORTS
    ],
)
def test_exports_and_documents_of_an_office_are_classified(visit: Open, name: str, tmp_path: Path):
    """As Espacenet, Lens and Google Patents write them, and the XML of a week."""
    (tmp_path / name).write_text(EXPORTS[name], encoding="utf-8")
    page = visit("file")
    page.locator("input[type=file]").set_input_files(tmp_path / name)
    page.get_by_text(re.compile("Recognised columns: publication number, title")).wait_for()
    page.get_by_role("button", name="Classify 3 patents").click()
    page.get_by_text("Download results").wait_for(timeout=300_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    table = pd.read_csv(download.value.path())
    assert table["Error"].isna().all()
    assert list(table["Section"])[::2] == ["E", "H"] or name.endswith(".xml")


def test_the_page_recovers_when_the_service_restarts(visit: Open, stage: Stage, patents: Path):
    waiting, page = visit("file"), visit()
    # So many that they are not done before the service is stopped, however slow the browser is.
    pd.concat([pd.read_csv(patents)] * 8).to_csv(patents, index=False)
    waiting.locator("input[type=file]").set_input_files(patents)
    waiting.get_by_role("button", name="Classify 1,600 patents").click()
    waiting.get_by_text("of 1,600 patents").wait_for()
    stage.stop_service()
    page.get_by_label("Text of the patent").fill("A drill bit for boreholes has diamond cutters.")
    page.get_by_role("button", name="Classify").click()
    page.get_by_text(re.compile("The service at .* is not responding")).wait_for()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    waiting.get_by_text(re.compile("is not responding")).wait_for()
    stage.start_service()
    page.get_by_text("Similar patents").wait_for(timeout=300_000)
    waiting.get_by_text("Download results").wait_for(timeout=300_000)
    expect(waiting.get_by_text("8 rows failed")).to_be_visible()


def test_every_view_fits_its_window(visit: Open, stage: Stage, tmp_path: Path):
    page = visit("", PHONE, "dark")
    classify_example(page)
    picture(page, "phone", tmp_path)
    assert fits_its_window(page)
    for path in ("file", "categories", "review", "model", "monitoring"):
        page.goto(f"{stage.page}/{path}")
        page.get_by_role("heading", level=1).wait_for()
        wait_until_rendered(page)
        for width, height in ((PHONE["width"], PHONE["height"]), *SIZES):
            page.set_viewport_size({"width": width, "height": height})
            # Charts are drawn again for the new width a moment later.
            wait_until(partial(fits_its_window, page), 30)


def test_text_and_answer_stand_side_by_side_where_there_is_space(visit: Open):
    page = visit()
    classify_example(page)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        text = page.get_by_role("radiogroup", name="Fictitious patents").bounding_box()
        answer = page.get_by_role("heading", level=2).bounding_box()
        assert text is not None
        assert answer is not None
        beside = answer["x"] >= text["x"] + text["width"]
        assert beside == (width > 640), width
        assert (answer["y"] < height) or not beside
        wait_until(partial(fits_its_window, page), 30)


def test_the_model_page_shows_figures_and_charts(visit: Open, tmp_path: Path):
    page = visit("model")
    page.get_by_text("Evaluated on 2,782 held-out patents").wait_for()
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    picture(page, "model", tmp_path)


def test_the_page_can_be_used_by_keyboard_alone(visit: Open):
    page, text = visit(), "A drill bit for boreholes has diamond cutters."
    box = page.get_by_label("Text of the patent")
    box.wait_for()
    wait_until_rendered(page)
    box.focus()
    page.keyboard.type(text)
    expect(box).to_have_value(text)
    page.keyboard.press("Control+Enter")
    page.get_by_text("Similar patents").wait_for()
    page.get_by_role("button", name="Correct", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_text("Thank you.").wait_for()


REMOTE = """() => new Promise(resolve => {
  document.addEventListener("securitypolicyviolation", event => resolve(event.blockedURI));
  new Image().src = "http://127.0.0.1:9/picture.png";
})"""


def test_no_request_goes_to_another_host(profile: BrowserContext, stage: Stage):
    """Nor would one, whatever a text on the page contained: the policy of the page forbids it."""
    with profile.new_page() as page:
        requested: list[str] = []
        printed: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: printed.append(message.text))
        page.goto(stage.page)
        classify_example(page)
        wait_until_rendered(page)
        own = (stage.page, "data:", "blob:", stage.page.replace("http", "ws"))
        assert [url for url in requested if not url.startswith(own)] == []
        assert not [line for line in printed if "Content Security Policy" in line]
        assert page.evaluate(REMOTE) == "http://127.0.0.1:9/picture.png"


def test_service_and_page_speak_to_this_machine_alone(stage: Stage):
    """In the sessions of all tests before, and when another web page opens a WebSocket."""
    socket = f"{stage.page.replace('http', 'ws')}/_stcore/stream"
    for origin in ("http://evil.example", "http://localhost:3000"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(socket, origin=origin, proxy=None)
    calls = [json.loads(line) for line in stage.calls.read_text().splitlines()]
    assert {call["of"] for call in calls} >= {"serve", "ui"}
    assert [call for call in calls if call["of"] == "ui" and stage.port in call["to"]]
    assert [call for call in calls if call["to"] and not is_local(call["to"][0])] == []
    for process in stage.running.values():
        peers = [found.raddr for found in psutil.Process(process.pid).net_connections()]
        assert all(is_local(peer.ip) for peer in peers if peer)
