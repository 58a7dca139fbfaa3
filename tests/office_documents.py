"""Patent documents in the formats of offices, written for tests."""

ABSTRACT = "A pump has a rotor and a seal of rubber."
CLAIM = "1. A pump with a rotor."

_CPC = (
    "<classification-cpc><cpc-version-indicator><date>20130101</date></cpc-version-indicator>"
    "<section>{0[0]}</section><class>{0[1]}{0[2]}</class><subclass>{0[3]}</subclass>"
    "<main-group>{1}</main-group><subgroup>{2}</subgroup><symbol-position>{3}</symbol-position>"
    "<classification-value>{4}</classification-value>"
    "<action-date><date>20240102</date></action-date></classification-cpc>"
)


def grant(number: str = "11000001", kind: str = "B2", title: str = "Pump", more: str = "") -> str:
    """A grant of the USPTO in red book XML, with a cited patent that has a code of its own."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE us-patent-grant SYSTEM "us-patent-grant-v47-2022-02-17.dtd" [ ]>
<us-patent-grant lang="EN" country="US" date-publ="20240102">
<us-bibliographic-data-grant>
<publication-reference><document-id><country>US</country><doc-number>{number}</doc-number>
<kind>{kind}</kind><date>20240102</date></document-id></publication-reference>
<application-reference appl-type="utility"><document-id><country>US</country>
<doc-number>17000001</doc-number><date>20210930</date></document-id></application-reference>
<classifications-cpc><main-cpc>{_CPC.format("F04D", "29", "10", "F", "I")}</main-cpc>
<further-cpc>{_CPC.format("Y02E", "10", "72", "L", "A")}</further-cpc></classifications-cpc>
<invention-title id="d0e1">{title}</invention-title>
<us-references-cited><us-citation><patcit><document-id><country>US</country>
<doc-number>9999999</doc-number><kind>A</kind></document-id></patcit>
<classification-cpc-text>A61K 8/00</classification-cpc-text></us-citation></us-references-cited>
</us-bibliographic-data-grant>
<abstract id="abstract"><p>A pump has a rotor<?delete?> and a seal of <b>rubber</b>.</p></abstract>
<description><heading>FIELD</heading><p>Pumps for CO<sub>2</sub> &amp; water.</p>{more}
</description><us-claim-statement>What is claimed is:</us-claim-statement>
<claims><claim id="1"><claim-text>1. A pump with<claim-text>a rotor.</claim-text></claim-text>
</claim><claim id="2"><claim-text>2. The pump of <claim-ref>claim 1</claim-ref>, sealed.
</claim-text></claim></claims></us-patent-grant>
"""


APPLICATION = """<?xml version="1.0"?>
<patent-application-publication><subdoc-bibliographic-information>
<document-id><doc-number>20010000001</doc-number><kind-code>A1</kind-code>
<document-date>20010315</document-date></document-id>
<domestic-filing-data><application-number><doc-number>09754684</doc-number></application-number>
<filing-date>20010103</filing-date></domestic-filing-data>
<technical-information><classification-ipc><classification-ipc-primary><ipc>F04D029/10</ipc>
</classification-ipc-primary><classification-ipc-secondary><ipc>F16J015/00</ipc>
</classification-ipc-secondary></classification-ipc>
<title-of-invention>Pump</title-of-invention></technical-information>
</subdoc-bibliographic-information>
<subdoc-abstract><paragraph>A pump has a rotor and a seal of rubber.</paragraph></subdoc-abstract>
<subdoc-description><section><heading>FIELD</heading><paragraph>Pumps.</paragraph></section>
</subdoc-description><subdoc-claims><claim id="1"><claim-text>1. A pump with a rotor.</claim-text>
</claim></subdoc-claims></patent-application-publication>
"""

