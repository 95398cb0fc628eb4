"""Criteria with their evidence, and the documents that hold it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quillgraph.agents.domain import Category, Code, CriteriaSet, Criterion, Incident
from quillgraph.evals.report.folder import StudyFile
from quillgraph.evals.report.passages import Segment, Span, segments

REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Grounded:
    """A criterion with its category, codes and evidence."""

    criterion: Criterion
    category: Category | None
    codes: tuple[Code, ...]
    """Codes of the category."""
    cited: tuple[Incident, ...]
    """Incidents that its writer cited."""
    behind: tuple[Incident, ...]
    """Further incidents of the codes of its category."""
    unknown: tuple[str, ...]
    """Ids of evidence that the folder does not have."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Criteria of one category."""

    title: str
    is_core: bool
    criteria: tuple[Grounded, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The request or a sampled draft, with its incidents marked."""

    id: str
    title: str
    segments: tuple[Segment, ...]
    notes: tuple[Incident, ...]
    """Observers' notes on it; empty for the request."""


def branches(criteria_set: CriteriaSet, study: StudyFile) -> tuple[Branch, ...]:
    """The criteria as a tree: hard demands first, then the core, then the other categories."""
    grounded = list(_grounded(criteria_set, study))
    core = criteria_set.core.category_id
    names = {category.id: category.name for category in study.categories}
    tree = [Branch("Checked by code", False, tuple(g for g in grounded if _place(g) is None))]
    places = dict.fromkeys(place for g in grounded if (place := _place(g)) is not None)
    for place in sorted(places, key=lambda place: place != core):
        mine = tuple(g for g in grounded if _place(g) == place)
        tree.append(Branch(names.get(place, f"Category {place}"), place == core, mine))
    return tuple(branch for branch in tree if branch.criteria)


def documents(
    request: str | None, study: StudyFile, criteria_set: CriteriaSet | None
) -> tuple[Document, ...]:
    """The request and the sampled drafts, split at the criteria's evidence."""
    grounded = list(_grounded(criteria_set, study)) if criteria_set else []
    texts = {REQUEST: ("Request", request)} if request is not None else {}
    texts |= {each.id: (f"Sampled draft {each.id}", each.text) for each in study.drafts}
    return tuple(
        Document(
            name,
            title,
            segments(text, _spans(name, study.incidents, grounded)),
            tuple(i for i in study.incidents if i.doc_id == name and i.note is not None),
        )
        for name, (title, text) in texts.items()
        if text is not None
    )


def _grounded(criteria_set: CriteriaSet, study: StudyFile) -> Iterator[Grounded]:
    incidents = {incident.id: incident for incident in study.incidents}
    categories = {category.id: category for category in study.categories}
    codes = {code.id: code for code in study.codes}
    for criterion in criteria_set.criteria:
        category = categories.get(criterion.category_id or "")
        mine = [codes[c] for c in category.code_ids if c in codes] if category else []
        cited = dict.fromkeys(i for code in mine for i in code.evidence)
        yield Grounded(
            criterion,
            category,
            tuple(mine),
            _incidents(criterion.evidence, incidents),
            _incidents([i for i in cited if i not in criterion.evidence], incidents),
            tuple(i for i in criterion.evidence if i not in incidents),
        )


def _incidents(ids: Sequence[str], incidents: Mapping[str, Incident]) -> tuple[Incident, ...]:
    return tuple(incidents[name] for name in ids if name in incidents)


def _place(grounded: Grounded) -> str | None:
    return grounded.criterion.category_id


def _spans(
    document: str, incidents: Sequence[Incident], grounded: Sequence[Grounded]
) -> Iterator[Span]:
    for incident in incidents:
        if incident.doc_id == document:
            yield Span(*incident.span, "incident", incident.id)
    for each in grounded:
        for incident in each.cited:
            if incident.doc_id == document:
                yield Span(*incident.span, "cited", each.criterion.id)
        for incident in each.behind:
            if incident.doc_id == document:
                yield Span(*incident.span, "behind", each.criterion.id)
