"""Texts and scores in WritingBench's own format (arXiv:2503.05244), so that its tools read them."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from quillgraph.evals.policies.records import ScoredText, WrittenText


def responses(texts: Sequence[WrittenText]) -> str:
    """The texts of a policy, as its `evaluate_benchmark.py` reads them: `index` and `response`."""
    rows = ({"index": _index(t.prompt), "response": t.text} for t in texts if t.failure is None)
    return _lines(rows)


def response_scores(found: Sequence[ScoredText]) -> str:
    """The scores of a policy, as its `calculate_scores.py` reads them.

    A line for each prompt has `index` and `scores`, and there for each criterion a list with
    `score` and `reason` of each text. Prompts without any verdict are left out: a mean of nothing
    ends its tools.
    """
    by_prompt: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for text in found:
        named = by_prompt.setdefault(text.prompt, defaultdict(list))
        for each in text.scores:
            named[each.criterion].append({"score": each.score, "reason": each.reason})
    rows = ({"index": _index(p), "scores": named} for p, named in by_prompt.items() if named)
    return _lines(rows)


def _index(prompt: str) -> int:
    """The benchmark's number: our ids go on with the domain (`formats._writingbench`)."""
    return int(prompt.partition(" ")[0])


def _lines(rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
