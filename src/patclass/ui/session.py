"""What one visitor's page remembers, and how it meets trouble. Knows Streamlit and the service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from patclass.ui.api import ADDRESS, ADDRESS_VARIABLE, KEY_VARIABLE, Api, Label, Model
from patclass.ui.jobs import Jobs
from patclass.ui.problems import Trouble

_KEY = "access_key"
_MODEL = "model"


def api() -> Api:
    """The service, with the visitor's key or the page's own."""
    address = os.environ.get(ADDRESS_VARIABLE) or ADDRESS
    key = st.session_state.get(_KEY) or os.environ.get(KEY_VARIABLE, "")
    return _api(address, key)


@st.cache_resource(max_entries=100, show_spinner=False, on_release=lambda api: api.close())
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
    """Turn trouble into a sentence and a way on."""
    try:
        yield
    except Trouble as trouble:
        tell(trouble)


def tell(trouble: Trouble) -> None:
    """Say what went wrong, and offer what helps."""
    show = st.warning if trouble.passes else st.error
    show(trouble.sentence, icon=":material/error:")
    if trouble.kind == "key":
        st.text_input("Access key", type="password", key=_KEY, autocomplete="off")
    if trouble.kind in ("away", "loading"):
        _come_back()
    elif trouble.kind in ("busy", "broken", "stranger"):
        st.button("Try again", icon=":material/refresh:")


@st.fragment(run_every=2.0)
def _come_back() -> None:
    """Go on by itself once the service answers."""
    st.caption("Looking for the service every two seconds…")
    if api().ready():
        st.rerun()
