"""Formats of published files of requests, rubrics and human judgements.

A reader turns one record of a file into our records. It raises `KeyError` or `ValueError` on a
record that it cannot use; `loader.load` notes the place and goes on.
"""

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from quillgraph.evals.data.records import (
    HumanCriterion,
    Preference,
    RatedText,
    Record,
    RubricRequest,
    Side,
)
from quillgraph.evals.data.writingbench import WRITINGBENCH, read_writingbench


def _plain(row: dict[str, Any], place: str) -> Iterator[Record]:
    """Our own format: see the README."""
    name, request = str(row.get("id", place)), str(row.get("request", ""))
    if "preferred" in row or "votes" in row:
        votes = row.get("votes", [row.get("preferred")])
        yield Preference(
            id=name,
            group=str(row.get("group", request or name)),
            request=request,
            left=row["left"],
            right=row["right"],
            votes=tuple(votes),
        )
    elif "text" in row:
        scale = {end: row[end] for end in ("low", "high") if end in row}
        scores = row.get("scores", [row.get("score")])
        yield RatedText(id=name, request=request, text=row["text"], scores=tuple(scores), **scale)
    else:
        criteria = tuple(HumanCriterion.model_validate(each) for each in row.get("criteria", ()))
        yield RubricRequest(id=name, request=row["request"], criteria=criteria)


def _biggen(row: dict[str, Any], place: str) -> Iterator[Record]:
    rubric = row["score_rubric"]
    levels = {
        str(score): rubric[f"score{score}_description"]
        for score in range(1, 6)
        if f"score{score}_description" in rubric
    }
    criterion = rubric["criteria"]
    yield RubricRequest(
        id=row["id"],
        request=f"{row.get('system_prompt', '')}\n\n{row['input']}".strip(),
        criteria=(HumanCriterion(name=criterion, description=criterion, levels=levels),),
        reference=row.get("reference_answer"),
    )


def _arena_hard(row: dict[str, Any], place: str) -> Iterator[Record]:
    yield RubricRequest(id=row["uid"], request=row["prompt"])


def _longbench_write(row: dict[str, Any], place: str) -> Iterator[Record]:
    yield RubricRequest(id=place, request=row["prompt"], words=row["length"])


_RANKS = {
    "Most Preferred Writing Option": 3,
    "Second Favorite Writing Option": 2,
    "Least Preferred Writing Option": 1,
}
_WQRM_DRAFTS = ("first_draft", "random_cot", "best_cot")


def _wqrm(row: dict[str, Any], place: str) -> Iterator[Record]:
    """Three drafts, ranked by two or three writers: three pairs, with a vote of each writer."""
    request = _wqrm_request(row["instruction"])
    ranks = [{draft: _RANKS[rank] for draft, rank in each.items()} for each in row["annotations"]]
    for one, other in combinations(_WQRM_DRAFTS, 2):
        votes = [_vote(each[one], each[other]) for each in ranks if one in each and other in each]
        yield Preference(
            id=f"{row['id']}/{one}/{other}",
            group=row["id"],
            request=request,
            left=row[one]["candidate"],
            right=row[other]["candidate"],
            votes=tuple(votes),
        )


def _wqrm_request(instruction: dict[str, Any]) -> str:
    sentences = [instruction["plot"]]
    if " " not in instruction["plot"]:
        return ""  # marketing copy has the product's name there, not a request
    if voice := instruction.get("voice"):
        sentences.append(f"Write it in the {voice}.")
    if words := instruction.get("word_count"):
        sentences.append(f"About {words} words.")
    return "\n".join(sentences)


def _vote(left: float, right: float) -> Side:
    return "left" if left > right else "right" if left < right else "tie"


def _lamp(row: dict[str, Any], place: str) -> Iterator[Record]:
    """A chat whose question holds one or two paragraphs and whose answer is from experts."""
    question = row["messages"][-2]["content"]
    answer = json.loads(row["messages"][-1]["content"])
    paragraphs = question.rpartition("\n\nYou must produce your answer")[0]
    if "score" in answer:
        text = paragraphs.partition("Paragraph:\n")[2].strip()
        yield RatedText(id=place, request="", text=text, scores=(float(answer["score"]),))
        return
    left, _, right = paragraphs.partition("Paragraph 1:\n")[2].partition("\n\nParagraph 2:\n")
    sides: dict[str, Side] = {"1": "left", "2": "right"}
    yield Preference(
        id=place, group=place, request="", left=left.strip(), right=right.strip(),
        votes=(sides[str(answer["preference"])],),
    )  # fmt: skip


FORMATS: dict[str, Callable[[dict[str, Any], str], Iterator[Record]]] = {
    "plain": _plain,
    WRITINGBENCH: read_writingbench,
    "biggen": _biggen,
    "arena_hard": _arena_hard,
    "longbench_write": _longbench_write,
    "wqrm": _wqrm,
    "lamp": _lamp,
}
"""Name of a format to the reader of one record."""

SIGNS = {
    "wqrm": {"annotations", "first_draft"},
    "lamp": {"messages"},
    "biggen": {"score_rubric", "input"},
    "writingbench": {"query", "domain2"},
    "arena_hard": {"uid", "prompt"},
    "longbench_write": {"prompt", "length"},
}
"""Fields that identify a format; a record with none of them is plain."""
