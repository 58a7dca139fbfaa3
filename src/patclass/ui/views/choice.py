"""Which of the loaded models a page is about."""

import streamlit as st

from patclass.ui.api import Model
from patclass.ui.session import choose_model, chosen_model


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
