"""The EPO's Open Patent Services (OPS 3.2). Knows its addresses and headers, not its XML."""

import base64
import json
import re
import time
from collections.abc import Callable

from pydantic import SecretStr

from patclass.core.errors import OfficeError
from patclass.offices.connection import Connection, Deadline, Pace, Reply, header_value
from patclass.offices.numbers import PublicationNumber
from patclass.offices.settings import PREFIX, OfficesSettings

NAME = "EPO"
KEYS_AT = "https://developers.epo.org"

# Retrievals a second before the first answer says how many are allowed.
_FIRST_INTERVAL = 0.5
# A token is renewed before the office stops accepting it.
_TOKEN_RESERVE = 30.0
_MILLISECONDS = 0.001

_PARTS = {"record": "biblio", "claims": "claims", "description": "description"}
_RETRIEVALS = re.compile(r"\bretrieval=([a-z]+):([0-9]{1,6})\b", re.IGNORECASE)


class Epo:
    """Fetches publications of all countries as the EPO has them.

    :raises OfficeError: if there are no keys.
    """

    name = NAME

    def __init__(
        self, settings: OfficesSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._basic = _basic(settings.epo_key, settings.epo_secret)
        self._clock = clock
        pace = Pace(_FIRST_INTERVAL, clock)
        self.connection = Connection(NAME, settings.epo_url, pace, _MILLISECONDS)
        self._token, self._token_until = "", 0.0

    def fetch(self, number: PublicationNumber, part: str, deadline: Deadline) -> bytes | None:
        """The office's XML of a part: ``record``, ``claims`` or ``description``.

        :return: None if the office has none.
        :raises OfficeError: if it does not answer, refuses the keys, or the quota is used up.
        """
        url = f"{self.connection.url}/rest-services/published-data/publication/{_path(number)}"
        url = f"{url}/{_PARTS[part]}"
        reply = self._get(url, deadline)
        if reply.status in (400, 401) and b"access_token" in reply.body:
            self._token = ""  # it was revoked, or the clocks differ
            reply = self._get(url, deadline)
        elif _is_black(reply):
            reply = self._get(url, deadline)  # after the pause that it asked for
        if reply.status == 200:
            return reply.body
        if reply.status in (400, 404):  # 400: no number of that country has this form
            return None
        raise self._refusal(reply)

    def _get(self, url: str, deadline: Deadline) -> Reply:
        headers = {"Authorization": f"Bearer {self._access_token(deadline)}"}
        reply = self.connection.get(url, deadline, headers | {"Accept": "application/xml"})
        self._heed(reply)
        return reply

    def _access_token(self, deadline: Deadline) -> str:
        if self._token and self._clock() < self._token_until:
            return self._token
        url = f"{self.connection.url}/auth/accesstoken"
        form = {"grant_type": "client_credentials"}
        began = self._clock()
        reply = self.connection.post(url, deadline, {"Authorization": self._basic}, form)
        if reply.status != 200:
            raise self._refusal(reply)
        try:
            granted = json.loads(reply.body)
            token = header_value(SecretStr(str(granted["access_token"])), "the EPO's token")
            seconds = float(granted["expires_in"])
        except (ValueError, KeyError, TypeError) as problem:
            raise self.connection.unavailable("it grants no valid token") from problem
        self._token, self._token_until = token, began + seconds - _TOKEN_RESERVE
        return token

    def _heed(self, reply: Reply) -> None:
        """Adopt the number of retrievals a minute that an answer allows."""
        found = _RETRIEVALS.search(reply.headers.get("X-Throttling-Control", ""))
        allowed = 0 if found is None else int(found[2])
        if allowed:
            self.connection.pace.interval = 60 / allowed
        if _is_black(reply):
            self.connection.pace.pause(self.connection.retry_after(reply.headers) or 60.0)

    def _refusal(self, reply: Reply) -> OfficeError:
        rejection = reply.headers.get("X-Rejection-Reason", "").lower()
        if "quota" in rejection:
            period = "week" if "week" in rejection else "hour"
            return self.connection.busy(f"the quota of the {period} for these keys is used up")
        if _is_black(reply):
            return self.connection.busy("it has limited these keys for a while")
        if reply.status in (400, 401, 403):
            return OfficeError(
                f"the EPO refuses the keys of {PREFIX}EPO_KEY and {PREFIX}EPO_SECRET. Check them "
                f"at {KEYS_AT}.",
                reason="office_unavailable",
            )
        return self.connection.unavailable(f"it answers with status {reply.status}")


def _is_black(reply: Reply) -> bool:
    """Whether retrievals are suspended for a while, as too many were sent within a minute."""
    found = _RETRIEVALS.search(reply.headers.get("X-Throttling-Control", ""))
    return reply.status == 403 and found is not None and found[1].lower() == "black"


def _basic(key: SecretStr | None, secret: SecretStr | None) -> str:
    if key is None or secret is None:
        raise OfficeError(
            f"the EPO needs keys: set {PREFIX}EPO_KEY and {PREFIX}EPO_SECRET to those of an "
            f"application that is registered, free of charge, at {KEYS_AT}.",
            reason="office_unavailable",
        )
    pair = (header_value(key, f"{PREFIX}EPO_KEY"), header_value(secret, f"{PREFIX}EPO_SECRET"))
    return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}"


def _path(number: PublicationNumber) -> str:
    """The number as OPS writes it; with its kind it is one publication, else all of that number."""
    digits = number.number
    if number.is_us_application and digits[4] == "0":
        digits = digits[:4] + digits[5:]
    if number.kind is None:
        return f"epodoc/{number.country}{digits}"
    return f"docdb/{number.country}.{digits}.{number.kind}"
