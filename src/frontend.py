"""The page; run with ``streamlit run src/frontend.py``, or by ``patclass ui``."""

from patclass.ui.app import main

main()
