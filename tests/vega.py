"""The contents of a chart, as Vega-Lite describes it."""

from typing import Any


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """The rows of a chart, which is validated against Vega-Lite's schema."""
    described = chart.to_dict(validate=True)
    return [row for rows in described["datasets"].values() for row in rows]


def marks_of(chart: Any) -> list[str]:
    return [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]
