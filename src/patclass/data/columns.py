"""What the columns of a table hold, by their names. Knows names, no files.

Names are those of the exports of Espacenet, Google Patents, Lens, PatentsView and the Open Data
Portal and Public Search of the USPTO, BigQuery, HUPD, PATSTAT, PATENTSCOPE, DEPATISnet, J-PlatPat,
CNIPA, KIPRIS, Orbit, PatSnap, WIPS, AcclaimIP and Derwent, in English and in the language of the
site.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

# As many as a spreadsheet has.
MAX_COLUMNS = 16_384

# What a column may hold, with the usual names, folded; the first that is there is taken.
ROLES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "publication_number", "patent_number", "patent_id", "display_key", "number"),
        *("publication_no", "patent_no", "document_number", "doc_number", "publication", "pn"),
        *("publication_numbers", "publication_number_s", "patent_numbers", "patent", "pgpub_id"),
        *("publication_numbers_with_kind_code", "best_publication_number", "patentnumber"),
        *("document_id", "publn_nr"),
        *("application_id", "application_number", "application_no", "applicationnumbertext"),
        *("appln_id", "appln_nr", "lens_id"),
        *("veröffentlichungsnummer", "publikationsnummer", "patentnummer"),
        *("numéro_de_publication", "n_de_publication", "numero_di_pubblicazione"),
        *("número_de_publicação", "número_de_publicación", "número_do_pedido"),
        *("номер_публикации", "номер_патента", "номер_документа", "номер"),
        *("文献番号", "公開番号", "公開_公告_番号", "公开_公告_号", "公开号", "公告号", "专利号"),
        *("公開_公告_號", "公告號", "公開號", "公開_公告號", "專利號", "專利編號"),
        *("문헌번호", "공개번호", "등록번호", "출원번호", "nr"),
    ),
    "text": ("text", "full_text", "fulltext", "content", "body", "patent_text"),
    "title": (
        *("title_english", "english_title", "title_en", "발명의명칭_영문", "발명의_명칭_영문"),
        *("title", "invention_title", "patent_title", "title_localized", "inventiontitle"),
        *("title_original_language", "title_of_the_invention", "title_of_invention"),
        *("title_dwpi", "dwpi_title", "appln_title", "ti", "titel", "bezeichnung"),
        *("bezeichnung_der_erfindung", "titel_bezeichnung", "bezeichnung_titel", "titre", "título"),
        *("titolo", "название", "название_изобретения", "наименование", "наименование_изобретения"),
        *("発明の名称", "发明名称", "标题", "专利名称", "發明名稱", "專利名稱", "標題"),
        *("발명의_명칭", "발명의명칭", "발명의명칭_국문", "발명의_명칭_국문"),
    ),
    "abstract": (
        *("abstract_english", "english_abstract", "abstract_en", "요약_영문"),
        *("abstract", "patent_abstract", "abstract_localized", "summary"),
        *("abstract_original_language", "abstract_dwpi", "dwpi_abstract", "appln_abstract", "ab"),
        *("zusammenfassung", "kurzfassung", "abrégé", "résumé", "resumen", "resumo", "riassunto"),
        *("реферат", "要約", "摘要", "요약", "초록", "요약_국문"),
    ),
    "claims": (
        *("claims_english", "claims_en", "claims", "claim", "claims_localized"),
        *("first_claim_english", "first_claim", "independent_claims", "representative_claim"),
        *("claim_text", "ansprüche", "patentansprüche", "revendications", "reivindicações"),
        *("reivindicaciones", "rivendicazioni", "формула_изобретения", "формула"),
        *("請求の範囲", "权利要求", "申請專利範圍", "청구항", "대표청구항"),
    ),
    "description": (
        *("description_en", "description", "desc", "detailed_description", "full_description"),
        *("description_localized", "beschreibung", "descrição", "descripción", "descrizione"),
        *("описание", "明細書", "说明书", "說明書", "상세한_설명"),
    ),
    "main_code": (
        *("main_code", "main_cpc", "main_ipc", "main_cpc_label", "main_ipcr_label"),
        *("cpc_main", "ipc_main", "main_ipc_class", "cpc_first", "current_cpc_main"),
        *("original_cpc_main", "current_ipc_main", "original_ipc_main", "cpc_hauptklasse"),
        *("ipc_hauptklasse", "ipc主分类号", "主分类号", "ipc主分類號"),
    ),
    "cpc": (
        *("cpc", "cpcs", "codes", "cpc_codes", "cpc_code", "cpc_classifications"),
        *("cpc_classification", "cpc_labels", "cpc_label", "cpc_current", "cpc_all"),
        *("cooperative_patent_classification", "cooperative_classification", "current_cpc_all"),
        *("original_cpc_all", "cpc_cooperative_classification", "cpc_classes", "cpc_class_symbol"),
        *("cpcclassificationbag", "cpc_at_issue", "cpci", "спк"),
        *("cpc分类号", "cpc分類號", "cpc분류", "cpc_group", "code"),
    ),
    "date": (
        *("year", "publication_year", "date", "publication_date", "grant_date", "date_published"),
        *("patent_date", "publication_dates", "publn_date", "公知日", "fecha_de_publicación"),
        *("veröffentlichungsdatum", "date_de_publication", "data_de_publicação"),
        *("data_di_pubblicazione", "дата_публикации", "公開日", "公告日", "公开_公告_日", "공개일"),
    ),
    "ipc": (
        *("ipc", "ipcr", "ipcs", "ipc_codes", "ipc_code", "ipcr_classifications"),
        *("ipc_classification", "ipc_classifications", "ipcr_labels", "ipc_label", "ipc_labels"),
        *("i_p_c", "ipc_8", "ipc_current", "international_class", "international_classification"),
        *("current_ipc_all", "original_ipc_all", "ipc_international_classification"),
        *("ipc_classes", "ipc_class_symbol", "ip", "cib", "cip", "ipk", "мпк"),
        *("internationale_klassifikation", "fi", "国际分类号", "ipc分类号", "國際分類號"),
        *("ipc分類號", "국제특허분류", "ipc분류"),
    ),
    "family": (
        *("family", "family_id", "family_number", "docdb_family_id", "simple_family_id"),
        *("simple_family", "docdb_family", "questel_unique_family_id_fan", "inpadoc_family_id"),
        *("inpadoc_family", "extended_family_id", "patent_family", "patent_family_id"),
        *("familiennummer", "patentfamilie", "numéro_de_famille"),
    ),
}

# Roles whose column has symbols.
_CODE_ROLES = ("main_code", "cpc", "ipc")

# The same names, for the row that names the columns to be recognised among others.
_KNOWN = {name for names in ROLES.values() for name in names} - {
    *("fi", "ab", "ti", "pn", "nr", "ip"),
}


# Columns that say what a publication is: by its kind code, in words, or that it was withdrawn.
_STATUS_COLUMNS = {
    "kind": ("kind_code", "wipo_kind", "publn_kind", "kind"),
    "type": ("patent_type", "document_type", "publication_type"),
    "withdrawn": ("withdrawn",),
}
DESIGN = "a design patent, which has a drawing instead of a text"
WITHDRAWN = "withdrawn or deleted"
_DESIGN_TYPES = frozenset(("design", "design_patent", "design_right", "design_registration"))
_YES = frozenset(("1", "1_0", "true", "yes", "y"))
# By the series of the number, or by the kind that it ends with; in any spelling.
_US_DESIGN = re.compile(r"\s*US[\W_]*(?:D[\W_]*\d|.*\d[\W_]*S\d?\s*$)", re.MULTILINE)


def fold(name: object) -> str:
    """A column's name without case, spaces and punctuation: ``I P C`` is ``i_p_c``."""
    plain = unicodedata.normalize("NFKC", str(name)).casefold()
    return re.sub(r"[\W_]+", "_", plain).strip("_")


