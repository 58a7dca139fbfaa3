"""``patclass verify``."""

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
def verify(bundle: Path) -> int:
    """Prove that a bundle is whole and answers as it did when it was saved.

    Checks every file's hash, the base's hash, the labels, and the logits of the golden texts.
    """
    from patclass.bundle import read_bundle

    opened = read_bundle(bundle)
    difference = opened.verify()
    click.echo(
        f"{bundle}: whole; {len(opened.golden.texts)} golden texts answered alike "
        f"(largest difference of a logit {difference:.1e}, allowed {opened.golden.tolerance:g})"
    )
    return 0
