"""A check of another package: the first letters of the lines spell a word."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from quillgraph.agents.checks import Check, Wording

NAMES = {
    "en": "The lines spell “{word}”",
    "zh": "每行首字连成“{word}”",
    "de": "Die Zeilen ergeben „{word}“",
}


class Acrostic(Check):
    """The first letters of the lines, from the top down, spell a word; blank lines do not count."""

    type: Literal["acrostic"] = "acrostic"
    word: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=40)]

    def violation(self, text: str) -> str | None:
        """Compare the initials with the word, whatever the case."""
        initials = initials_of(text)
        if initials == self.word.casefold():
            return None
        return f"expected lines that spell {self.word!r}, got {initials!r}"

    def nearness(self, text: str) -> float:
        """Share of the letters that stand in their place; a line too many or too few is a miss."""
        initials, word = initials_of(text), self.word.casefold()
        hits = sum(one == other for one, other in zip(initials, word, strict=False))
        return hits / max(len(initials), len(word))

    def name_in(self, wording: Wording) -> str:
        """Name the word, in English where the language has no name for the demand."""
        return NAMES.get(wording.code, NAMES["en"]).format(word=self.word)


def initials_of(text: str) -> str:
    """The first letter of each line that has one, in lower case."""
    letters = ([c for c in line if c.isalpha()] for line in text.splitlines())
    return "".join(line[0] for line in letters if line).casefold()
