"""How far two distributions are apart, and whether chance could do that. Knows numbers only.

scipy is imported where it is needed: it takes a second, and a service starts without it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# A share of zero would make an infinite PSI of one row.
_SMALLEST_SHARE = 1e-4

# Labels with fewer rows expected in either are counted together, as the chi-squared test asks.
_EXPECTED = 5

BINS = 10

_Values = npt.NDArray[Any]
_Counts = npt.NDArray[np.int64]


def population_stability(reference: _Values, window: _Values) -> float:
    """Population stability index of two distributions over the same bins.

    Of counts or shares of shape (bins,). By custom less than 0.1 is called stable, more than 0.25
    a shift (Siddiqi 2006, "Credit Risk Scorecards").
    """
    p, q = (np.maximum(_shares(values), _SMALLEST_SHARE) for values in (reference, window))
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: _Values, window: _Values) -> float:
    """Jensen–Shannon distance over the same bins, base 2: 0 if equal, 1 if nothing is shared."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(_shares(reference), _shares(window), base=2))


def binned(reference: _Values, values: _Values) -> _Values:
    """How many values lie in each tenth of the reference; shape (bins,)."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="left")  # of many equal values, one bin
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def kolmogorov_smirnov(reference: _Values, window: _Values) -> tuple[float, float]:
    """The largest gap between two samples' distribution functions, and its p-value."""
    from scipy.stats import ks_2samp

    found = ks_2samp(reference, window, method="asymp")
    return float(found.statistic), float(found.pvalue)


def label_shift(reference: _Values | Sequence[int], window: _Values | Sequence[int]) -> float:
    """The p-value of a shift in the mix of labels, given counts of shape (labels,).

    Half of the error is spent on all labels together (chi-squared), half on the label that has
    moved most (hypergeometric, Bonferroni's correction): so both many small changes and one large
    one are noticed.
    """
    a, b = np.asarray(reference, dtype=np.int64), np.asarray(window, dtype=np.int64)
    there = a + b > 0
    a, b = a[there], b[there]
    if len(a) < 2:
        return 1.0
    return min(1.0, 2 * _all_together(a, b), 2 * len(a) * _most_moved(a, b))


def _all_together(a: _Counts, b: _Counts) -> float:
    from scipy.stats import chi2_contingency

    share = min(a.sum(), b.sum()) / (a.sum() + b.sum())
    frequent = (a + b) * share >= _EXPECTED
    table = np.stack([_with_rest(a, frequent), _with_rest(b, frequent)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)


def _with_rest(counts: _Counts, frequent: npt.NDArray[np.bool_]) -> _Counts:
    return np.append(counts[frequent], counts[~frequent].sum())


def _most_moved(a: _Counts, b: _Counts) -> float:
    """The smallest p-value of a single label, two-sided."""
    from scipy.stats import hypergeom

    everything, drawn = a.sum() + b.sum(), b.sum()
    below = hypergeom.cdf(b, everything, a + b, drawn)
    above = hypergeom.sf(b - 1, everything, a + b, drawn)
    return float(min(1.0, 2 * np.minimum(below, above).min()))


def _shares(values: _Values) -> _Values:
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values / max(1e-12, values.sum()))
