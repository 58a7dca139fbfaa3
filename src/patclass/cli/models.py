"""``patclass models``: the versions of a model, and which of them answers."""

from collections.abc import Mapping
from pathlib import Path

import click

from patclass.cli.options import EXIT_REFUSED, data_option, registry_option, store_option


@click.group()
def models() -> None:
    """Keep the versions of a model in a folder; one of them, the champion, answers.

    \b
        patclass models promote final_model      # the first champion
        patclass serve --model models            # follows the champion by itself
        patclass retrain                         # a candidate, from what people have said
        patclass models promote 0002             # if it is not worse anywhere
        patclass models rollback
    """


@models.command("list")
@registry_option
@store_option
def list_models(registry: Path, store: Path | None) -> int:
    """List all versions, what became of them, and what they were made from."""
    from patclass.bundle.registry import Registry
    from patclass.learning.succession import versions as readable
    from patclass.store.database import locate_store
    from patclass.store.models import ModelStore

    versions = Registry(registry)
    champion = versions.champion()
    known = {row.version: row for row in ModelStore(locate_store(store)).all()}
    click.echo(f"{'folder':8}{'version':14}{'state':11}{'made':12}{'parent':14}accuracy")
    for folder, bundle in readable(versions).items():
        if bundle is None:
            click.echo(f"{folder.name:8}damaged; 'patclass verify {folder}' says why")
            continue
        row = known.get(bundle.fingerprint)
        state = "champion" if bundle.folder == champion else "" if row is None else row.state
        parent = "" if bundle.lineage is None else bundle.lineage.parent
        accuracy = "" if bundle.reference is None else _percents(bundle.reference.accuracy)
        click.echo(
            f"{bundle.folder.name:8}{bundle.fingerprint:14}{state:11}"
            f"{bundle.description.created:12}{parent:14}{accuracy}"
        )
    return 0


@models.command()
@click.argument("version")
@registry_option
@store_option
def show(version: str, registry: Path, store: Path | None) -> int:
    """Say all that is known of VERSION: a folder's name, or the first digits of a version."""
    from patclass.bundle.registry import Registry
    from patclass.learning.gate import Decision
    from patclass.learning.succession import find_version
    from patclass.store.database import locate_store
    from patclass.store.models import ModelStore
    from patclass.store.shadows import disagreement

    bundle = find_version(Registry(registry), version)
    database = locate_store(store)
    row = next((r for r in ModelStore(database).all() if r.version == bundle.fingerprint), None)
    click.echo(f"{bundle.folder}  version {bundle.fingerprint}  {row.state if row else 'unknown'}")
    if bundle.lineage is not None:
        told = bundle.lineage
        click.echo(
            f"made from {told.parent} and verdicts {told.feedback_from} to {told.feedback_until}: "
            f"{told.rows['train']:,} texts learnt from, each counting {told.weight:g} times"
        )
    if row is not None and row.decision is not None:
        click.echo(Decision.model_validate(row.decision).text())
    shadow = disagreement(database, bundle.fingerprint)
    if shadow.rows:
        click.echo(shadow.text())
    return 0


@models.command()
@click.argument("version")
@registry_option
@store_option
@data_option
@click.option("--force", metavar="WHY", help="Promote without the gate; WHY is kept on record.")
def promote(
    version: str, registry: Path, store: Path | None, data: str | None, force: str | None
) -> int:
    """Make VERSION the champion, if it passes the gate.

    VERSION is a folder's name in the registry (0002), the first digits of a version, or a bundle
    elsewhere, which is copied in. The first champion has nobody to be compared with. Exit code 1
    if the gate refuses; the page that it writes says why.
    """
    from patclass.bundle.layout import LAYOUT
    from patclass.bundle.registry import Registry
    from patclass.learning.loop import try_candidate
    from patclass.learning.retrain import Asked, finish_planned
    from patclass.learning.succession import acknowledge_champion, crown, find_version, take_in
    from patclass.learning.trial import Rivals
    from patclass.store.database import locate_store

    versions, database = Registry(registry), locate_store(store)
    if versions.exists:
        finish_planned(versions, database)
    elsewhere = Path(version)
    if (elsewhere / LAYOUT.manifest).is_file():
        bundle = take_in(versions, database, elsewhere)
    else:
        bundle = find_version(versions, version)
    champion = acknowledge_champion(versions, database) if versions.exists else None
    if champion is not None and champion.folder == bundle.folder:
        click.echo(f"{bundle.folder} is the champion already")
        return 0
    if champion is None or force:
        crown(versions, database, bundle, force or "the first champion")
    else:
        rivals = Rivals(champion, bundle)
        decision, page = try_candidate(versions, database, rivals, Asked(data=data))
        click.echo(decision.text())
        click.echo(f"the decision: {page}")
        if not decision.passed:
            return EXIT_REFUSED
        crown(versions, database, bundle, f"gate, {page.name}", champion)
    click.echo(f"champion: {bundle.folder} (version {bundle.fingerprint})")
    return 0


@models.command()
@registry_option
@store_option
def rollback(registry: Path, store: Path | None) -> int:
    """Make the champion before this one the champion again."""
    from patclass.bundle.registry import Registry
    from patclass.learning.succession import roll_back
    from patclass.store.database import locate_store

    bundle = roll_back(Registry(registry), locate_store(store))
    click.echo(f"champion: {bundle.folder} (version {bundle.fingerprint})")
    return 0


def _percents(accuracy: Mapping[str, float]) -> str:
    return ", ".join(f"{level} {share:.1%}" for level, share in accuracy.items())