def known_names(cells: Sequence[object]) -> int:
    """How many of the cells are usual names of columns."""
    return sum(fold(cell) in _KNOWN for cell in cells if isinstance(cell, str))


def columns_by_role(
    columns: Sequence[str],
    stated: Mapping[str, str] = MappingProxyType({}),
    empty: Collection[str] = (),
) -> dict[str, str]:
    """The column of each role that has one, in the order of the roles.

    :param stated: the columns of some roles, which are not looked for.
    :param empty: columns that are taken only where a role has no other.
    """
    found = {
        role: next((column for column in present if column not in empty), present[0])
        for role, present in _candidates(columns).items()
    }
    found |= stated
    if "codes" in stated:
        found = {role: column for role, column in found.items() if role not in _CODE_ROLES}
    if fold(found.get("text", "text")) != "text" and found.keys() & {"title", "abstract"}:
        del found["text"]  # the whole text is a title and an abstract, with much else
    return found


def rivals(columns: Sequence[str]) -> list[str]:
    """The columns of texts and symbols of which several have the same role."""
    several = (
        present
        for role, present in _candidates(columns).items()
        if role not in ("id", "date", "family") and len(present) > 1
    )
    return [column for present in several for column in present]


def _candidates(columns: Sequence[str]) -> dict[str, list[str]]:
    """The columns that each role may have, the most usual first."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(fold(column), column)
    if "pn" not in by_name:
        by_name.pop("ip", None)  # that of Derwent Innovations Index; elsewhere, an address
    found = {
        role: [by_name[name] for name in names if name in by_name] for role, names in ROLES.items()
    }
    return {role: present for role, present in found.items() if present}


def status_columns(columns: Collection[str]) -> dict[str, str]:
    """The columns of a table that may say of a row that it is no patent with a text."""
    by_name = {fold(column): column for column in columns}
    return {
        status: next(by_name[name] for name in names if name in by_name)
        for status, names in _STATUS_COLUMNS.items()
        if not by_name.keys().isdisjoint(names)
    }


def exclusion(publication: str, stated: Mapping[str, object] = MappingProxyType({})) -> str | None:
    """Why a publication is none that can be classified; None if nothing says so.

    :param publication: its number, such as ``USD912345S1``, in any spelling; of several, the first.
    :param stated: what else is stated of it, by the names that ``status_columns`` has.
    """
    if stated:
        if fold(stated.get("withdrawn", "")) in _YES:
            return WITHDRAWN
        is_design = fold(stated.get("type", "")) in _DESIGN_TYPES
        if is_design or re.fullmatch(r"s\d?", fold(stated.get("kind", ""))):
            return DESIGN
    return DESIGN if _US_DESIGN.match(publication) else None


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
