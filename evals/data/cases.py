"""Joins requests with people's criteria and with the texts that people have judged."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from quillgraph.agents.domain import Value
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.loader import Loaded
from quillgraph.evals.data.records import Preference, RatedText, Record, RubricRequest


class Case(Value):
    """A request with people's criteria and their judgements of texts for it."""

    request: RubricRequest
    rated: tuple[RatedText, ...] = ()
    pairs: tuple[Preference, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that people have judged, each once, since pairs may share them."""
        paired = (text for pair in self.pairs for text in (pair.left, pair.right))
        return tuple(dict.fromkeys([*(each.text for each in self.rated), *paired]))


class Cases(Value):
    """The usable cases, and the count of what was excluded."""

    cases: tuple[Case, ...]
    excluded: Mapping[str, int]
    """Reason to count of records."""
    formats: tuple[str, ...]
    """Of the files."""
    skipped: tuple[str, ...] = ()
    """Records that could not be read, each with its file, its place and the reason."""
    data: str = ""
    """Names of the files."""


def cases_of(files: Sequence[Loaded], *, limit: int | None = None, seed: int = 0) -> Cases:
    """Join requests with the texts written for them, by the wording of the request.

    A request that only texts name has no human criteria. A text without its request can have no
    criteria of any kind, and is left out.

    Args:
        files: Loaded files, such as one of criteria and one of judged texts.
        limit: Highest number of requests, drawn by the seed; None takes all.
        seed: Of the drawing.

    Raises:
        InputError: If two files share an id, or no request is left.
    """
    excluded = Counter({"records that could not be read": sum(len(file.skipped) for file in files)})
    _refuse_duplicates([record for file in files for record in file.records])
    texts_for: dict[str, list[Record]] = {}
    requests = [request for file in files for request in file.requests]
    first = {each.request.strip(): each.id for each in reversed(requests)}
    for file in files:
        texts: tuple[RatedText | Preference, ...] = (*file.rated, *file.preferences)
        for text in texts:
            if not (words := text.request.strip()):
                excluded["texts without their request"] += 1
                continue
            texts_for.setdefault(words, []).append(text)
    bare = [
        RubricRequest(id=words[:60], request=words) for words in texts_for if words not in first
    ]
    cases = tuple(
        _case(each, texts_for.get(each.request.strip(), ()) if _is_first(each, first) else ())
        for each in (*requests, *_numbered(bare))
    )
    if not cases:
        raise InputError(
            "expected requests, or texts with the request that each was written for; found none"
        )
    if limit is not None:
        sample = list(cases)
        random.Random(seed).shuffle(sample)
        cases = tuple(sample[:limit])
    return Cases(
        cases=cases,
        excluded={why: n for why, n in excluded.items() if n},
        formats=tuple(file.format for file in files),
        data=", ".join(file.name for file in files),
        skipped=tuple(f"{file.name}, {each}" for file in files for each in file.skipped),
    )


def _is_first(request: RubricRequest, first: Mapping[str, str]) -> bool:
    """Whether texts belong to this request, and not to an equal one before it."""
    return first.get(request.request.strip(), request.id) == request.id


def _numbered(bare: Sequence[RubricRequest]) -> list[RubricRequest]:
    return [
        each.model_copy(update={"id": f"request {number}: {each.id}"})
        for number, each in enumerate(bare, 1)
    ]


def _case(request: RubricRequest, texts: Sequence[Record]) -> Case:
    return Case(
        request=request,
        rated=tuple(text for text in texts if isinstance(text, RatedText)),
        pairs=tuple(text for text in texts if isinstance(text, Preference)),
    )


def _refuse_duplicates(records: Sequence[Record]) -> None:
    counts = Counter(record.id for record in records)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InputError(f"id {twice[0]!r} comes in more than one file; ids must be unique")
