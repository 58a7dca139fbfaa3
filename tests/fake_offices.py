"""Two patent offices on loopback: they answer as the EPO's and the USPTO's services do.

The patents are fictitious and written for these tests.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from patclass.offices.settings import PREFIX, OfficesSettings

EPO_KEY, EPO_SECRET, USPTO_KEY = "epo-key-91", "epo-secret-92", "uspto-key-93"
SECRETS = (EPO_KEY, EPO_SECRET, USPTO_KEY, "token-1", "token-2")

TITLE = "Loom with a servo motor"
ABSTRACT = "A loom has heald frames, each of which is driven by a servo motor & a cam."
CLAIMS = ("1. A loom with heald frames.", "2. The loom of claim 1, with a cam.")
DESCRIPTION = "The invention concerns weaving."

_OPS = '<ops:world-patent-data xmlns="http://www.epo.org/exchange" xmlns:ops="http://ops.epo.org">'


def _document_id(country: str, number: str, kind: str) -> str:
    return (
        f"<document-id><country>{country}</country><doc-number>{number}</doc-number>"
        f"<kind>{kind}</kind></document-id>"
    )


def exchange_document(
    country: str, number: str, kind: str, abstract: str | None = ABSTRACT, language: str = "en"
) -> str:
    """A document of the EPO's bibliographic data."""
    text = ""
    if abstract is not None:
        text = f'<abstract lang="{language}"><p>{escape(abstract)}</p></abstract>'
    return (
        f'<exchange-document country="{country}" doc-number="{number}" kind="{kind}">'
        "<bibliographic-data><publication-reference>"
        f"{_document_id(country, number, kind)}</publication-reference><patent-classifications>"
        '<patent-classification><classification-scheme office="EP" scheme="CPCI"/>'
        "<section>D</section><class>03</class><subclass>C</subclass><main-group>13</main-group>"
        "<subgroup>00</subgroup></patent-classification></patent-classifications>"
        f'<invention-title lang="en">{TITLE}</invention-title></bibliographic-data>{text}'
        "</exchange-document>"
    )


def ops_biblio(*documents: str) -> bytes:
    """The EPO's bibliographic data of one or several publications."""
    inner = "".join(documents)
    return (
        f"{_OPS}<exchange-documents>{inner}</exchange-documents></ops:world-patent-data>".encode()
    )


def ops_full_text(country: str, number: str, kind: str, part: str, language: str = "EN") -> bytes:
    """The EPO's claims or description of a publication."""
    texts = "".join(f"<claim-text>{claim}</claim-text>" for claim in CLAIMS)
    inner = f"<claim>{texts}</claim>" if part == "claims" else f"<p>{DESCRIPTION}</p>"
    return (
        f'{_OPS}<ftxt:fulltext-documents xmlns="http://www.epo.org/fulltext" '
        'xmlns:ftxt="http://www.epo.org/fulltext"><ftxt:fulltext-document><bibliographic-data>'
        f"<publication-reference>{_document_id(country, number, kind)}</publication-reference>"
        f'</bibliographic-data><{part} lang="{language}">{inner}</{part}>'
        "</ftxt:fulltext-document></ftxt:fulltext-documents></ops:world-patent-data>"
    ).encode()


def us_grant(number: str, kind: str = "B2") -> bytes:
    """A grant in the USPTO's XML, with a DTD that nobody may load."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE us-patent-grant SYSTEM "us-patent-grant-v45-2014-04-03.dtd" [ ]>\n'
        f'<us-patent-grant lang="EN" country="US"><us-bibliographic-data-grant>'
        f"<publication-reference>{_document_id('US', number, kind)}</publication-reference>"
        f"<invention-title>{TITLE}</invention-title></us-bibliographic-data-grant>"
        f"<abstract><p>{escape(ABSTRACT)}</p></abstract>"
        f"<description><p>{DESCRIPTION}</p></description>"
        f"<claims><claim><claim-text>{CLAIMS[0]}</claim-text></claim></claims></us-patent-grant>"
    ).encode()


def odp_record(number: str, location: str | None, name: str = "grantDocumentMetaData") -> bytes:
    """The USPTO's file wrapper of a patent, with the address of its XML."""
    data: dict[str, Any] = {"patentNumber": number, "inventionTitle": TITLE}
    wrapper: dict[str, Any] = {"applicationNumberText": "17000001", "applicationMetaData": data}
    if location is not None:
        wrapper[name] = {"fileLocationURI": location}
    return json.dumps({"count": 1, "patentFileWrapperDataBag": [wrapper]}).encode()


@dataclass
class Answer:
    """What a path answers; ``times`` counts down before the next one follows."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeOffice:
    """One server for both offices. ``answers`` are by path; the last of a list is repeated."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    tokens: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def put(self, path: str, *answers: Answer | bytes) -> None:
        self.answers[path] = [a if isinstance(a, Answer) else Answer(a) for a in answers]

    def put_epo(self, number: str, part: str, *answers: Answer | bytes) -> None:
        self.put(f"/rest-services/published-data/publication/{number}/{part}", *answers)

    def put_grant(self, number: str, kind: str = "B2") -> None:
        location = f"{self.url}/files/{number}.xml"
        self.put("/api/v1/patent/applications/search", odp_record(number, location))
        self.put(f"/files/{number}.xml", us_grant(number, kind))

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(path)
        with self.lock:
            self.requests.append(parts.path)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self.queries += parse_qs(parts.query).get("q", [])
            if parts.path == "/auth/accesstoken" and parts.path not in self.answers:
                self.tokens += 1
                token = {"access_token": f"token-{self.tokens}", "expires_in": "1199"}
                return Answer(json.dumps(token).encode())
            answers = self.answers.get(parts.path, [Answer(b"<fault/>", 404)])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def environment(self, cache: Path) -> dict[str, str]:
        """Variables with keys, to ask this server."""
        values = {
            "EPO_KEY": EPO_KEY,
            "EPO_SECRET": EPO_SECRET,
            "USPTO_KEY": USPTO_KEY,
            "EPO_URL": self.url,
            "USPTO_URL": self.url,
            "CACHE": str(cache),
        }
        return {PREFIX + name: value for name, value in values.items()}

    def settings(self, **changes: Any) -> OfficesSettings:
        """Settings with keys, to ask this server."""
        values = {
            "epo_key": EPO_KEY,
            "epo_secret": EPO_SECRET,
            "uspto_key": USPTO_KEY,
            "epo_url": self.url,
            "uspto_url": self.url,
        }
        return OfficesSettings.model_validate(values | changes)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not wait for its answer is no error."""


@contextmanager
def fake_office() -> Iterator[FakeOffice]:
    """Serve on a free port until the block ends."""
    office = FakeOffice()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            answer = office.answer(self.command, self.path, self.headers)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    office.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield office
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