SGML = """<!DOCTYPE PATDOC SYSTEM "ST32-US-Grant-024.dtd" [
<!ENTITY US06000001-D00000.TIF SYSTEM "US06000001-D00000.TIF" NDATA TIF>
]>
<PATDOC DTD="2.4" STATUS="Build 20001214"><SDOBI>
<B100><B110><DNUM><PDAT>06000001</PDAT></DNUM></B110><B130><PDAT>B1</PDAT></B130>
<B140><DATE><PDAT>20010102</PDAT></DATE></B140><B190><PDAT>US</PDAT></B190></B100>
<B200><B220><DATE><PDAT>19991005</PDAT></DATE></B220></B200>
<B500><B510><B511><PDAT>F04D 2910</PDAT></B511><B512><PDAT>F16J 1500</PDAT></B512>
<B516><PDAT>7</PDAT></B516></B510><B540><STEXT><PDAT>Pump</PDAT></STEXT></B540>
<B560><B561><PCIT><DOC><DNUM><PDAT>5000000</PDAT></DNUM></DOC></PCIT><CITED-BY-EXAMINER></B561></B560>
<B590><B597US></B590></B500></SDOBI>
<SDOAB><BTEXT><PARA><PTEXT><PDAT>A pump has a rotor and a seal of rubber.</PDAT></PTEXT></PARA></BTEXT></SDOAB>
<SDODE><DETDESC><BTEXT><PARA><PTEXT><PDAT>A &ldquo;pump&rdquo; at 20&deg; </PDAT><HIL><BOLD><PDAT>C</PDAT></BOLD></HIL></PTEXT></PARA></BTEXT></DETDESC></SDODE>
<SDOCL><CL><CLM ID="1"><PARA><PTEXT><PDAT>1. A pump with a rotor.</PDAT></PTEXT></PARA></CLM></CL></SDOCL>
</PATDOC>
"""

EP = """<?xml version="1.0" encoding="UTF-8"?>
<ep-patent-document id="EP1" lang="de" country="EP" doc-number="3000001" kind="B1" date-publ="20210224" status="n">
<SDOBI lang="de"><B000><eptags><B001EP>ATBE</B001EP></eptags></B000>
<B100><B110>3000001</B110><B130>B1</B130><B140><date>20210224</date></B140><B190>EP</B190></B100>
<B200><B210>18877305.5</B210><B220><date>20181029</date></B220></B200>
<B300><B310>1</B310><B320><date>20170101</date></B320></B300>
<B500><B510EP><classification-ipcr sequence="1"><text>F04D  29/10        20060101AFI20191025BHEP        </text></classification-ipcr></B510EP>
<B540><B541>de</B541><B542>Pumpe</B542><B541>en</B541><B542>Pump</B542></B540></B500>
<B700><B721><snm>NAME</snm></B721></B700></SDOBI>
<description lang="de"><p>Eine Pumpe.</p></description>
<claims lang="de"><claim><claim-text>Pumpe mit Rotor.</claim-text></claim></claims>
<claims lang="en"><claim><claim-text>1. A pump with a rotor.</claim-text></claim></claims>
</ep-patent-document>
"""

_DOCDB_CODES = """<exch:patent-classifications>
<patent-classification><classification-scheme office="EP" scheme="CPCI"><date>20130101</date></classification-scheme>
<classification-symbol>F04D  29/10      </classification-symbol><symbol-position>F</symbol-position><classification-value>I</classification-value></patent-classification>
<patent-classification><classification-scheme office="EP" scheme="CPCA"/><section>F</section><class>16</class><subclass>J</subclass><main-group>15</main-group><subgroup>00</subgroup></patent-classification>
<patent-classification><classification-scheme office="JP" scheme="FTERM"/><classification-symbol>3H130</classification-symbol></patent-classification>
</exch:patent-classifications>"""


def docdb(number: str = "2022000001", status: str = "C") -> str:
    """One document of DOCDB, whose prefix is declared by an element around it."""
    return f"""<exch:exchange-document country="WO" doc-number="{number}" kind="A1" status="{status}" date-publ="20221215">
<exch:bibliographic-data><exch:publication-reference data-format="docdb"><document-id><country>WO</country><doc-number>{number}</doc-number><kind>A1</kind><date>20221215</date></document-id></exch:publication-reference>
<exch:publication-reference data-format="epodoc"><document-id><doc-number>WO{number}</doc-number></document-id></exch:publication-reference>
{_DOCDB_CODES}
<exch:application-reference><document-id><country>IB</country><doc-number>1</doc-number><date>20220609</date></document-id></exch:application-reference>
<exch:invention-title lang="fr">Pompe</exch:invention-title><exch:invention-title lang="en">Pump</exch:invention-title>
<exch:references-cited><exch:citation><patcit><document-id><country>US</country><doc-number>5</doc-number></document-id></patcit></exch:citation></exch:references-cited>
</exch:bibliographic-data>
<exch:abstract lang="fr"><exch:p>Une pompe.</exch:p></exch:abstract>
<exch:abstract lang="en"><exch:p>A pump has a rotor and a seal of rubber.</exch:p></exch:abstract>
</exch:exchange-document>"""


