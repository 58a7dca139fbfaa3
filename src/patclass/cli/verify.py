"""``patclass verify``."""

import click

from patclass.cli.options import bundle_argument, device_option


@click.command()
@bundle_argument
@device_option
def verify(bundle: str | None, device: str) -> int:
    """Prove that BUNDLE (a folder, or 'shipped') is whole and answers as it did when it was saved.

    Checks every file's hash, the base's hash, the labels, and the logits of the golden texts.
    """
    from patclass.bundle import read_bundle
    from patclass.inference.locate import locate

    opened = read_bundle(locate(bundle))
    difference = opened.verify(device)
    click.echo(
        f"{opened.folder}: whole; {len(opened.golden.texts)} golden texts answered alike "
        f"(largest difference of a logit {difference:.1e}, allowed {opened.golden.tolerance:g})"
    )
    return 0
