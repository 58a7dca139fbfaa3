"""``patclass convert``: patent documents of offices as one table."""

from pathlib import Path

import click

from patclass.cli.options import output_option


@click.command()
@click.argument(
    "sources", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@output_option("The table, a Parquet file.")
@click.option(
    "--restart", is_flag=True, help="Begin again instead of going on with an interrupted run."
)
def convert(sources: tuple[Path, ...], output: Path, restart: bool) -> int:
    """Convert patent documents of offices into one Parquet table.

    IN is a file, an archive (.zip, .tar, .gz) or a folder of these: grants and
    applications of the USPTO (Red Book XML, SGML of 2001, Green Book text, answers of the Open Data
    Portal), full texts of the EPO, DOCDB, OPS, WIPO ST.36 and ST.96, MAREC, XML of CNIPA, and PDF
    with a text layer. The format is recognised by content; weekly files are streamed.

    The table has the columns id, kind, title, abstract, claims, first_claim, description, codes
    (with first, inventive, scheme and version), publication_date, application_date and language; no
    names of persons or companies. The id of a PDF without a publication number is the name of its
    file. Documents without a text, design and plant patents and withdrawn
    ones are listed in OUT.rejects.jsonl, with a reason each. An interrupted run goes on when it is
    started again.

    \b
        patclass convert ipg240102.zip -o grants.parquet
        patclass convert downloads/ EP1577413A1.pdf -o patents.parquet
        patclass train --data patents.parquet --labels class -o my_model
    """
    from patclass.core.progress import progress
    from patclass.data.documents.convert import convert as convert_files
    from patclass.data.documents.convert import rejects_path

    with progress("converting", unit="document") as bar:
        result = convert_files(sources, output, restart, bar.update)
    if result.resumed:
        click.echo(f"resumed after {result.resumed:,} documents", err=True)
    for path in result.ignored[:20]:
        click.echo(f"ignored, no patent documents: {path}", err=True)
    if len(result.ignored) > 20:
        click.echo(f"ignored: {len(result.ignored) - 20:,} further files", err=True)
    for reason, count in result.rejects.items():
        click.echo(f"left out: {count:,}, {reason}", err=True)
    left_out = sum(result.rejects.values())
    note = f", {left_out:,} left out ({rejects_path(output)})" if left_out else ""
    click.echo(f"{output}: {result.documents:,} documents{note}")
    return 1 if result.damaged or (left_out and not result.documents) else 0
