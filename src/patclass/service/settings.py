"""What the service may do and how much of it. Knows no HTTP."""

import ipaddress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from patclass.core.defaults import WINDOW
from patclass.core.errors import ConfigError
from patclass.data.text import MAX_CHARS

PORT = 9000


class ServiceSettings(BaseModel):
    """Limits and access; every field is a flag of ``patclass serve``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(PORT, ge=0, le=65_535, description="Port to listen on; 0 for a free one.")
    keys: Path | None = Field(
        None,
        description="File of API keys (see 'patclass keys'). Needed off loopback.  "
        "[default there: PATCLASS_KEYS]",
    )
    insecure: bool = Field(False, description="Listen off loopback without API keys.")
    cors: tuple[str, ...] = Field(
        (), description="Origins of web pages that may call, e.g. https://patents.example."
    )
    max_chars: int = Field(
        100_000, ge=1, le=MAX_CHARS, description="Characters of one text; more is refused."
    )
    max_items: int = Field(64, ge=1, description="Patents in one request.")
    max_body_bytes: int = Field(
        4_000_000, ge=1_000, description="Bytes of a request's body; more is refused with 413."
    )
    queue_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens that may wait; beyond them requests are refused with 429.  "
        "[default: what is answered in five seconds here]",
    )
    deadline: float = Field(
        30.0, gt=0, le=600, description="Seconds within which a request must be answered."
    )
    store: Path | None = Field(
        None,
        description="File that remembers predictions, feedback and reviews (SQLite); made with the "
        "first of them.  [default: PATCLASS_DATABASE_URL, else patclass.db]",
    )
    shadow: Path | None = Field(
        None,
        description="A bundle that answers everything as well, unseen, so that it can be compared "
        "before it takes over (see 'patclass models show').",
    )
    keep_texts: bool = Field(
        False,
        description="Remember the texts of predictions as well, so that they can be reviewed and "
        "learnt from; else only their length and a hash.",
    )
    window: int = Field(
        WINDOW, ge=50, description="Answers in a window that is compared with the reference."
    )
    feedback_rate: int = Field(
        120, ge=1, description="Verdicts a minute that one caller may give; more get 429."
    )
    log_texts: bool = Field(False, description="Write the texts of requests to the log.")
    trace: bool = Field(
        False, description="Send OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT."
    )

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can call."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def open(self) -> bool:
        """Whether calls need no key."""
        return self.keys is None

    def check(self) -> None:
        """Refuse to let everybody in by accident.

        :raises ConfigError: off loopback without keys, unless that was asked for.
        """
        if self.on_loopback or self.insecure or not self.open:
            return
        raise ConfigError(
            f"--host {self.host} is reached from other machines, so callers need API keys: make "
            "one with 'patclass keys create NAME' and name the file with --keys or PATCLASS_KEYS; "
            "or let everybody in with --insecure."
        )
