"""One patent: given in four ways, asked of the service. The answer is drawn elsewhere."""

from typing import Any

import streamlit as st

from patclass.ui.client import Patent, Trouble
from patclass.ui.files import DOCUMENT_SUFFIXES, text_of_document
from patclass.ui.session import api, chosen_model, models, tell, told_in_words
from patclass.ui.views.answer import draw

EXAMPLES = {
    "A drill bit": {
        "title": "Drill bit with steel blades",
        "abstract": (
            "A drill bit for boreholes has a steel body with blades that carry cutters of "
            "polycrystalline diamond. Nozzles between the blades flush cuttings into the annulus "
            "of the borehole, so that the cutters stay cool and the bit can drill longer before it "
            "is pulled from the well."
        ),
    },
    "A wound dressing": {
        "title": "Wound dressing that shows infection",
        "abstract": (
            "An adhesive bandage has an absorbent pad with an indicator that changes its pattern "
            "when bacteria release enzymes into the wound. A nurse sees through a window in the "
            "backing film that the wound is infected, without taking the dressing off the skin of "
            "the patient."
        ),
    },
    "A handover of phones": {
        "title": "Handover between cells of a radio network",
        "abstract": (
            "A base station receives measurement reports from user equipment and predicts when the "
            "signal of the serving cell will fall below that of a neighbour. It then reserves "
            "resources in the neighbouring cell and sends a handover command in advance, so that "
            "calls are not interrupted on fast trains."
        ),
    },
}

_TEXT, _FIELDS, _FILE, _EXAMPLE = "Text", "Fields", "PDF or TXT", "Example"
_ANSWER = "answer"  # the last answer, kept while the visitor looks at it
_PENDING = "pending"  # a patent that could not be answered yet


def page() -> None:
    """Ask for a patent, then show what the service says of it."""
    st.title("Which codes fit this patent?", anchor=False)
    asked = _ask()
    if asked is not None:
        st.session_state[_PENDING] = asked
        st.session_state.pop(_ANSWER, None)
    pending = st.session_state.get(_PENDING)
    if pending is not None:
        _answer(pending)
    answer = st.session_state.get(_ANSWER)
    if answer is not None:
        with told_in_words():
            draw(answer["result"], answer["model"])


def _answer(patent: Patent) -> None:
    """Ask the service; what passes is tried again when the page is drawn anew."""
    try:
        with st.spinner("Reading the patent…"):
            model = chosen_model(models())
            result = api().explain(patent, model)
    except Trouble as trouble:
        if not trouble.passes and trouble.kind != "key":
            del st.session_state[_PENDING]
        tell(trouble)
        return
    del st.session_state[_PENDING]
    st.session_state[_ANSWER] = {"result": result, "model": model}


def _ask() -> Patent | None:
    """The patent that was just given, if one was."""
    way = st.segmented_control(
        "What do you have?",
        [_TEXT, _FIELDS, _FILE, _EXAMPLE],
        default=_TEXT,
        required=True,
        key="way",
    )
    if way == _EXAMPLE:
        return _ask_example()
    with st.form("patent", border=False):
        given = {_TEXT: _text, _FIELDS: _fields, _FILE: _file}[str(way)]()
        sent = st.form_submit_button(
            "Classify", type="primary", icon=":material/search:", width="stretch"
        )
    if not sent:
        return None
    try:
        return _checked(given())
    except Trouble as trouble:
        st.session_state.pop(_PENDING, None)
        tell(trouble)
        return None


def _text() -> Any:
    text = st.text_area(
        "Text of the patent",
        height=220,
        placeholder="Paste a title and an abstract, or more.",
        key="text",
    )
    return lambda: text


def _fields() -> Any:
    title = st.text_input("Title", key="title")
    abstract = st.text_area("Abstract", height=140, key="abstract")
    claims = st.text_area("Claims", height=140, key="claims")
    return lambda: {"title": title, "abstract": abstract, "claims": claims}


def _file() -> Any:
    dropped = st.file_uploader(
        "Drop a PDF or a text file",
        type=list(DOCUMENT_SUFFIXES),
        key="document",
        max_upload_size=20,
    )

    def read() -> str:
        if dropped is None:
            raise Trouble("input", "No file was chosen. Drop a PDF or a TXT file above.")
        return text_of_document(dropped.name, dropped.getvalue())

    return read


def _ask_example() -> Patent | None:
    name = st.radio("Invented patents to try", list(EXAMPLES), key="example")
    example = EXAMPLES[str(name)]
    st.markdown(f"**{example['title']}**  \n{example['abstract']}")
    if st.button("Classify", type="primary", icon=":material/search:", width="stretch"):
        return example
    return None


def _checked(patent: Patent) -> Patent:
    """Refuse what holds no words before it is sent."""
    words = [patent] if isinstance(patent, str) else [*patent.values()]
    if not any(word and word.strip() for word in words):
        raise Trouble("input", "There is no text yet. Paste a title and an abstract, or more.")
    return patent
