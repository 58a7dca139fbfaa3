"""The page; run with ``streamlit run src/frontend.py``, or by ``patclass ui``."""

import streamlit as st

from patclass.ui.server import MIDDLEWARE, SCRIPT

app = st.App(SCRIPT, middleware=MIDDLEWARE)
