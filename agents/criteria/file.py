"""Read frozen criteria from the file of a run."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quillgraph.agents.domain import FORMAT_VERSION, LEVELS, CriteriaSet
from quillgraph.agents.judgements import judged
from quillgraph.agents.text.file import parse_json, read_text
from quillgraph.backends.errors import InputError


def read_criteria(file: Path) -> CriteriaSet:
    """Read a frozen set of criteria: `criteria.json` of a run, or the result of `--json`.

    Raises:
        InputError: If the file holds no criteria, has another version, or does not match its own
            hash. Scores are valid only for the criteria with their hash, so an edited set must not
            pass as the original.
    """
    text = read_text(file)
    try:
        data: Any = parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"expected criteria as JSON in {file}, got something else in line {error.lineno}"
        ) from error
    except ValueError as error:
        raise InputError(f"expected criteria as JSON in {file}: {error}") from error
    if isinstance(data, dict) and "criteria_set" in data:
        data = data["criteria_set"]
    version = data.get("version") if isinstance(data, dict) else None
    if version is not None and version != FORMAT_VERSION:
        raise InputError(
            f"expected criteria of version {FORMAT_VERSION} in {file}, got version {version!r}; "
            "make them again with this version of quillgraph"
        )
    try:
        criteria_set = CriteriaSet.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{file}{f', {where}' if where else ''}: {first['msg'].removeprefix('Value error, ')}; "
            "make the criteria again, or delete `sha256` to vouch for an edited set under a new "
            "hash"
        ) from error
    _check_criteria(criteria_set, file)
    return criteria_set


def _check_criteria(criteria_set: CriteriaSet, file: Path) -> None:
    """Refuse criteria that the schema allows but no judge can use, as after an edit by hand."""
    ids = [criterion.id for criterion in criteria_set.criteria]
    if twins := sorted({each for each in ids if ids.count(each) > 1}):
        raise InputError(f"expected criteria with ids of their own in {file}, got {twins[0]} twice")
    for criterion in judged(criteria_set.criteria):
        if missing := [band for band in LEVELS if band not in criterion.levels]:
            raise InputError(
                f"expected levels {', '.join(LEVELS)} of criterion {criterion.id} in {file}, but "
                f"{', '.join(missing)} is missing; a judge scores by them"
            )
    if not ids:
        raise InputError(f"expected at least one criterion in {file}, got none")
