"""The learning rate as a pure function of the step, so that it has no state to restore."""

import math


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear rise to ``peak`` over ``warmup`` of all ``steps``, then half a cosine to zero.

    Source of the method: Loshchilov and Hutter 2017 (arXiv:1608.03983).
    """
    rising = max(1, round(steps * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
