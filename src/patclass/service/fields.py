"""Types of the fields of a patent in a request, and what they are read from. Knows no bodies."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from patclass.core.errors import DataError
from patclass.data.cleaning import as_text
from patclass.data.text import SURROGATE


def _name(value: Any) -> Any:
    """An id; a number is taken as text."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    name = str(value) if is_number else value
    if isinstance(name, str) and SURROGATE.search(name):
        raise PydanticCustomError("unicode", "not valid Unicode: it holds half a surrogate pair")
    return name


def _text(value: Any) -> str | None:
    """The text of a field in all forms that are read from files too."""
    try:
        return None if value is None else as_text(value)
    except DataError as problem:
        raise PydanticCustomError("text", "{problem}", {"problem": str(problem)}) from problem


_TYPES = ("string", "number", "array", "object", "null")
Name = Annotated[
    str | None,
    BeforeValidator(_name),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": 200}, {"type": "number"}, {"type": "null"}]}
    ),
]
Text = Annotated[
    str | None,
    BeforeValidator(_text),
    WithJsonSchema({"anyOf": [{"type": name} for name in _TYPES]}),
]

# Any other value is answered with an error in its place, so that the other patents are classified.
Other = Annotated[Any, Field(description="Answered with an error in its place.")]


# Fields of an object in a request; of more, only their number is reported.
MAX_FIELDS = 100


def check_fields(value: Any) -> Any:
    """Refuse an object with so many fields that an error for each would take too long."""
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise PydanticCustomError(
            "fields",
            "expected at most {most} fields, not {count}",
            {"most": MAX_FIELDS, "count": len(value)},
        )
    return value


def check_patents(value: Any) -> Any:
    """Refuse what is neither a patent nor a list."""
    if not isinstance(value, (str, dict, list)):
        raise PydanticCustomError("patents", "expected a text, a patent, or a list of them")
    return value
