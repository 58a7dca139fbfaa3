"""The state of a visitor's session, and how errors are shown. Knows Streamlit and the client."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from patclass.ui.client import (
    ADDRESS,
    ADDRESS_VARIABLE,
    KEY_VARIABLE,
    Api,
    Label,
    Model,
    PageError,
)
from patclass.ui.formatting import literal
from patclass.ui.jobs import BatchJobs

# Not the key of the input field: Streamlit drops the state of a field that is not drawn.
_KEY = "access_key"
_KEY_FIELD = "access_key_field"
_MODEL = "model"
_LAST_CHECK = "last_check"  # of the service, in seconds of the monotonic clock
_CHECK_INTERVAL = 2.0
_ASKED_AGAIN = 10.0  # seconds after which the service is asked again whether it accepts numbers


def api() -> Api:
    """The client, with the visitor's access key or that of the page."""
    return _api(*_access())


def _access() -> tuple[str, str]:
    """Address and access key."""
    address = os.environ.get(ADDRESS_VARIABLE) or ADDRESS
    return address, st.session_state.get(_KEY) or os.environ.get(KEY_VARIABLE, "")


@st.cache_resource(max_entries=100, show_spinner=False)
def _api(address: str, key: str) -> Api:
    return Api(address, key)


@st.cache_resource(show_spinner=False)
def jobs() -> BatchJobs:
    """The batch jobs of all visitors, as long as the process of the page lives."""
    return BatchJobs()


def models() -> list[Model]:
    """The loaded models; not cached, as the service may load others at any time.

    :raises PageError: if the request fails.
    """
    return api().models()


def accepts_numbers() -> bool:
    """Whether patents can be named by their number; False while the service does not say."""
    return _accepts_numbers(*_access())


@st.cache_data(max_entries=100, ttl=_ASKED_AGAIN, show_spinner=False)
def _accepts_numbers(address: str, key: str) -> bool:
    try:
        return _api(address, key).accepts_numbers()
    except PageError:
        return False


def selected_model(loaded: list[Model]) -> Model:
    """The model that the visitor selected, or the default."""
    name = st.session_state.get(_MODEL)
    return next((model for model in loaded if model.name == name), loaded[0])


def select_model(loaded: list[Model]) -> Model:
    """Let the visitor select a model if several are loaded."""
    current = selected_model(loaded)
    if len(loaded) == 1:
        st.caption(f"Model: {literal(current.name)}, version {literal(current.version)}.")
        return current
    names = [model.name for model in loaded]
    name = st.selectbox(
        "Model",
        names,
        index=names.index(current.name),
        format_func=lambda name: f"{name} (default)" if name == loaded[0].name else name,
    )
    st.session_state[_MODEL] = name
    current = selected_model(loaded)
    st.caption(f"Version {literal(current.version)}.")
    return current


def labels(model: Model) -> list[Label]:
    """All codes of a model.

    :raises PageError: if the request fails.
    """
    return _labels(api(), model.name, model.version)


@st.cache_data(max_entries=8, show_spinner=False)
def _labels(_api: Api, name: str, version: str) -> list[Label]:
    return _api.labels(name)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show a ``PageError`` instead of raising it; redrawing the page repeats the request."""
    try:
        yield
    except PageError as error:
        show_error(error)


def show_error(error: PageError, repeated: bool = True) -> None:
    """Show an error and what the visitor can do about it.

    :param repeated: whether redrawing the page repeats the request that failed.
    """
    show = st.warning if error.transient else st.error
    hint = " Nothing was saved. Try again in a moment." if error.transient and not repeated else ""
    show(literal(error.message) + hint, icon=":material/error:")
    if error.kind == "access_key":
        _ask_for_key()
    elif repeated and error.kind in ("unavailable", "loading"):
        st.session_state[_LAST_CHECK] = time.monotonic()
        _continue_when_ready()
    elif repeated and error.kind in ("busy", "internal", "incompatible"):
        st.button("Try again", icon=":material/refresh:")


def _ask_for_key() -> None:
    def keep() -> None:
        st.session_state[_KEY] = st.session_state[_KEY_FIELD].strip()

    st.text_input("Access key", type="password", key=_KEY_FIELD, autocomplete="off", on_change=keep)


@st.fragment(run_every=_CHECK_INTERVAL)
def _continue_when_ready() -> None:
    """Redraw the page once the service accepts patents."""
    st.caption("Your input is kept. The page continues as soon as the service is available.")
    # The fragment is also drawn with the page, just after the service has failed.
    elapsed = time.monotonic() - st.session_state[_LAST_CHECK]
    if elapsed >= _CHECK_INTERVAL / 2 and api().ready():
        st.rerun()
