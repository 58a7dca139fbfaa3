"""Write docs/settings.md from the settings, and the tables of docs/formats.md from the tests."""

import sys
from pathlib import Path

from patclass.core.config import Settings, expected
from patclass.core.settings import TrainSettings
from patclass.offices.settings import OfficesSettings
from patclass.service.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "settings.md"
FORMATS = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- written by make docs -->", "<!-- end -->"

HEAD = """# Settings

Written by `make docs`; a test compares this page with the code. Training and the service take
their settings in the same way. Later wins: the defaults below, a TOML file (`--config FILE`),
environment variables, flags. The variable of a setting is the prefix and its name in capitals, its
flag the name with dashes: `max_tokens` is `PATCLASS_TRAIN_MAX_TOKENS` and `--max-tokens`. An empty
variable counts as not set. An unknown key, table or variable is an error that names it and the
nearest one.
"""

TRAIN = """## `patclass train`

Environment variables begin with `PATCLASS_TRAIN_`.

```toml
[data]
data = "patents.csv"
labels = "class"

[fit]
epochs = 2
```
"""

SERVE = """## `patclass serve`

Environment variables begin with `PATCLASS_SERVE_`; a list is written with commas.

```toml
[serve]
host = "0.0.0.0"
keys = "keys.json"
cors = ["https://patents.example"]
```
"""


OFFICES = """## Look-ups by number

For `patclass predict --number` and `patclass serve --offices`: environment variables alone, which
begin with `PATCLASS_OFFICES_`, so that keys are in no file and in no list of processes. The
[EPO](https://developers.epo.org) and the [USPTO](https://data.uspto.gov/myodp) give keys free of
charge; one of the two offices is enough for its own patents.
"""


def table(settings: type[Settings], name: str) -> str:
    """The settings of one group as Markdown."""
    rows = []
    for key, (owner, info) in settings.fields().items():
        if owner == name:
            default = "" if info.default in (None, ()) else f"`{info.default}`".lower()
            rows.append(f"| `{key}` | {default} | {expected(info)} | {info.description} |")
    head = ["| key | default | accepts | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def page() -> str:
    """The whole page."""
    parts = [HEAD.strip()]
    groups = ((TRAIN, TrainSettings), (SERVE, ServiceSettings), (OFFICES, OfficesSettings))
    for intro, settings in groups:
        tables = dict.fromkeys(owner for owner, _ in settings.fields().values())
        parts.append(intro.strip())
        for name in tables:
            heading = [] if settings is OfficesSettings else [f"### [{name}]"]
            parts += [*heading, table(settings, name)]
    return "\n\n".join(parts) + "\n"


ROLE_NAMES = ("id", "title", "abstract", "claims", "description", "main_code", "cpc", "ipc", "date")


def formats() -> str:
    """The tables of sources, from the list that the tests go through."""
    sys.path.insert(0, str(ROOT / "tests"))
    from sources import EXPORTS, PUBLICATIONS

    head = ["| source | read | checked with |", "|---|---|---|"]
    exports = [
        f"| {one.name} | {_roles(one.roles)} | {_checked(one.real, one.sample)} |"
        for one in EXPORTS
    ]
    publications = [
        f"| {one.name} | {', '.join(one.fields)} | {_checked(one.real)} |" for one in PUBLICATIONS
    ]
    return "\n".join(
        [
            *("### Exports of databases", "", *head, *exports, ""),
            *("### Documents of offices", "", *head, *publications),
        ]
    )


def _checked(real: str, sample: str = "") -> str:
    """What a source is tested with, besides what is written for the tests."""
    if real:
        return "a real file"
    return "a sample in its form, with real patents" if sample else "its form, as it is documented"


def _roles(roles: dict[str, str]) -> str:
    return ", ".join(role for role in ROLE_NAMES if role in roles)


def formats_page(text: str) -> str:
    """docs/formats.md with its tables written again."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{formats()}\n\n{END}{after}"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    FORMATS.write_text(formats_page(FORMATS.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{TARGET.name} and {FORMATS.name} written\n")
