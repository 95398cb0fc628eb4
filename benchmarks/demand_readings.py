"""How many demands of requests are read right, misread and missed.

    .venv/bin/python -P benchmarks/demand_readings.py FILE...                      against readings
    .venv/bin/python -P benchmarks/demand_readings.py --requests FILE...           all that is read

Each line of a FILE of readings is `request ||| reading`; `#` begins a comment. A reading holds
demands parted by `;`: a unit and `800-1000`, `<=500`, `>=300`, `~800` or `=50`, behind a part and a
colon where it is one of a part (`each sentence: word <=25`). Without a unit, words, characters or
lines are meant.
What stands in brackets may be read or not, `/` parts two readings that are both right, `none` is no
demand, and `?` means that any reading will do. A file whose comments say "parts: yes" names all
demands on parts; in others those count neither way.

Three counts: a line is misread where something else is read than is right (a wrong demand, or none
on the right part), missed where something that is asked for is not read, else right.

With `--requests` each request of JSON files is printed with its hard demands.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.agents.checks import Check
from quillgraph.agents.requests import find_constraints, segment, writing_task

UNITS = {
    "word": ("word_count", "char_count zi"),
    "char": ("char_count character", "char_count zi"),
    "par": ("paragraph_count",),
    "sent": ("sentence_count",),
    "line": ("line_count", "classical_verse"),
    "stanza": ("stanza_count",),
    "section": ("section_count",),
    "list": ("list_count",),
}
NAMES = {"摘要": "abstract", "副标题": "subtitle", "subject line": "subject"}
"""Parts by other names than a file of readings has."""
NUMBER = r"\d[\d,]*"
DEMAND = re.compile(
    rf"(?:(?P<part>[a-z][\w \-]*):\s*)?(?:(?P<unit>{'|'.join(UNITS)})[a-z]*\b\s*)?"
    rf"(?P<sign><=|>=|~|=)?\s*(?P<low>{NUMBER})(?:\s*-\s*(?P<high>{NUMBER}))?(?:\s+(?P<after>par|lines))?"
)


@dataclass(frozen=True)
class Reading:
    """One demand that is right, or that was read."""

    part: str
    kinds: tuple[str, ...]
    low: int | None
    high: int | None
    is_about: bool = False

    def agrees(self, other: "Reading") -> bool:
        """Whether another one says the same; "about" leaves room for how much."""
        if self.part != other.part or not set(self.kinds) & set(other.kinds):
            return False
        if self.is_about:
            number = self.low or 0
            low, high = other.low or 0, other.high or 10**9
            return 0.79 * number <= low <= number <= high <= 1.21 * number
        return (self.low, self.high) == (other.low, other.high)


@dataclass(frozen=True)
class Line:
    """A request with what is right to read from it."""

    request: str
    choices: tuple[tuple[Reading, ...], ...]
    """Each is a right reading."""
    optional: tuple[Reading, ...]
    is_open: bool
    with_parts: bool

    @property
    def language(self) -> str:
        """By its characters."""
        return "zh" if re.search("[一-龥]", self.request) else "en"

    def verdict(self, found: Iterable[Reading]) -> str:
        """Name what a set of readings is."""
        seen = [each for each in found if self.with_parts or not each.part]
        if self.is_open:
            return "right"
        verdicts = {self._against(choice, seen) for choice in self.choices}
        return next(each for each in ("right", "missed", "misread") if each in verdicts)

    def _against(self, choice: tuple[Reading, ...], seen: list[Reading]) -> str:
        allowed = (*choice, *self.optional)
        if not all(any(gold.agrees(each) for gold in allowed) for each in seen):
            return "misread"
        if not all(any(gold.agrees(each) for each in seen) for gold in choice):
            return "missed"
        return "right"


def lines_of(path: Path) -> Iterator[Line]:
    """Read a file of readings."""
    text = path.read_text(encoding="utf-8")
    with_parts = bool(re.search("^#.*parts: yes", text, re.MULTILINE))
    for line in text.splitlines():
        if line.startswith("#") or "|||" not in line:
            continue
        request, _, gold = line.partition("|||")
        bare = re.sub(r"\([^()]*\)", "", gold)
        brackets = ";".join(re.findall(r"\(([^()]*)\)", gold))
        yield Line(
            request=request.strip(),
            choices=tuple(tuple(_demands(choice)) for choice in bare.split("/")),
            optional=tuple(_demands(brackets)),
            is_open="?" in gold or not gold.strip(),
            with_parts=with_parts,
        )


def _demands(gold: str) -> Iterator[Reading]:
    for piece in re.split(r"[;/]|,\s", gold):
        match = DEMAND.search(piece)
        if match and "soft" not in piece:
            yield _demand(match)


def _demand(match: re.Match[str]) -> Reading:
    after = {"par": "par", "lines": "line"}.get(match["after"] or "")
    unit = match["unit"] or after
    kinds = UNITS[unit] if unit else (*UNITS["word"], *UNITS["char"], *UNITS["line"])
    low = int(match["low"].replace(",", ""))
    high = int((match["high"] or match["low"]).replace(",", ""))
    part = match["part"] or ""
    if match["sign"] == "~":
        return Reading(part, kinds, low, high, is_about=True)
    least, most = {"<=": (None, low), ">=": (low, None)}.get(match["sign"], (low, high))
    return Reading(part, kinds, least, most)


def readings_of(request: str) -> list[Reading]:
    """Read the counts that code finds in a request."""
    return [reading for check in checks_of(request) if (reading := _reading(check))]


def checks_of(request: str) -> list[Check]:
    """Read all that code finds in a request."""
    task = writing_task(request)
    return [each.check for each in find_constraints(segment(task), task.language)]


def _reading(check: Check) -> Reading | None:
    if check.type == "classical_verse":
        lines = getattr(check, "lines", None)
        return Reading("", ("classical_verse",), lines, lines)
    if not check.type.endswith("_count"):
        return None
    kind = " ".join(filter(None, (check.type, getattr(check, "unit", ""))))
    scope = getattr(check, "scope", None)
    part = str(scope or "")
    return Reading(
        NAMES.get(part, part), (kind,), getattr(check, "min", None), getattr(check, "max", None)
    )


def requests_in(path: Path) -> Iterator[tuple[str, str]]:
    """Read the requests of a JSON file or of JSON lines, each with an id."""
    text = path.read_text(encoding="utf-8")
    records = [json.loads(row) for row in text.splitlines()] if path.suffix == ".jsonl" else None
    for number, record in enumerate(records or _records(json.loads(text))):
        request = next(
            (record[key] for key in ("query", "prompt", "instruction", "input", "request")
             if isinstance(record.get(key), str)), None,
        )  # fmt: skip
        if request and request.strip():
            yield str(record.get("index", record.get("id", record.get("uid", number)))), request


def _records(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        return lists[0] if lists else list(data.values())
    return list(data)


def print_table(paths: Iterable[Path]) -> None:
    """Print the counts of each file and language, and each line that is not right."""
    for path in paths:
        counts: dict[str, Counter[str]] = {"en": Counter(), "zh": Counter()}
        for line in lines_of(path):
            found = readings_of(line.request)
            verdict = line.verdict(found)
            counts[line.language][verdict] += 1
            if verdict != "right":
                print(f"{verdict:8}{line.request}\n        {[*map(_shown, found)]}")
        for language, few in counts.items():
            total = few.total() or 1
            shares = ", ".join(
                f"{few[each]} {each} ({few[each] / total:.1%})"
                for each in ("right", "misread", "missed")
            )
            print(f"{path.name} {language}: {few.total()} lines: {shares}")


def _shown(reading: Reading) -> str:
    return f"{reading.part or 'whole'}: {reading.kinds[0]} {reading.low}..{reading.high}"


def print_requests(paths: Iterable[Path]) -> None:
    """Print what is read of each request, one line a request that has a hard demand."""
    for path in paths:
        for identifier, request in requests_in(path):
            task = writing_task(request)
            for each in find_constraints(segment(task), task.language):
                scope = getattr(each.check, "scope", None)
                print(f"{path.stem} {identifier}\t{each.name}\t[{scope or ''}]\t{each.quote!r}")


def main() -> None:
    """Run as the docstring says."""
    parser = argparse.ArgumentParser(description="Count what is read right of demands.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--requests", action="store_true", help="print what is read of requests")
    arguments = parser.parse_args()
    (print_requests if arguments.requests else print_table)(arguments.files)


if __name__ == "__main__":
    main()
