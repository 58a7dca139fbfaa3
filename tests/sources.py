"""Where patents come from, and what is read of each: for tests, and for docs/formats.md.

Headers are those of the exports, as the databases write them; rows and documents are written for
tests. The names of real files are those of the inputs shared for tests.
"""

from dataclasses import dataclass

import office_documents as office


@dataclass(frozen=True)
class Export:
    """The export of a database.

    :param header: the names of its columns, or the most of them.
    :param roles: what each column is recognised as, by its position in the header.
    :param real: an export of the database.
    :param sample: a file in the form of such an export.
    """

    name: str
    header: tuple[str, ...]
    roles: dict[str, str]
    real: str = ""
    sample: str = ""


@dataclass(frozen=True)
class Publication:
    """A format in which an office publishes documents.

    :param text: one document of it.
    :param fields: those that are read of the document.
    :param real: a real file.
    """

    name: str
    text: str
    fields: tuple[str, ...]
    real: str = ""


EXPORTS = (
    Export(
        "Espacenet",
        ("No", "Title", "Inventors", "Applicants", "Publication number", "Earliest priority",
         "IPC", "CPC", "Publication date", "Earliest publication", "Family number"),
        {"id": "Publication number", "title": "Title", "cpc": "CPC", "ipc": "IPC",
         "date": "Publication date", "family": "Family number"},
        sample="espacenet-headeronly.csv",
    ),
    Export(
        "Espacenet, in German",
        ("Nr", "Titel", "Erfinder", "Anmelder", "Veröffentlichungsnummer",
         "Früheste Priorität", "IPC", "CPC", "Veröffentlichungsdatum", "Familiennummer"),
        {"id": "Veröffentlichungsnummer", "title": "Titel", "cpc": "CPC", "ipc": "IPC",
         "date": "Veröffentlichungsdatum", "family": "Familiennummer"},
    ),
    Export(
        "Espacenet, in French",
        ("N°", "Titre", "Inventeurs", "Demandeurs", "Numéro de publication",
         "Priorité la plus ancienne", "CIB", "CPC", "Date de publication", "Numéro de famille"),
        {"id": "Numéro de publication", "title": "Titre", "cpc": "CPC", "ipc": "CIB",
         "date": "Date de publication", "family": "Numéro de famille"},
    ),
    Export(
        "Google Patents",
        ("id", "title", "assignee", "inventor/author", "priority date", "filing/creation date",
         "publication date", "grant date", "result link", "representative figure link"),
        {"id": "id", "title": "title", "date": "publication date"},
        sample="google.csv",
    ),
    Export(
        "Lens",
        ("#", "Jurisdiction", "Kind", "Display Key", "Lens ID", "Publication Date",
         "Publication Year", "Application Number", "Title", "Abstract", "Applicants", "Inventors",
         "CPC Classifications", "IPCR Classifications", "US Classifications"),
        {"id": "Display Key", "title": "Title", "abstract": "Abstract",
         "cpc": "CPC Classifications", "ipc": "IPCR Classifications", "date": "Publication Year"},
        "lens-export-abstract.csv",
    ),
    Export(
        "Lens, before 2021",
        ("#", "Jurisdiction", "Kind", "Publication Number", "Lens ID", "Publication Date",
         "Publication Year", "Application Number", "Title", "Applicants", "Inventors",
         "IPCR Classifications", "US Classifications"),
        {"id": "Publication Number", "title": "Title", "ipc": "IPCR Classifications",
         "date": "Publication Year"},
    ),
    Export(
        "PatentsView and Open Data Portal, patents",
        ("patent_id", "patent_type", "patent_date", "patent_title", "patent_abstract", "wipo_kind"),
        {"id": "patent_id", "title": "patent_title", "abstract": "patent_abstract",
         "date": "patent_date"},
        sample="g_patent_abstract.tsv",
    ),
    Export(
        "PatentsView, JSON",
        ("patent_number", "patent_title", "patent_abstract", "patent_date", "cpcs"),
        {"id": "patent_number", "title": "patent_title", "abstract": "patent_abstract",
         "date": "patent_date", "cpc": "cpcs"},
        "patentsview-grants-G21G.json",
    ),
    Export(
        "BigQuery, patents-public-data",
        ("publication_number", "country_code", "kind_code", "title_localized",
         "abstract_localized", "claims_localized", "description_localized", "publication_date",
         "ipc", "cpc"),
        {"id": "publication_number", "title": "title_localized", "abstract": "abstract_localized",
         "claims": "claims_localized", "description": "description_localized", "cpc": "cpc",
         "ipc": "ipc", "date": "publication_date"},
        sample="bigquery.jsonl",
    ),
    Export(
        "HUPD",
        ("application_number", "publication_number", "title", "decision", "date_published",
         "main_cpc_label", "cpc_labels", "main_ipcr_label", "ipcr_labels", "abstract", "claims",
         "summary", "full_description"),
        {"id": "publication_number", "title": "title", "abstract": "abstract", "claims": "claims",
         "description": "full_description", "main_code": "main_cpc_label", "cpc": "cpc_labels",
         "ipc": "ipcr_labels", "date": "date_published"},
        sample="hupd.json",
    ),
    Export(
        "PATENTSCOPE",
        ("Application Id", "Application Number", "Application Date", "Publication Number",
         "Publication Date", "Country", "Title", "Abstract", "I P C", "Applicants", "Inventors"),
        {"id": "Publication Number", "title": "Title", "abstract": "Abstract", "ipc": "I P C",
         "date": "Publication Date"},
        "patentscope-resultlist.xls",
    ),
    Export(
        "J-PlatPat",
        ("文献番号", "出願番号", "出願日", "公知日", "発明の名称", "出願人/権利者", "FI",
         "公開番号", "登録番号", "ステージ"),
        {"id": "文献番号", "title": "発明の名称", "ipc": "FI", "date": "公知日"},
        "jplatpat-list.csv",
    ),
    Export(
        "J-PlatPat, in English",
        ("Publication number", "Application number", "Filing date", "Publication date",
         "Title of the invention", "Applicant/Patentee", "FI"),
        {"id": "Publication number", "title": "Title of the invention", "ipc": "FI",
         "date": "Publication date"},
    ),
    Export(
        "CNIPA",
        ("申请号", "申请日", "公开（公告）号", "公开（公告）日", "IPC分类号", "CPC分类号",
         "申请（专利权）人", "发明人", "发明名称", "摘要", "权利要求"),
        {"id": "公开（公告）号", "title": "发明名称", "abstract": "摘要", "claims": "权利要求",
         "cpc": "CPC分类号", "ipc": "IPC分类号", "date": "公开（公告）日"},
    ),
    Export(
        "Orbit",
        ("Questel unique family ID (FAN)", "Publication numbers", "Publication dates", "Title",
         "Abstract", "Claims", "International classification", "Cooperative classification"),
        {"id": "Publication numbers", "title": "Title", "abstract": "Abstract",
         "claims": "Claims", "ipc": "International classification",
         "cpc": "Cooperative classification", "date": "Publication dates",
         "family": "Questel unique family ID (FAN)"},
    ),
    Export(
        "PatSnap",
        ("Publication Number", "Application Number", "Title (English)", "Abstract (English)",
         "Claims (English)", "IPC", "CPC", "Publication Date", "Current Assignee"),
        {"id": "Publication Number", "title": "Title (English)", "abstract": "Abstract (English)",
         "claims": "Claims (English)", "ipc": "IPC", "cpc": "CPC", "date": "Publication Date"},
    ),
    Export(
        "PatSnap, in Chinese",
        ("公开(公告)号", "申请号", "标题", "摘要", "权利要求", "IPC分类号", "CPC分类号",
         "公开(公告)日"),
        {"id": "公开(公告)号", "title": "标题", "abstract": "摘要", "claims": "权利要求",
         "ipc": "IPC分类号", "cpc": "CPC分类号", "date": "公开(公告)日"},
    ),
    Export(
        "WIPS",
        ("Country Code", "Document Type", "Publication No.", "Application No.", "Title",
         "Abstract", "Representative Claim", "Original IPC All", "Original CPC All",
         "Publication Date"),
        {"id": "Publication No.", "title": "Title", "abstract": "Abstract",
         "claims": "Representative Claim", "ipc": "Original IPC All", "cpc": "Original CPC All",
         "date": "Publication Date"},
    ),
    Export(
        "WIPS, in Korean",
        ("국가코드", "출원번호", "공개번호", "등록번호", "발명의 명칭", "요약", "대표청구항",
         "Original IPC All", "Original CPC All", "공개일"),
        {"id": "공개번호", "title": "발명의 명칭", "abstract": "요약", "claims": "대표청구항",
         "ipc": "Original IPC All", "cpc": "Original CPC All", "date": "공개일"},
    ),
    Export(
        "Derwent Innovation",
        ("Publication Number", "Title", "Title - DWPI", "Abstract", "Abstract - DWPI", "Claims",
         "IPC - Current", "CPC - Current", "Publication Date"),
        {"id": "Publication Number", "title": "Title", "abstract": "Abstract", "claims": "Claims",
         "ipc": "IPC - Current", "cpc": "CPC - Current", "date": "Publication Date"},
    ),
    Export(
        "Derwent Innovations Index",
        ("PT", "PN", "TI", "AU", "AE", "GA", "AB", "DC", "MC", "IP", "PD", "AD", "PI", "CP"),
        {"id": "PN", "title": "TI", "abstract": "AB", "ipc": "IP"},
    ),
    Export(
        "WIPS, current classes",
        ("Publication No.", "Title", "Abstract", "Current IPC Main", "Current IPC All",
         "Current CPC Main", "Current CPC All", "Publication Date"),
        {"id": "Publication No.", "title": "Title", "abstract": "Abstract",
         "main_code": "Current CPC Main", "cpc": "Current CPC All", "ipc": "Current IPC All",
         "date": "Publication Date"},
    ),
    Export(
        "Orbit Intelligence",
        ("Publication numbers", "Title", "Abstract", "IPC - International classification",
         "CPC - Cooperative classification"),
        {"id": "Publication numbers", "title": "Title", "abstract": "Abstract",
         "cpc": "CPC - Cooperative classification",
         "ipc": "IPC - International classification"},
    ),
    Export(
        "AcclaimIP",
        ("Patent Number", "Title", "Abstract", "CPC Classes", "IPC Classes", "Assignee"),
        {"id": "Patent Number", "title": "Title", "abstract": "Abstract", "cpc": "CPC Classes",
         "ipc": "IPC Classes"},
    ),
    Export(
        "PATSTAT",
        ("appln_id", "publn_nr", "appln_title", "appln_abstract", "cpc_class_symbol",
         "ipc_class_symbol", "publn_date"),
        {"id": "publn_nr", "title": "appln_title", "abstract": "appln_abstract",
         "cpc": "cpc_class_symbol", "ipc": "ipc_class_symbol", "date": "publn_date"},
    ),
    Export(
        "Open Data Portal, applications",
        ("applicationNumberText", "inventionTitle", "cpcClassificationBag"),
        {"id": "applicationNumberText", "title": "inventionTitle",
         "cpc": "cpcClassificationBag"},
    ),
    Export(
        "PatentsView, claims and classes",
        ("patent_id", "claim_text", "cpc_at_issue"),
        {"id": "patent_id", "claims": "claim_text", "cpc": "cpc_at_issue"},
    ),
    Export(
        "USPTO Patent Public Search",
        ("Document ID", "Date Published", "Family ID", "Pages", "Title", "CPCI", "Inventor"),
        {"id": "Document ID", "title": "Title", "cpc": "CPCI", "date": "Date Published",
         "family": "Family ID"},
    ),
    Export(
        "KIPRIS",
        ("출원번호", "출원일자", "등록번호", "IPC분류", "CPC분류", "발명의명칭(국문)", "요약"),
        {"id": "등록번호", "title": "발명의명칭(국문)", "abstract": "요약", "cpc": "CPC분류",
         "ipc": "IPC분류"},
    ),
    Export(
        "DEPATISnet, in German",
        ("Veröffentlichungsnummer", "Veröffentlichungsdatum", "IPC-Hauptklasse",
         "Bezeichnung der Erfindung", "Kurzfassung"),
        {"id": "Veröffentlichungsnummer", "title": "Bezeichnung der Erfindung",
         "abstract": "Kurzfassung", "main_code": "IPC-Hauptklasse",
         "date": "Veröffentlichungsdatum"},
    ),
    Export(
        "Espacenet, in Italian",
        ("Titolo", "Inventori", "Richiedenti", "Numero di pubblicazione", "IPC", "CPC",
         "Data di pubblicazione", "Riassunto"),
        {"id": "Numero di pubblicazione", "title": "Titolo", "abstract": "Riassunto",
         "cpc": "CPC", "ipc": "IPC", "date": "Data di pubblicazione"},
    ),
    Export(
        "INPI of Brazil, in Portuguese",
        ("Número do Pedido", "Título", "Resumo", "Reivindicações", "IPC"),
        {"id": "Número do Pedido", "title": "Título", "abstract": "Resumo",
         "claims": "Reivindicações", "ipc": "IPC"},
    ),
    Export(
        "Rospatent, in Russian",
        ("Номер публикации", "Дата публикации", "Название изобретения", "Реферат",
         "Формула изобретения", "МПК", "СПК"),
        {"id": "Номер публикации", "title": "Название изобретения", "abstract": "Реферат",
         "claims": "Формула изобретения", "cpc": "СПК", "ipc": "МПК",
         "date": "Дата публикации"},
    ),
    Export(
        "TIPO of Taiwan, in Chinese",
        ("公開公告號", "公告號", "公告日", "專利名稱", "摘要", "申請專利範圍", "IPC分類號"),
        {"id": "公告號", "title": "專利名稱", "abstract": "摘要", "claims": "申請專利範圍",
         "ipc": "IPC分類號", "date": "公告日"},
    ),
)  # fmt: skip

