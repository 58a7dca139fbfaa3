"""What the service may do and how much of it. Knows no HTTP."""

import ipaddress
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from patclass.core.config import Settings
from patclass.core.errors import ConfigError
from patclass.core.settings import WINDOW
from patclass.data.cleaning import MAX_CHARS
from patclass.offices.settings import on_loopback

PORT = 9000


class ServiceSettings(Settings):
    """Access, limits and storage; every field is a flag of ``patclass serve``."""

    model_config = SettingsConfigDict(env_prefix="PATCLASS_SERVE_")
    table = "serve"

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(PORT, ge=0, le=65_535, description="Port to listen on; 0 for a free one.")
    keys: Path | None = Field(
        None,
        description="File of API keys (see 'patclass keys'), required off loopback. "
        "Default: PATCLASS_KEYS.",
    )
    insecure: bool = Field(False, description="Listen off loopback without API keys.")
    cors: tuple[str, ...] = Field(
        (),
        description="Origins of web pages that may call, such as https://patents.example; the flag "
        "can be repeated.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names by which a service on loopback without keys may be called, besides "
        "those of this machine, such as that of a proxy before it; the flag can be repeated.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of reverse proxies, whose header X-Forwarded-For is "
        "believed; the flag can be repeated.",
    )
    max_chars: int = Field(
        100_000, ge=1, le=MAX_CHARS, description="Characters of one text; more is refused."
    )
    max_items: int = Field(64, ge=1, description="Patents in one request; more is refused.")
    max_body_bytes: int = Field(
        4_000_000, ge=1_000, description="Bytes of a request's body; more is refused with 413."
    )
    queue_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens that may wait; beyond them requests are refused with 429. "
        "Default: what is answered in five seconds here.",
    )
    deadline: float = Field(
        30.0, gt=0, le=600, description="Seconds within which a request must be answered."
    )
    store: Path | None = Field(
        None,
        description="SQLite file of predictions, feedback and reviews, created with the first of "
        "them. Default: PATCLASS_DATABASE_URL, else patclass.db.",
    )
    shadow: Path | None = Field(
        None,
        description="Bundle of a shadow model: it answers every request as well, and its answers "
        "are only stored, to be compared before it is promoted (see 'patclass models show').",
    )
    keep_texts: bool = Field(
        False,
        description="Store the texts of predictions as well, so that they can be reviewed and "
        "trained on; otherwise only their length and hash.",
    )
    window: int = Field(
        WINDOW, ge=50, description="Predictions in a window that is compared with the reference."
    )
    feedback_rate: int = Field(
        120, ge=1, description="Feedback that one caller may send in a minute; more gets 429."
    )
    offices: bool = Field(
        False,
        description="Let callers name patents by their number: they are looked up at the EPO and "
        "the USPTO with the keys in PATCLASS_OFFICES_...",
    )
    max_numbers: int = Field(
        8, ge=1, description="Numbers to look up in one request; more is refused."
    )
    log_texts: bool = Field(False, description="Write the texts of requests to the log.")
    trace: bool = Field(
        False, description="Send OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(
                    f"expected addresses such as 10.0.0.7 or networks such as 10.0.0.0/8, not "
                    f"{proxy}"
                ) from None
        return proxies

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can call."""
        return on_loopback(self.host)

    @property
    def open(self) -> bool:
        """Whether calls need no key."""
        return self.keys is None

    def check(self) -> None:
        """Refuse to admit every caller by accident.

        :raises ConfigError: off loopback without keys, unless ``insecure`` is set.
        """
        if self.on_loopback or self.insecure or not self.open:
            return
        raise ConfigError(
            f"host {self.host} is reached from other machines: set keys (or PATCLASS_KEYS) to a "
            "file of API keys, made with 'patclass keys create NAME', or set insecure to admit "
            "every caller.",
            setting=("host", "keys", "insecure"),
        )
