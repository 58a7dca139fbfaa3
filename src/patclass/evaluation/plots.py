"""The confusion matrix as a picture."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from patclass.evaluation.metrics import Metrics

matplotlib.rcParams["axes.titlesize"] = 11

MAX_NUMBERED = 20


def confusion_picture(metrics: Metrics, title: str, path: Path) -> None:
    """Write a PNG: rows are true labels, columns answers, shades the share of the row."""
    codes = [c.code for c in metrics.per_class]
    counts = np.asarray(metrics.confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(14.0, 3.2 + 0.45 * len(codes))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true label", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, parse_math=False)
    ticks = range(0, len(codes), max(1, len(codes) // 40))
    names = [codes[i][:14] for i in ticks]
    # Labels are data: a dollar sign in one must not be read as the start of a formula.
    axes.set_xticks(ticks, names, parse_math=False, rotation=90 if len(codes) > 12 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    if len(codes) <= MAX_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)
    figure.savefig(path, dpi=130, metadata={"Software": None})
