"""What one visitor's page remembers, and how it meets trouble. Knows Streamlit and the service."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from patclass.ui.client import ADDRESS, ADDRESS_VARIABLE, KEY_VARIABLE, Api, Label, Model, Trouble
from patclass.ui.jobs import Jobs

_KEY = "key"  # not that of the field: what a field holds is forgotten when it is not drawn
_KEY_FIELD = "key_field"
_MODEL = "model"
_LOOKED = "looked_at"
_EVERY = 2.0  # seconds between two looks for the service


def api() -> Api:
    """The service, with the visitor's key or the page's own."""
    address = os.environ.get(ADDRESS_VARIABLE) or ADDRESS
    key = st.session_state.get(_KEY) or os.environ.get(KEY_VARIABLE, "")
    return _api(address, key)


@st.cache_resource(max_entries=100, show_spinner=False)
def _api(address: str, key: str) -> Api:
    return Api(address, key)


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The jobs of all visitors, as long as the page's process lives."""
    return Jobs()


def models() -> list[Model]:
    """The models of the service, asked anew each time: they change under the page.

    :raises Trouble: if there is no answer.
    """
    return api().models()


def chosen_model(loaded: list[Model]) -> Model:
    """The model that the visitor chose, or the default."""
    wanted = st.session_state.get(_MODEL)
    return next((model for model in loaded if model.name == wanted), loaded[0])


def choose_model(name: str) -> None:
    """Answer with this model from now on."""
    st.session_state[_MODEL] = name


def labels(model: Model) -> list[Label]:
    """All codes of a model.

    :raises Trouble: if there is no answer.
    """
    return _labels(api(), model.name, model.version)


@st.cache_data(max_entries=8, show_spinner=False)
def _labels(_api: Api, name: str, version: str) -> list[Label]:
    return _api.labels(name)


@contextmanager
def told_in_words() -> Iterator[None]:
    """Turn trouble into a sentence and a way on; what is drawn anew is asked anew."""
    try:
        yield
    except Trouble as trouble:
        tell(trouble)


def tell(trouble: Trouble, again: bool = True) -> None:
    """Say what went wrong, and offer what helps.

    :param again: whether drawing the page anew repeats what failed.
    """
    show = st.warning if trouble.passes else st.error
    way = "" if again or not trouble.passes else " Nothing was sent; try once more in a moment."
    show(trouble.sentence + way, icon=":material/error:")
    if trouble.kind == "key":
        _ask_for_key()
    elif again and trouble.kind in ("away", "loading"):
        st.session_state[_LOOKED] = time.monotonic()
        _come_back()
    elif again and trouble.kind in ("busy", "broken", "stranger"):
        st.button("Try again", icon=":material/refresh:")


def _ask_for_key() -> None:
    def keep() -> None:
        st.session_state[_KEY] = st.session_state[_KEY_FIELD].strip()

    st.text_input("Access key", type="password", key=_KEY_FIELD, autocomplete="off", on_change=keep)


@st.fragment(run_every=_EVERY)
def _come_back() -> None:
    """Go on by itself once the service answers."""
    st.caption("Your entries are kept. The page goes on as soon as the service is back.")
    # It is also drawn with the page itself, when the service has just failed.
    if time.monotonic() - st.session_state[_LOOKED] >= _EVERY / 2 and api().ready():
        st.rerun()


def choose(loaded: list[Model]) -> Model:
    """The model that answers; where there are several, the visitor may choose another."""
    current = chosen_model(loaded)
    if len(loaded) == 1:
        st.caption(f"Model '{current.name}', version {current.version}; it is the only one loaded.")
        return current
    names = [model.name for model in loaded]
    picked = st.selectbox(
        f"{len(loaded)} models are loaded; answers come from",
        names,
        index=names.index(current.name),
        format_func=lambda name: f"{name} (the default)" if name == loaded[0].name else name,
    )
    choose_model(picked)
    current = chosen_model(loaded)
    st.caption(f"Version {current.version}.")
    return current
