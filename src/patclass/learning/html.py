"""A decision as one page that needs nothing else."""

from patclass.bundle.lineage import Lineage
from patclass.html import template
from patclass.labels.cpc import titles
from patclass.learning.gate import LABEL_ROWS, Decision


def html_decision(decision: Decision, lineage: Lineage | None) -> str:
    """The page of a decision.

    :param lineage: what the candidate has learnt from, if it was retrained.
    """
    return template("learning", "decision.html.j2").render(
        decision=decision,
        lineage=lineage,
        titles=titles(),
        label_rows=LABEL_ROWS,
    )
