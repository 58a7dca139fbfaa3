"""One mechanism for settings, merged from TOML, environment and flags. Knows no setting.

Later wins: defaults, the TOML file, environment variables, flags. An unknown key is an error that
names it and the nearest one; a value that does not fit is named with what was expected.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from patclass.core.errors import ConfigError


class SettingsGroup(BaseModel):
    """Settings that share a table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Settings(BaseSettings):
    """Base of all settings. Only ``load`` reads the environment; a constructor never does.

    A subclass has either groups as its fields, which are the tables of its TOML file, or plain
    fields and the name of their one ``table``. ``env_prefix`` begins the
    names of its environment variables. Names of settings are unique over the groups.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    table: ClassVar[str | None] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone, so that the settings in a bundle are read as they were written."""
        return (init_settings,)

    @classmethod
    def fields(cls) -> dict[str, tuple[str, FieldInfo]]:
        """Every setting's name with its table and pydantic field."""
        if cls.table is not None:
            return {name: (cls.table, info) for name, info in cls.model_fields.items()}
        return {
            name: (group, info)
            for group, holder in cls.model_fields.items()
            for name, info in holder.annotation.model_fields.items()  # type: ignore[union-attr]
        }

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any],
        file: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        defaults: Mapping[str, Any] | None = None,
    ) -> Self:
        """Merge defaults, file, environment and flags.

        :param flags: settings by name; None and () mean not given.
        :param environment: variables by name; an empty one counts as not set.
        :param defaults: settings that differ from the built-in ones but yield to all others.
        :raises ConfigError: if a key is unknown or a value does not fit.
        """
        sources = (
            _Flags(cls, {name: v for name, v in flags.items() if v is not None and v != ()}),
            _Environment(cls, environment),
            *(() if file is None else (_TomlFile(cls, file),)),
            _Defaults(cls, defaults or {}),
        )
        try:
            return cls(_build_sources=(sources, {}))
        except ValidationError as problem:
            raise _refusal(cls, problem, sources) from problem


class _Source(PydanticBaseSettingsSource):
    """Values of settings by name, and where each of them comes from."""

    def __init__(self, model: type[Settings], values: Mapping[str, Any]) -> None:
        super().__init__(model)
        self.fields, self.flat = model.fields(), model.table is not None
        for name in values:
            if name not in self.fields:
                raise ConfigError(f"unknown {self.origin(name)}{_hint(name, self.fields)}")
        self.values = dict(values)

    def origin(self, name: str) -> str:
        """Where the value of a setting stands."""
        return f"setting '{name}'"

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one setting, as the base class wants it."""
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values in the shape of the model: nested if it has groups."""
        if self.flat:
            return self.values
        nested: dict[str, dict[str, Any]] = {}
        for name, value in self.values.items():
            nested.setdefault(self.fields[name][0], {})[name] = value
        return nested


class _Flags(_Source):
    """What the caller gives; refused under the name of the setting."""


class _Defaults(_Source):
    """What yields to all other sources."""

    def origin(self, name: str) -> str:
        return f"default of '{name}'"


class _Environment(_Source):
    """Variables that begin with the prefix; a list is written with commas."""

    def __init__(self, model: type[Settings], environment: Mapping[str, str]) -> None:
        self.prefix = model.model_config["env_prefix"]
        values: dict[str, Any] = {}
        fields = model.fields()
        for key, value in environment.items():
            if not key.startswith(self.prefix) or not value:
                continue
            name = key.removeprefix(self.prefix).lower()
            many = name in fields and get_origin(fields[name][1].annotation) is tuple
            values[name] = [part.strip() for part in value.split(",")] if many else value
        super().__init__(model, values)

    def origin(self, name: str) -> str:
        return f"environment variable {self.prefix}{name.upper()}"


class _TomlFile(_Source):
    """A file of tables; what stands outside of a table is refused."""

    def __init__(self, model: type[Settings], file: Path) -> None:
        self.file = file
        fields = model.fields()
        tables = list(dict.fromkeys(table for table, _ in fields.values()))
        values: dict[str, Any] = {}
        for table, entries in self._read().items():
            if not isinstance(entries, dict):
                place = f"[{fields[table][0]}]" if table in fields else "a table"
                raise ConfigError(
                    f"'{table}' stands outside of a table in {file}; put it in {place}."
                )
            if table not in tables:
                raise ConfigError(f"unknown table '[{table}]' in {file}{_hint(table, tables)}")
            names = [name for name, (owner, _) in fields.items() if owner == table]
            for name in entries:
                if name not in names:
                    raise ConfigError(
                        f"unknown key '{name}' in [{table}] of {file}{_hint(name, names)}"
                    )
            values |= entries
        super().__init__(model, values)

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.file.read_text(encoding="utf-8-sig"))
        except OSError as problem:
            raise ConfigError(f"cannot read {self.file}: {problem.strerror}.") from problem
        except ValueError as problem:
            raise ConfigError(f"{self.file} is not valid TOML: {problem}.") from problem

    def origin(self, name: str) -> str:
        return f"[{self.fields[name][0]}] of {self.file}"


def _hint(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f": did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}."


def _refusal(
    model: type[Settings], problem: ValidationError, sources: Iterable[_Source]
) -> ConfigError:
    """The first value that does not fit, where it stands, and what was expected."""
    error = problem.errors()[0]
    name = str(error["loc"][0 if model.table is not None else 1])
    source = next(source for source in sources if name in source.values)
    reason = error.get("ctx", {}).get("error")  # of a validator, in its own words
    wanted = f"expected {expected(model.fields()[name][1])}" if reason is None else str(reason)
    value = f"{name} {source.values[name]!r}"
    if isinstance(source, _Flags):
        return ConfigError(f"{value}: {wanted}.", setting=name)
    return ConfigError(f"{value} ({source.origin(name)}): {wanted}.")


def expected(info: FieldInfo) -> str:
    """What a setting accepts, in plain English: ``a whole number from 1 to 512``."""
    kinds = [kind for kind in get_args(info.annotation) if kind is not NoneType]
    if get_origin(info.annotation) is Literal:
        return f"one of {', '.join(map(str, kinds))}"
    if get_origin(info.annotation) is tuple:
        return "a list of texts"
    kind = kinds[0] if kinds else info.annotation
    names: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        Path: "a path",
    }
    return " ".join([names.get(kind, "text"), *_range(info)])


def _range(info: FieldInfo) -> list[str]:
    """The bounds of a number in words."""
    limits = {
        type(limit): getattr(limit, name)
        for limit in info.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name)
    }
    words = {Gt: "above", Ge: "of at least", Lt: "below", Le: "of at most"}
    if set(limits) == {Ge, Le}:
        return [f"from {limits[Ge]:,} to {limits[Le]:,}"]
    bounds = [f"{word} {limits[kind]:,}" for kind, word in words.items() if kind in limits]
    return [" and ".join(bounds)] if bounds else []
