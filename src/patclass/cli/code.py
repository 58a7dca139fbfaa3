"""``patclass code``."""

import click


@click.command()
@click.argument("code")
def code(code: str) -> int:
    """Say what a CPC CODE means: its section, class and subclass with their titles.

    Any spelling will do; a code that does not exist is an error that names those that do.

    \b
        patclass code "A61K 31/00"
    """
    from patclass.labels.lookup import path_titles

    for depth, (part, title) in enumerate(path_titles(code)):
        click.echo(f"{'  ' * depth}{part}  {title}")
    return 0
