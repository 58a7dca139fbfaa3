"""The levels of the CPC, and the path of a code through them. Knows no scheme and no titles."""

LEVELS = ("section", "class", "subclass", "main_group", "subgroup")

# How many of the levels a subclass has. It is the finest level that CPC and IPC nearly share.
SUBCLASS_DEPTH = LEVELS.index("subclass") + 1

# Characters of a code at each level down to the subclass: A, A61, A61K. Groups differ in length.
_LENGTHS = (1, 3, 4)

# From this main group on, symbols are indexing codes: they describe, but do not classify.
FIRST_INDEXING_GROUP = 2000


def code_path(code: str) -> tuple[str, ...]:
    """The codes of a code's levels, from the section down to itself, as far as it goes.

    ``A61K31/7036`` gives ``A``, ``A61``, ``A61K``, ``A61K31/00``, ``A61K31/7036``. A main group
    is written with ``/00``, as offices do, and has no subgroup.
    """
    path = tuple(code[:length] for length in _LENGTHS if len(code) >= length)
    if len(code) <= _LENGTHS[-1]:
        return path
    group, _, subgroup = code.partition("/")
    path = (*path, f"{group}/00")
    return path if subgroup in ("", "00") else (*path, code)
