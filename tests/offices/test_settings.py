"""The settings of look-ups: from the environment, with keys that are never shown."""

import pytest

from patclass.core.errors import ConfigError
from patclass.offices.settings import OfficesSettings


def load(**environment: str) -> OfficesSettings:
    return OfficesSettings.load({}, environment=environment)


def test_keys_come_from_the_environment_and_are_not_shown():
    settings = load(PATCLASS_OFFICES_EPO_KEY="k-95", PATCLASS_OFFICES_CACHE_DAYS="2")
    assert settings.epo_key is not None
    assert settings.epo_key.get_secret_value() == "k-95"
    assert settings.cache_days == 2
    assert "k-95" not in f"{settings} {settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://ops.example.org",
            "ftp://ops.example.org",
            "ops.example.org",
            "https://",
            "http://",
        ),
        *(
            "https://user:password@ops.example.org",
            "https://ops.example.org/?a=1",
            "http://10.0.0.1",
        ),
    ],
)
def test_keys_are_only_sent_over_https(url: str):
    with pytest.raises(ConfigError, match="epo_url"):
        load(PATCLASS_OFFICES_EPO_URL=url)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://ops.example.org/3.2/", "https://ops.example.org/3.2"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
    ],
)
def test_another_address(url: str, kept: str):
    assert load(PATCLASS_OFFICES_USPTO_URL=url).uspto_url == kept


def test_a_misspelt_variable_is_an_error_that_does_not_show_its_value():
    with pytest.raises(ConfigError, match="did you mean 'epo_key'") as error:
        load(PATCLASS_OFFICES_EPO_KEYS="k-95")
    assert "k-95" not in str(error.value)
