"""How the patent offices are asked: keys, addresses, limits. Knows no HTTP."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from patclass.core.config import Settings

PREFIX = "PATCLASS_OFFICES_"


class OfficesSettings(Settings):
    """Read from the environment alone, so that keys are in no file and no list of processes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)
    table = "offices"

    epo_key: SecretStr | None = Field(
        None, description="Consumer key for the EPO's Open Patent Services."
    )
    epo_secret: SecretStr | None = Field(None, description="Consumer secret that belongs to it.")
    uspto_key: SecretStr | None = Field(
        None, description="API key for the USPTO's Open Data Portal."
    )
    epo_url: str = Field("https://ops.epo.org/3.2", description="Address of the EPO's service.")
    uspto_url: str = Field("https://api.uspto.gov", description="Address of the USPTO's service.")
    seconds: float = Field(
        20.0,
        gt=0,
        le=600,
        description="Seconds within which a look-up must end, waiting included; if an "
        "office stops within an answer, up to twice as many.",
    )
    cache: Path | None = Field(
        None,
        description="Folder that keeps what was fetched. Default: patclass/offices in the user's "
        "folder of caches.",
    )
    cache_days: float = Field(30.0, gt=0, description="Days after which a patent is fetched again.")
    cache_megabytes: float = Field(
        50.0,
        ge=0,
        description="Size of the folder at most; the oldest files yield. 0 keeps nothing.",
    )

    @field_validator("epo_url", "uspto_url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        """Keys must not travel in the clear, except within this machine."""
        parts = urlsplit(url)
        if parts.username or parts.query or parts.fragment or not parts.hostname:
            raise ValueError("expected an address such as https://ops.epo.org/3.2")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback(parts.hostname)):
            raise ValueError("expected an address that begins with https://")
        return url.rstrip("/")


def hostname_of(authority: str) -> str | None:
    """The name in ``host:port``, as the header Host has it, in lower case; None without one."""
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None


def on_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
