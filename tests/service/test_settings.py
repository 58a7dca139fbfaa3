"""Settings of the service: local addresses, keys and limits."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from patclass.cli.options import flag_of
from patclass.core.errors import ConfigError
from patclass.data.cleaning import MAX_CHARS
from patclass.service.settings import PORT, ServiceSettings

HERE = ["127.0.0.1", "127.8.9.10", "::1", "localhost"]
ELSEWHERE = [
    *("0.0.0.0", "::", "", "192.168.1.20", "10.0.0.1", "2001:db8::1"),
    *("patents.example", "localhost.example", "127.0.0.1.example", "localhost:9000"),
]


@pytest.mark.parametrize("host", HERE)
def test_loopback_addresses_need_no_keys(host: str):
    settings = ServiceSettings(host=host)
    assert settings.on_loopback
    assert settings.open
    settings.check()


@pytest.mark.parametrize("host", ELSEWHERE)
def test_other_addresses_are_refused_without_keys(host: str):
    settings = ServiceSettings(host=host)
    assert not settings.on_loopback
    with pytest.raises(ConfigError, match="API keys") as problem:
        settings.check()
    for way in (f"--host {host}", "patclass keys create", "--keys", "PATCLASS_KEYS", "--insecure"):
        assert way in problem.value.message(flag_of)


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("how", [{"keys": Path("keys.json")}, {"insecure": True}])
def test_other_addresses_are_accepted_with_keys_or_if_allowed_explicitly(
    host: str, how: dict[str, object]
):
    settings = ServiceSettings.model_validate({"host": host} | how)
    settings.check()
    assert settings.open == ("insecure" in how)


def test_by_default_the_service_is_local_and_logs_no_text():
    settings = ServiceSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", PORT)
    assert (settings.keys, settings.cors) == (None, ())
    assert (settings.insecure, settings.log_texts, settings.trace) == (False, False, False)
    settings.check()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("port", -1), ("port", 65_536), ("port", "http")),
        *(("max_chars", 0), ("max_chars", MAX_CHARS + 1), ("max_chars", "many")),
        *(("max_items", 0), ("max_items", 1.5)),
        *(("max_body_bytes", 999), ("max_body_bytes", None)),
        *(("queue_tokens", 0), ("queue_tokens", -1)),
        *(("deadline", 0), ("deadline", 600.1), ("deadline", "nan"), ("deadline", "inf")),
    ],
)
def test_a_limit_out_of_range_is_refused_with_its_name(field: str, value: object):
    with pytest.raises(ValidationError) as problem:
        ServiceSettings.model_validate({field: value})
    (error,) = problem.value.errors()
    assert error["loc"] == (field,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("port", 0), ("port", 65_535), ("max_chars", 1), ("max_chars", MAX_CHARS)),
        *(("max_items", 1), ("max_body_bytes", 1_000), ("queue_tokens", 1)),
        *(("queue_tokens", None), ("deadline", 0.001), ("deadline", 600)),
    ],
)
def test_range_limits_are_inclusive(field: str, value: object):
    assert getattr(ServiceSettings.model_validate({field: value}), field) == value


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="prot"):
        ServiceSettings.model_validate({"prot": 9000})


def test_settings_are_immutable():
    settings = ServiceSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.host = "0.0.0.0"


@pytest.mark.parametrize("name", ServiceSettings.model_fields)
def test_every_setting_has_a_description(name: str):
    assert ServiceSettings.model_fields[name].description
