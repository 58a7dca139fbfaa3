"""Reliability diagrams and risk–coverage curves as pictures."""

from base64 import b64decode
from xml.etree import ElementTree

import numpy as np

from patclass.evaluation.calibration import reliability, risk_coverage
from patclass.evaluation.html import coverage_curve, reliability_curve

SURE = np.linspace(0.2, 1, 40)
HITS = np.arange(40) % 3 > 0


def svg(uri: str) -> ElementTree.Element:
    kind, data = uri.split(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(b64decode(data))


def test_curves_are_svg():
    bins = reliability(SURE, HITS)
    for uri in (reliability_curve(bins, bins), coverage_curve(risk_coverage(SURE, HITS))):
        assert svg(uri).tag.endswith("svg")


def test_a_single_row_can_be_drawn():
    one, hit = np.array([0.5]), np.array([True])
    assert svg(reliability_curve(reliability(one, hit), reliability(one, hit))) is not None
    assert svg(coverage_curve(risk_coverage(one, hit))) is not None


def test_the_same_figures_make_the_same_bytes():
    curve = risk_coverage(SURE, HITS)
    assert coverage_curve(curve) == coverage_curve(curve)
