"""The answer for one patent: the code, how sure, what else, and why."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

from patclass.ui.charts import BARS, BRANCH, alternatives
from patclass.ui.client import COVERAGE, Model, Result
from patclass.ui.views.feedback import ask_for_verdict
from patclass.ui.wording import LIKELY, SURE, UNSURE, highlighted, percent, plural, reading, trust

_Colour = Literal["green", "blue", "orange"]
_BADGES: dict[str, tuple[_Colour, str]] = {
    SURE: ("green", ":material/check_circle:"),
    LIKELY: ("blue", ":material/help:"),
    UNSURE: ("orange", ":material/warning:"),
}
_SET_SHOWN = 12


def draw(result: Result, model: Model) -> None:
    """Everything that the service says of one patent."""
    _headline(result, model)
    _doubts(result)
    ask_for_verdict(result, model)
    _alternatives(result, model)
    _set(result)
    if model.evidence and result["text"] is None:
        st.info("Which passages decided would take too long to find out right now.")
    _passages(result)
    _neighbours(result)
    st.caption(f"Answered by the model '{model.name}', version {model.version}.")


def draw_code(answer: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> None:
    """A code with its title, how far to trust it, and its levels one below the other.

    :param steps: code, title and confidence of each level, coarsest first.
    """
    word = trust(answer["confidence"], answer["sure"])
    colour, icon = _BADGES[word]
    st.header(f"{answer['label']}  {answer['name']}", anchor=False)
    st.badge(f"{word} · {percent(answer['confidence'])}", color=colour, icon=icon)
    if len(steps) > 1:
        lines = (
            f"{'↳ ' if depth else ''}**{step['label']}** {step['name']} "
            f"({percent(step['confidence'])})"
            for depth, step in enumerate(steps)
        )
        st.markdown("  \n".join(lines))


def _headline(result: Result, model: Model) -> None:
    draw_code(result, result["path"])
    deeper = model.levels[model.levels.index(result["level"]) + 1 :]
    unsaid = f"The {deeper[0]} is not sure enough to be named. " if deeper else ""
    st.caption(f"{unsaid}{reading(result['read'])}")


def _doubts(result: Result) -> None:
    told = [warning for warning in result["warnings"] if "of the text was read" not in warning]
    if told:
        lines = "\n".join(f"- {_sentence(warning)}" for warning in told)
        st.warning(f"Look twice:\n{lines}", icon=":material/visibility:")


def _alternatives(result: Result, model: Model) -> None:
    st.subheader("What else it may be", anchor=False)
    found = result["alternatives"]
    branch = st.session_state.get(_branch_key(result))
    if branch is None:
        level = st.segmented_control(
            "Level",
            list(model.levels),
            default=result["level"],
            required=True,
            format_func=str.capitalize,
            key=f"level-{result['prediction_id']}",
        )
        shown = found[level]
    else:
        level, shown = _below(branch, model, found)
        st.button(
            f"Back from {branch} to all codes",
            icon=":material/arrow_back:",
            on_click=st.session_state.pop,
            args=(_branch_key(result), None),
        )
    if not shown:
        st.info(f"The model names no code below {branch} with any probability.")
        return
    best = {step["label"] for step in result["path"]}
    answer = next((entry["label"] for entry in shown if entry["label"] in best), "")
    picked = st.altair_chart(
        alternatives(shown[:BARS], answer),
        on_select="rerun",
        selection_mode=BRANCH,
        key=f"bars-{result['prediction_id']}-{level}-{branch}",
        alt=_in_words(shown[:BARS]),
    )
    if level != model.levels[-1]:
        _open_branch(result, picked, [entry["label"] for entry in shown[:BARS]])


def _open_branch(result: Result, picked: Any, codes: Sequence[str]) -> None:
    """Open what was clicked; a list does the same for the keyboard."""
    chosen = st.selectbox(
        "Open a branch (or click on its bar)",
        codes,
        index=None,
        placeholder="Code",
        key=f"open-{result['prediction_id']}-{codes[0]}-{len(codes)}",
    )
    clicked = [point["code"] for point in picked["selection"].get(BRANCH, [])]
    wanted = clicked[0] if clicked else chosen
    if wanted:
        st.session_state[_branch_key(result)] = wanted
        st.rerun()


def _below(
    branch: str, model: Model, found: dict[str, list[dict[str, Any]]]
) -> tuple[str, list[dict[str, Any]]]:
    """The codes right below a branch: those of the next level that begin with it."""
    level = next(n for n in model.levels if any(e["label"] == branch for e in found[n]))
    below = model.levels[model.levels.index(level) + 1]
    return below, [entry for entry in found[below] if entry["label"].startswith(branch)]


def _branch_key(result: Result) -> str:
    return f"branch-{result['prediction_id']}"


def _set(result: Result) -> None:
    inside = result["set"]
    if not inside:
        return
    st.subheader("If you must not miss it", anchor=False)
    named = ", ".join(f"**{entry['label']}**" for entry in inside[:_SET_SHOWN])
    more = f" and {len(inside) - _SET_SHOWN} more" if len(inside) > _SET_SHOWN else ""
    if len(inside) == 1:
        told = f"{named} alone holds the right code"
    else:
        told = (
            f"One of these {plural(len(inside), 'code', 'codes')} is the right one: {named}{more}"
        )
    st.markdown(f"{told}, in {round(COVERAGE * 10)} cases of 10.")


def _passages(result: Result) -> None:
    if not result["text"] or not result["passages"]:
        return
    st.subheader("What decided", anchor=False)
    decided = any(passage["contribution"] > 0 for passage in result["passages"])
    st.caption(
        "The most underlined passage decided most."
        if decided
        else "No single passage decided; the text as a whole did."
    )
    st.html(highlighted(result["text"], result["passages"]))


def _neighbours(result: Result) -> None:
    if not result["neighbours"]:
        return
    st.subheader("Known patents most like it", anchor=False)
    table = pd.DataFrame(
        {
            "Patent": [near["id"] for near in result["neighbours"]],
            "Title": [near["title"] or "" for near in result["neighbours"]],
            "Codes": [" › ".join(near["codes"]) for near in result["neighbours"]],
            "Alike": [percent(near["similarity"]) for near in result["neighbours"]],
        }
    )
    if not table["Title"].any():  # the shipped index knows numbers only
        table = table.drop(columns="Title")
    st.dataframe(table, hide_index=True)


def _in_words(shown: Sequence[dict[str, Any]]) -> str:
    return "; ".join(
        f"{entry['label']} {entry['name']}: {percent(entry['confidence'])}" for entry in shown
    )


def _sentence(warning: str) -> str:
    return warning[:1].upper() + warning[1:] + "."
