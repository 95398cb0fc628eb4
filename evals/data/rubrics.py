"""Criteria that do not come from a study: a fixed rubric, and those that people wrote."""

from functools import cache
from importlib.resources import files

import yaml

from quillgraph.agents.domain import LEVELS, TIER_WEIGHT, Criterion
from quillgraph.evals.data.records import HumanCriterion

EVIDENCE = ("i1",)
"""Criteria from outside a study cite the request as a whole."""


@cache
def generic_rubric() -> tuple[Criterion, ...]:
    """Five criteria that fit any piece of writing: the baseline of `quillgraph eval`."""
    raw = yaml.safe_load(
        files("quillgraph.evals").joinpath("generic_rubric.yaml").read_text(encoding="utf-8")
    )
    return tuple(
        _criterion(f"g{number}", each["name"], each["description"], each["levels"])
        for number, each in enumerate(raw, 1)
    )


def as_criteria(criteria: tuple[HumanCriterion, ...]) -> tuple[Criterion, ...]:
    """Convert criteria that people wrote to our form, so that one judge can use both.

    Levels on a scale of five map to our five bands. A judge needs all levels, so a missing one is
    described by its neighbours.
    """
    return tuple(
        _criterion(f"p{number}", each.name, each.description, _bands(each))
        for number, each in enumerate(criteria, 1)
    )


def _criterion(name: str, title: str, description: str, levels: dict[str, str]) -> Criterion:
    return Criterion(
        id=name,
        name=title[:80],
        description=description,
        kind="soft",
        tier="important",
        weight=TIER_WEIGHT["important"],
        levels=levels,
        category_id=None,
        evidence=EVIDENCE,
    )


def _bands(criterion: HumanCriterion) -> dict[str, str]:
    levels = {
        band: criterion.levels.get(band) or criterion.levels.get(str(n)) for n, band in _NUMBERED
    }
    share = ("not at all", "a little", "in part", "for the most part", "wholly")
    return {
        band: levels[band] or f"meets it {how_far}"
        for band, how_far in zip(LEVELS, share, strict=True)
    }


_NUMBERED = tuple(enumerate(LEVELS, 1))