def docdb_file(*documents: str) -> str:
    """A file of DOCDB."""
    inside = "\n".join(documents)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<exch:exchange-documents '
        f'xmlns:exch="http://www.epo.org/exchange">\n{inside}\n</exch:exchange-documents>\n'
    )


DOCDB = docdb_file(docdb())

OPS_BIBLIO = docdb_file(docdb()).replace("exch:", "").replace("xmlns:exch=", "xmlns=")

OPS_CLAIMS = """<?xml version="1.0" encoding="UTF-8"?>
<ops:world-patent-data xmlns="http://www.epo.org/exchange" xmlns:ops="http://ops.epo.org">
<ftxt:fulltext-documents xmlns="http://www.epo.org/fulltext" xmlns:ftxt="http://www.epo.org/fulltext">
<ftxt:fulltext-document system="ops.epo.org"><bibliographic-data><publication-reference data-format="docdb">
<document-id><country>EP</country><doc-number>3000001</doc-number><kind>A1</kind></document-id>
</publication-reference></bibliographic-data><claims lang="EN"><claim><claim-text>1. A pump with a rotor.</claim-text>
<claim-text>2. The pump of claim 1.</claim-text></claim></claims></ftxt:fulltext-document></ftxt:fulltext-documents>
</ops:world-patent-data>"""

MAREC = """<?xml version="1.0" encoding="UTF-8"?>
<patent-document ucid="EP-0900001-A1" country="EP" doc-number="0900001" kind="A1" lang="EN" status="new" date="20000517">
<bibliographic-data><publication-reference ucid="EP-0900001-A1"><document-id format="original"><country>EP</country>
<doc-number>0900001</doc-number><kind>A1</kind><date>20000517</date></document-id></publication-reference>
<technical-data><classifications-ipcr>
<classification-ipcr>F04D  29/10        20060101A I20051008RMEP        </classification-ipcr></classifications-ipcr>
<classification-ecla><classification-symbol scheme="EC">F16J  15/00B</classification-symbol></classification-ecla>
<invention-title lang="DE">Pumpe</invention-title><invention-title lang="EN">Pump</invention-title></technical-data>
</bibliographic-data><abstract lang="EN"><p>A pump has a rotor and a seal of rubber.</p></abstract>
<claims lang="EN"><claim num="1"><claim-text>1. A pump with a rotor.</claim-text></claim></claims></patent-document>
"""

CNIPA = """<?xml version="1.0" encoding="UTF-8"?>
<cn-patent-document lang="ZH" country="CN"><cn-bibliographic-data><cn-publication-reference><document-id>
<country>CN</country><doc-number>103000001</doc-number><kind>A</kind><date>20140101</date></document-id>
</cn-publication-reference><classifications-ipcr><classification-ipcr><text>F04D   29/10    (2006.01)</text>
</classification-ipcr></classifications-ipcr><invention-title>泵</invention-title>
<abstract><p>一种泵，具有转子。</p></abstract></cn-bibliographic-data>
<application-body><claims><claim><claim-text>1.一种泵。</claim-text></claim></claims></application-body>
</cn-patent-document>
"""

# What CNIPA made of WIPO ST.96: names in capitals, each with a namespace.
CNIPA_ST96 = """<?xml version="1.0" encoding="UTF-8"?>
<business:PatentDocumentAndRelated xmlns:base="http://example.org/base" xmlns:business="http://example.org/business"
 lang="zh" country="CN" docNumber="104000001" kind="A" datePublication="20170412">
<business:BibliographicData><business:PublicationReference><base:DocumentID><base:WIPOST3Code>CN</base:WIPOST3Code>
<base:DocNumber>104000001</base:DocNumber><base:Kind>A</base:Kind><base:Date>20170412</base:Date></base:DocumentID>
</business:PublicationReference><business:ClassificationIPCRDetails><business:ClassificationIPCR>
<base:Text>F04D  29/10(2006.01)I</base:Text></business:ClassificationIPCR></business:ClassificationIPCRDetails>
<business:InventionTitle lang="zh">泵</business:InventionTitle></business:BibliographicData>
<business:Abstract><base:Paragraphs>一种泵，具有转子。</base:Paragraphs></business:Abstract>
<business:Claims><business:Claim><business:ClaimText>1.一种泵。</business:ClaimText></business:Claim></business:Claims>
</business:PatentDocumentAndRelated>
"""

