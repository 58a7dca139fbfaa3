"""The nine CPC sections with their names, and how other spellings of the names map to them."""

SECTIONS = {
    "A": "Human Necessities",
    "B": "Performing Operations; Transporting",
    "C": "Chemistry; Metallurgy",
    "D": "Textiles; Paper",
    "E": "Fixed Constructions",
    "F": "Mechanical Engineering; Lighting; Heating; Weapons; Blasting",
    "G": "Physics",
    "H": "Electricity",
    "Y": "General Tagging of New Technological Developments",
}

# The first word tells the sections apart in every spelling met so far, "Lightning" for
# "Lighting" in ccdv/patent-classification included.
_BY_FIRST_WORD = {name.split()[0].strip(";").lower(): code for code, name in SECTIONS.items()}


def section_of(name: str) -> str | None:
    """The section letter that ``name`` stands for: its letter, or its title in any spelling."""
    words = name.strip().split()
    if not words:
        return None
    if name.strip().upper() in SECTIONS:
        return name.strip().upper()
    first = words[0].strip(";,:.").lower()
    return _BY_FIRST_WORD.get(first) if len(words) > 1 or len(first) > 6 else None
