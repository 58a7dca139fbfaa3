"""One patent: entered as text, fields or number, uploaded, or taken from the examples."""

from collections.abc import Mapping
from html import escape

import streamlit as st
from streamlit.typing import UploadedFile

from patclass.offices.patent import SHOWN_CODES
from patclass.ui.client import PageError, Patent, Result
from patclass.ui.files import DOCUMENT_SUFFIXES, patent_of_document
from patclass.ui.formatting import literal, plain
from patclass.ui.session import (
    accepts_numbers,
    api,
    errors_shown,
    models,
    selected_model,
    show_error,
)
from patclass.ui.views.prediction import draw_answer, draw_details

EXAMPLES = {
    "Drill bit": {
        "title": "Drill bit with steel blades",
        "abstract": (
            "A drill bit for boreholes has a steel body with blades that carry cutters of "
            "polycrystalline diamond. Nozzles between the blades flush cuttings into the annulus "
            "of the borehole, so that the cutters stay cool and the bit can drill longer before it "
            "is pulled from the well."
        ),
    },
    "Wound dressing": {
        "title": "Wound dressing with infection indicator",
        "abstract": (
            "An adhesive bandage has an absorbent pad with an indicator that changes its pattern "
            "when bacteria release enzymes into the wound. A nurse sees through a window in the "
            "backing film that the wound is infected, without taking the dressing off the skin of "
            "the patient."
        ),
    },
    "Cellular handover": {
        "title": "Handover between cells of a radio network",
        "abstract": (
            "A base station receives measurement reports from user equipment and predicts when the "
            "signal of the serving cell will fall below that of a neighbour. It then reserves "
            "resources in the neighbouring cell and sends a handover command in advance, so that "
            "calls are not interrupted on fast trains."
        ),
    },
}

_TEXT, _FIELDS, _DOCUMENT, _EXAMPLE = "Text", "Fields", "Document", "Example"
_NUMBER = "Number"  # only if the service looks numbers up
_SOURCE = "source"  # which of these is chosen
_RESULT = "result"  # the last result, kept while the visitor looks at it
_PENDING = "pending"  # a patent that could not be classified yet


def page() -> None:
    """Ask for a patent, then show its prediction: beside it where the window is wide enough."""
    st.title("Classify a patent", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        entered = _enter_patent()
    if entered is not None:
        st.session_state[_PENDING] = entered
        st.session_state.pop(_RESULT, None)
    pending = st.session_state.get(_PENDING)
    if pending is not None:
        with right:
            _classify(pending)
    shown = st.session_state.get(_RESULT)
    if shown is not None:
        with left:
            _found_patent(shown["result"])
        with errors_shown():
            with right:
                draw_answer(shown["result"], shown["model"])
            draw_details(shown["result"], shown["model"])
    elif pending is None:
        right.caption("The prediction appears here.")


def _found_patent(result: Result) -> None:
    """Title, abstract and assigned codes of a patent that was looked up."""
    patent = result.get("patent")
    if not patent:
        return
    with st.container(border=True):
        head = f"{patent['number']} ({patent['office']}): {patent['title'] or 'without a title'}"
        st.html(f"<b>{escape(head)}</b>")
        st.html(plain(patent["abstract"] or "The office has no abstract in English."))
        codes = patent["codes"][:SHOWN_CODES]
        if codes:
            more = ", …" if len(patent["codes"]) > SHOWN_CODES else ""
            st.caption(f"Codes assigned by patent offices: {literal(', '.join(codes))}{more}")


def _classify(patent: Patent) -> None:
    """Classify a patent; after a transient error it is tried again when the page is redrawn."""
    try:
        with st.spinner("Classifying…"):
            model = selected_model(models())
            result = api().explain(patent, model)
    except PageError as error:
        if not error.transient and error.kind != "access_key":
            del st.session_state[_PENDING]
        show_error(error)
        return
    del st.session_state[_PENDING]
    st.session_state[_RESULT] = {"result": result, "model": model}


def _enter_patent() -> Patent | None:
    """The patent that was just submitted, if one was."""
    # What the visitor has chosen stays while the service does not respond.
    by_number = accepts_numbers() or st.session_state.get(_SOURCE) == _NUMBER
    source = st.segmented_control(
        "Input",
        [_TEXT, _FIELDS, *([_NUMBER] if by_number else []), _DOCUMENT, _EXAMPLE],
        default=_TEXT,
        required=True,
        key=_SOURCE,
    )
    if source == _EXAMPLE:
        return _example()
    with st.form("patent", border=False):
        if source == _TEXT:
            entered: Patent | UploadedFile | None = _text()
        elif source == _FIELDS:
            entered = _fields()
        elif source == _NUMBER:
            entered = _number()
        else:
            entered = _document()
        submitted = st.form_submit_button(
            "Classify", type="primary", icon=":material/search:", width="stretch"
        )
    if not submitted:
        return None
    try:
        return _read(entered)
    except PageError as error:
        st.session_state.pop(_PENDING, None)
        show_error(error)
        return None


def _text() -> str:
    return st.text_area(
        "Text of the patent",
        height=220,
        placeholder="Paste the title and abstract, or the full text.",
        key="text",
    )


def _fields() -> dict[str, str]:
    return {
        "title": st.text_input("Title", key="title"),
        "abstract": st.text_area("Abstract", height=140, key="abstract"),
        "claims": st.text_area("Claims", height=140, key="claims"),
    }


def _number() -> dict[str, str]:
    number = st.text_input(
        "Publication number",
        placeholder="EP1000000A1, US 11,646,472 or WO2022/259205",
        max_chars=60,
        key="number",
    )
    st.caption("The title and abstract are requested from the EPO or the USPTO.")
    return {"number": number}


def _document() -> UploadedFile | None:
    return st.file_uploader(
        "Upload a PDF, the XML of a patent office, or a text file",
        type=list(DOCUMENT_SUFFIXES),
        key="document",
        max_upload_size=20,
    )


def _example() -> Patent | None:
    name = st.radio("Fictitious patents", list(EXAMPLES), key="example")
    example = EXAMPLES[str(name)]
    st.markdown(f"**{example['title']}**  \n{example['abstract']}")
    if st.button("Classify", type="primary", icon=":material/search:", width="stretch"):
        return example
    return None


def _read(entered: Patent | UploadedFile | None) -> Patent:
    """The patent to be sent.

    :raises PageError: if there is no document, or no text.
    """
    if entered is None:
        raise PageError("invalid_input", "No file was uploaded. Upload a document above.")
    if isinstance(entered, UploadedFile):
        return patent_of_document(entered.name, entered.getvalue())
    texts = entered.values() if isinstance(entered, Mapping) else [entered]
    if not any(text and text.strip() for text in texts):
        if isinstance(entered, Mapping) and "number" in entered:
            raise PageError("invalid_input", "Enter a publication number, such as EP1000000A1.")
        raise PageError(
            "invalid_input", "The text is empty. Paste the title and abstract, or the full text."
        )
    return entered
