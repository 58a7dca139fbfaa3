"""The pages and what they share. Run by ``streamlit run``."""

from pathlib import Path

import streamlit as st

from patclass.ui.views import classify, file, model, monitor, review

# A file of our own: icons by name would be fetched from another host.
ICON = Path(__file__).with_name("icon.png")


def main() -> None:
    """Draw the page that the visitor is on."""
    st.set_page_config(page_title="patclass", page_icon=ICON, layout="centered")
    pages = [
        st.Page(
            classify.page,
            title="One patent",
            icon=":material/description:",
            url_path="patent",
            default=True,
        ),
        st.Page(file.page, title="A whole file", icon=":material/table:", url_path="file"),
        st.Page(review.page, title="Review", icon=":material/rate_review:", url_path="review"),
        st.Page(model.page, title="The model", icon=":material/speed:", url_path="model"),
        st.Page(
            monitor.page, title="Monitoring", icon=":material/monitoring:", url_path="monitoring"
        ),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":  # as Streamlit calls the script that it runs
    main()