ST96 = """<?xml version="1.0" encoding="UTF-8"?>
<pat:PatentPublication xmlns:com="http://www.wipo.int/standards/XMLSchema/ST96/Common"
 xmlns:pat="http://www.wipo.int/standards/XMLSchema/ST96/Patent" com:languageCode="en"><pat:BibliographicData>
<pat:PatentPublicationIdentification><com:IPOfficeCode>WO</com:IPOfficeCode><pat:PublicationNumber>2022000003</pat:PublicationNumber>
<com:PatentDocumentKindCode>A1</com:PatentDocumentKindCode><com:PublicationDate>2022-12-15</com:PublicationDate></pat:PatentPublicationIdentification>
<pat:ApplicationIdentification><pat:FilingDate>2021-01-05</pat:FilingDate></pat:ApplicationIdentification>
<pat:PatentClassificationBag><pat:CPCClassificationBag><pat:MainCPC><pat:CPCClassification>
<pat:ClassificationVersionDate>2013-01-01</pat:ClassificationVersionDate><pat:CPCSection>F</pat:CPCSection><pat:Class>04</pat:Class>
<pat:Subclass>D</pat:Subclass><pat:MainGroup>29</pat:MainGroup><pat:Subgroup>10</pat:Subgroup>
<pat:SymbolPositionCode>F</pat:SymbolPositionCode><pat:CPCClassificationValueCode>I</pat:CPCClassificationValueCode>
</pat:CPCClassification></pat:MainCPC></pat:CPCClassificationBag></pat:PatentClassificationBag>
<pat:InventionTitle com:languageCode="en">Pump</pat:InventionTitle></pat:BibliographicData>
<pat:Abstract com:languageCode="en"><com:P>A pump has a rotor and a seal of rubber.</com:P></pat:Abstract>
<pat:Claims><pat:Claim><pat:ClaimText>1. A pump with a rotor.</pat:ClaimText></pat:Claim></pat:Claims></pat:PatentPublication>
"""

ST36 = """<?xml version="1.0" encoding="UTF-8"?>
<wo-published-application lang="en" country="WO" doc-number="2022000004" kind="A1"><wo-bibliographic-data>
<publication-reference><document-id lang="en"><country>WO</country><doc-number>2022000004</doc-number><kind>A1</kind>
<date>20221215</date></document-id></publication-reference><classifications-ipcr><classification-ipcr>
<text>F04D  29/10        20060101AFI20221215BHEP        </text></classification-ipcr></classifications-ipcr>
<invention-title lang="en">Pump</invention-title></wo-bibliographic-data>
<abstract lang="en"><p>A pump has a rotor and a seal of rubber.</p></abstract><description lang="en"><p>Pumps.</p></description>
<claims lang="en"><claim><claim-text>1. A pump with a rotor.</claim-text></claim></claims></wo-published-application>
"""

GREENBOOK = """PATN
WKU  040000018
SRC  6
APT  1
APD  19800310
TTL  Pump
ISD  19820907
INVT
NAM  Name; Some
CLAS
OCL  415 25
ICL  F04D 2910
ICL  G06F  728
UREF
PNO  4102421
ABST
PAR  A pump has a rotor
      and a seal of rubber.
BSUM
PAC  FIELD
PAR  Pumps.
CLMS
STM  What is claimed is:
NUM  1.
PAR  1. A pump with
PA1  a rotor.
NUM  2.
PAR  2. The pump of claim 1.
"""

ODP = """{"count": 1, "patentFileWrapperDataBag": [{"applicationNumberText": "17000001",
"applicationMetaData": {"applicationTypeCode": "UTL", "filingDate": "2021-01-05", "patentNumber": "11000001",
"grantDate": "2024-01-02", "inventionTitle": "Pump", "cpcClassificationBag": ["F04D  29/10", "F16J  15/00"]}}]}
"""
