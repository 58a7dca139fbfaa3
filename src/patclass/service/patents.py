"""A patent of a request, or the error that is answered in its place. Knows fields, no models."""

from typing import Any

from pydantic import ValidationError

from patclass.data.text import SURROGATE
from patclass.service.errors import ErrorBody, reason_of
from patclass.service.schemas import FailedResult, PatentFields


def patent_of(value: Any) -> str | PatentFields | FailedResult:
    """A patent of a request; the error that stands in its place if it is none."""
    if isinstance(value, str):
        return value
    try:
        return PatentFields.model_validate(value)
    except ValidationError as problem:
        error = problem.errors()[0]
    reason = reason_of(error)
    if error["type"] == "extra_forbidden":
        reason = f"unknown field; a patent has {', '.join(PatentFields.model_fields)}"
    message = ": ".join([*(str(part)[:100] for part in error["loc"]), reason])
    body = ErrorBody(code="invalid", message=SURROGATE.sub("?", message))
    return FailedResult(id=_id_of(value), error=body)


def _id_of(value: Any) -> str | None:
    """The id of what is no patent, if it can be read."""
    if not isinstance(value, dict):
        return None
    try:
        return PatentFields.model_validate({"id": value.get("id")}).id
    except ValidationError:
        return None
