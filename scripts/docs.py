"""Write docs/settings.md from the settings themselves."""

import sys
from pathlib import Path

from patclass.core.config import ENVIRONMENT_PREFIX, TrainSettings

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

HEAD = f"""# Settings of `patclass train`

Written by `make docs`; a test compares this page with the code. Later wins: the defaults below, a
TOML file (`--config run.toml`), variables such as `{ENVIRONMENT_PREFIX}EPOCHS=2`, flags such as
`--epochs 2`. A key that does not exist is an error that names it.

```toml
[data]
data = "patents.csv"
labels = "class"

[fit]
epochs = 2
```
"""


def table(group: str) -> str:
    """The settings of one TOML table as Markdown."""
    rows = [
        f"| `{name}` | {'' if info.default is None else f'`{info.default}`'} | {info.description} |"
        for name, (owner, info) in TrainSettings.fields().items()
        if owner == group
    ]
    return "\n".join([f"## [{group}]", "", "| key | default | meaning |", "|---|---|---|", *rows])


def page() -> str:
    """The whole page."""
    tables = [table(group) for group in TrainSettings.model_fields]
    return "\n\n".join([HEAD.strip(), *tables]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.name} written\n")