_ALL = ("title", "abstract", "claims", "description", "codes")
PUBLICATIONS = (
    Publication("USPTO grant, red book XML 4.x", office.grant(), _ALL, "uspto-grant-v45-B2.xml"),
    Publication(
        "USPTO application, red book XML 4.x", office.grant(kind="A1"), _ALL,
        "uspto-application-v44-A1.xml",
    ),
    Publication("USPTO application, PAP XML 1.x", office.APPLICATION, _ALL),
    Publication("USPTO grant, SGML of 2001", office.SGML, _ALL, "uspto-sgml2001-US06336130.xml"),
    Publication(
        "USPTO grant, Green Book (APS)", office.GREENBOOK, _ALL, "uspto-greenbook-US04347903.txt"
    ),
    Publication(
        "USPTO Open Data Portal, JSON", office.ODP, ("title", "codes"), "uspto-odp-get_patent.json"
    ),
    Publication(
        "EPO full text", office.EP, ("title", "claims", "description", "codes"),
        "ep-fulltext-v15-A1.xml",
    ),
    Publication(
        "EPO DOCDB", office.DOCDB, ("title", "abstract", "codes"), "docdb-WO-2022259205-A1.xml"
    ),
    Publication("EPO OPS, biblio", office.OPS_BIBLIO, ("title", "abstract", "codes"),
                "ops-biblio.xml"),
    Publication("EPO OPS, claims", office.OPS_CLAIMS, ("claims",), "ops-claims.xml"),
    Publication("WIPO ST.36", office.ST36, _ALL),
    Publication("WIPO ST.96", office.ST96, ("title", "abstract", "claims", "codes")),
    Publication("MAREC", office.MAREC, ("title", "abstract", "claims", "codes"),
                "marec-EP-1000000-A1.xml"),
    Publication("CNIPA XML", office.CNIPA, ("title", "abstract", "claims", "codes"),
                "cn-st36-200880114428A.xml"),
    Publication("CNIPA XML, after ST.96", office.CNIPA_ST96,
                ("title", "abstract", "claims", "codes")),
)  # fmt: skip
