"""The pages of the app and its navigation. Run by ``streamlit run``."""

from pathlib import Path

import streamlit as st

from patclass.ui.views import classify, file, model, monitor, review

# A local file, as Streamlit fetches named icons from another host.
ICON = Path(__file__).with_name("icon.png")

# Wide screens hold two columns; beyond this width, lines would be too long to read.
STYLE = """<style>
.stMainBlockContainer { max-width: 84rem; padding: 4.5rem clamp(1rem, 3vw, 3rem) 3rem; }
.stColumn h2 { padding-top: 0; }
</style>"""


def main() -> None:
    """Draw the selected page."""
    st.set_page_config(page_title="patclass", page_icon=ICON, layout="wide")
    st.html(STYLE)
    pages = [
        st.Page(
            classify.page,
            title="Single patent",
            icon=":material/description:",
            url_path="patent",
            default=True,
        ),
        st.Page(file.page, title="File", icon=":material/table:", url_path="file"),
        st.Page(review.page, title="Review", icon=":material/rate_review:", url_path="review"),
        st.Page(model.page, title="Model", icon=":material/speed:", url_path="model"),
        st.Page(
            monitor.page, title="Monitoring", icon=":material/monitoring:", url_path="monitoring"
        ),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":  # Streamlit runs a script under this name
    main()
