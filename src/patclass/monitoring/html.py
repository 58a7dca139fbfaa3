"""What a monitor has seen, as one page that needs nothing else."""

from collections.abc import Sequence

from patclass.html import template
from patclass.monitoring.assess import FALSE_ALARMS, Assessment
from patclass.monitoring.curves import all_curves, span
from patclass.monitoring.monitor import Watched

_MEANING = {
    "confidence": "how sure the answers are",
    "labels": "which labels are answered",
    "length": "how long the texts are",
    "unseen": "share of tokens that the model has not learnt from",
    "distance": "how far the texts' states are from usual ones",
}


def html_monitor(watched: Watched, windows: Sequence[Assessment]) -> str:
    """The page of a model's last windows, oldest first; at least one."""
    last = windows[-1]
    begin, end = span(windows)
    return template("monitoring", "report.html.j2").render(
        watched=watched,
        windows=windows,
        last=last,
        begin=begin,
        end=end,
        meaning=_MEANING,
        false_alarms=FALSE_ALARMS,
        usual=watched.reference.accuracy,
        curves=all_curves(windows, watched.reference.accuracy),
        moved=sorted(last.labels, key=lambda s: -abs(s.window - s.reference)),
    )
