"""``patclass compare``."""

from pathlib import Path
from typing import Any

import click

from patclass.cli.options import device_option, settings_options, split_option


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--level", help="Level to compare at.  [default: the coarsest]")
@split_option
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write the figures.")
@settings_options("data", "labels", "code_column", "test_rows")
@device_option
def compare(
    a: str,
    b: str,
    level: str | None,
    split: str,
    target: Path | None,
    device: str,
    **flags: Any,
) -> int:
    """Test two bundles on the same rows and say which is better, or that it cannot tell.

    Paired bootstrap and McNemar's exact test. A and B are folders, or 'shipped'; both must know
    the level. Rows whose label either model does not know count as wrong for it. The data is that
    of A's training unless --data names other.

    \b
        patclass compare old_model final_model --data patents/ --level section
    """
    from patclass.bundle import read_bundle
    from patclass.config import data_like
    from patclass.data.corpus import load_corpus
    from patclass.errors import DataError
    from patclass.evaluation.compare import compare as paired
    from patclass.evaluation.scored import labelled_answers, score_rows
    from patclass.files import whole_file, write_json
    from patclass.inference.answer import check_level
    from patclass.inference.locate import locate

    bundles = [read_bundle(locate(name)) for name in (a, b)]
    level = level or bundles[0].tree.levels[0]
    for bundle in bundles:
        check_level(bundle.tree, level)
    # Each model reads the same patents in its own way: other levels, another view of the text.
    flags["data"] = flags["data"] or bundles[0].description.settings.data.data
    found = []
    for bundle in bundles:
        stored = bundle.description.data_settings()
        rows = load_corpus(data_like(stored, flags), bundle.tree)[split]
        scored = score_rows(bundle.load_pipeline(device), rows, bundle.folder.name)
        found.append(labelled_answers(scored, level))
    either = {key: found[0][key][0] or found[1][key][0] for key in found[0] if key in found[1]}
    truth = {key: code for key, code in either.items() if code is not None}
    if not truth:
        raise DataError(f"the two models share no row whose {level} is known; give other --data.")
    answered = [[of_one[key][1] for key in truth] for of_one in found]
    codes = sorted({*truth.values(), *answered[0], *answered[1]})
    true, first, second = (
        [codes.index(code) for code in column] for column in (truth.values(), *answered)
    )
    result = paired(true, first, second, level=level, names=(a, b))
    click.echo(result.text())
    if target is not None:
        with whole_file(target) as aside:
            write_json(aside, result.model_dump(mode="json"))
    return 0
