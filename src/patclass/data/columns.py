"""What the columns of a table hold, by their names. Knows names, no files.

Names are those of the exports of Espacenet, Google Patents, Lens, PatentsView and the Open Data
Portal of the USPTO, BigQuery, HUPD, PATENTSCOPE, J-PlatPat, CNIPA, Orbit, PatSnap, WIPS and
Derwent, in English and in the language of the site.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

# What a column may hold, with the usual names, folded; the first that is there is taken.
ROLES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "publication_number", "patent_number", "patent_id", "display_key", "number"),
        *("publication_no", "patent_no", "document_number", "doc_number", "publication", "pn"),
        *("publication_numbers", "publication_number_s", "patent_numbers", "patent", "pgpub_id"),
        *("publication_numbers_with_kind_code", "best_publication_number", "patentnumber"),
        *("application_id", "application_number", "application_no", "applicationnumbertext"),
        *("lens_id", "veröffentlichungsnummer", "publikationsnummer", "patentnummer"),
        *("numéro_de_publication", "n_de_publication", "文献番号", "公開番号", "公開_公告_番号"),
        *("公开_公告_号", "公开号", "公告号", "专利号"),
        *("문헌번호", "공개번호", "등록번호", "출원번호", "nr"),
    ),
    "text": ("text", "full_text", "fulltext", "content", "body", "patent_text"),
    "title": (
        *("title", "invention_title", "patent_title", "title_localized", "title_en"),
        *("title_english", "english_title", "title_original_language", "inventiontitle"),
        *(
            "title_of_the_invention",
            "title_dwpi",
            "dwpi_title",
            "ti",
            "titel",
            "bezeichnung",
            "titre",
            "título",
        ),
        *("発明の名称", "发明名称", "标题", "专利名称", "발명의_명칭", "발명의명칭"),
    ),
    "abstract": (
        *("abstract", "patent_abstract", "abstract_localized", "abstract_en", "summary"),
        *("abstract_english", "english_abstract", "abstract_original_language"),
        *("abstract_dwpi", "dwpi_abstract", "ab", "zusammenfassung", "abrégé", "résumé"),
        *("resumen", "要約", "摘要", "요약", "초록"),
    ),
    "claims": (
        *("claims", "claim", "claims_localized", "first_claim", "claims_en", "independent_claims"),
        *(
            "representative_claim",
            "first_claim_english",
            "claims_english",
            "ansprüche",
            "patentansprüche",
        ),
        *("revendications", "請求の範囲", "权利要求", "청구항", "대표청구항"),
    ),
    "description": (
        *("description", "desc", "detailed_description", "description_localized"),
        *("description_en", "full_description", "beschreibung", "明細書", "说明书", "상세한_설명"),
    ),
    "main_code": (
        *("main_code", "main_cpc", "main_ipc", "main_cpc_label", "main_ipcr_label"),
        *("cpc_main", "ipc_main", "main_ipc_class", "ipc主分类号", "主分类号", "cpc_first"),
    ),
    "cpc": (
        *("cpc", "cpcs", "codes", "cpc_codes", "cpc_code", "cpc_classifications"),
        *("cpc_classification", "cpc_labels", "cpc_label", "cpc_current", "cpc_all"),
        *("cooperative_patent_classification", "cooperative_classification", "original_cpc_all"),
        *("cpc分类号", "cpc_group", "code"),
    ),
    "date": (
        *("year", "publication_year", "date", "publication_date", "grant_date", "date_published"),
        *("patent_date", "publication_dates", "公知日", "fecha_de_publicación"),
        *("veröffentlichungsdatum", "date_de_publication", "公開日", "公开_公告_日", "공개일"),
    ),
    "ipc": (
        *("ipc", "ipcr", "ipcs", "ipc_codes", "ipc_code", "ipcr_classifications"),
        *("ipc_classification", "ipc_classifications", "ipcr_labels", "ipc_label", "ipc_labels"),
        *("i_p_c", "ipc_8", "ipc_current", "international_class", "international_classification"),
        *(
            "original_ipc_all",
            "cib",
            "cip",
            "ipk",
            "internationale_klassifikation",
            "fi",
            "国际分类号",
            "ipc分类号",
            "국제특허분류",
        ),
    ),
}

# Roles whose column has symbols.
_CODE_ROLES = ("main_code", "cpc", "ipc")

# The same names, for the row that names the columns to be recognised among others.
_KNOWN = {name for names in ROLES.values() for name in names} - {"fi", "ab", "ti", "pn", "nr"}


def fold(name: object) -> str:
    """A column's name without case, spaces and punctuation: ``I P C`` is ``i_p_c``."""
    plain = unicodedata.normalize("NFKC", str(name)).casefold()
    return re.sub(r"[\W_]+", "_", plain).strip("_")


def known_names(cells: Sequence[object]) -> int:
    """How many of the cells are usual names of columns."""
    return sum(fold(cell) in _KNOWN for cell in cells if isinstance(cell, str))


def columns_by_role(
    columns: Sequence[str], stated: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """The column of each role that has one, in the order of the roles.

    :param stated: the columns of some roles, which are not looked for.
    """
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(fold(column), column)
    found = {}
    for role, names in ROLES.items():
        present = [by_name[name] for name in names if name in by_name]
        if present:
            found[role] = present[0]
    found |= stated
    if "codes" in stated:
        found = {role: column for role, column in found.items() if role not in _CODE_ROLES}
    if fold(found.get("text", "text")) != "text" and found.keys() & {"title", "abstract"}:
        del found["text"]  # the whole text is a title and an abstract, with much else
    return found


def add_roles(
    fields: dict[str, Any], roles: Mapping[str, str], stated: Collection[str] = ()
) -> None:
    """Add the cells of a row under the names of the roles.

    :param roles: the column of each role.
    :param stated: roles that replace a column of their name.
    """
    for role, column in roles.items():
        if role not in fields or role in stated:
            fields[role] = fields.get(column)


def free_name(column: str, taken: Collection[str]) -> str:
    """The name of a column of the input beside other columns: ``label (input)`` if one has it."""
    while column in taken:
        column += " (input)"
    return column
