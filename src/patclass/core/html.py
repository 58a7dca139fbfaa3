"""Pages that need nothing else: one style, everything escaped. Knows no content."""

from collections.abc import Callable, Mapping
from functools import lru_cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

Filter = Callable[..., str]


def template(package: str, name: str, filters: Mapping[str, Filter] | None = None) -> Template:
    """A template of a package of patclass; it may include ``style.css``.

    Whatever it shows is escaped, and a field that it misses is an error.
    """
    environment = _environment(package)
    environment.filters.update(filters or {})
    return environment.get_template(name)


@lru_cache
def _environment(package: str) -> Environment:
    loader = ChoiceLoader([PackageLoader("patclass", package), PackageLoader("patclass", "core")])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "–" if share is None else f"{share:.1%}"
