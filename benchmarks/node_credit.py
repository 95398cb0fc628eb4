"""Does credit by node find the node that spoils a text in fewer samples than uniform credit?

Six nodes write one sentence each, in one of three styles drawn at random. Each sentence has its
own criterion, scored by code: 7 points and noise, but one style of one node, the guilty one,
costs three points. The verdict cites the sentence; one time in ten it cites another. Groups of
eight episodes are run through `run_graphs` and credited in two ways:

uniform  every row has the advantage of its trajectory, as in GRPO
node     each criterion's part goes to the node that wrote the cited sentence (`rl.trajectories`)

The signal of a policy gradient for a style of a node is the mean advantage of the rows that chose
it. The guilty style is found once that mean is the lowest of all 18, and stays so.

    python benchmarks/node_credit.py            20 seeds of 24 groups, about two minutes
"""

import argparse
import asyncio
import hashlib
import json
import operator
import random
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from quillgraph.agents.domain import LEVELS, Core, CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import Judgement, Reward, Verdict, text_hash
from quillgraph.agents.judges import LENGTH_SHARE, SOFT_SHARE, reward
from quillgraph.agents.requests import writing_task
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes import Episode, run_graphs
from quillgraph.rl.rewards import advantages
from quillgraph.rl.trajectories import by_evidence, criterion_parts, group_credit, trajectory

RESULTS = Path(__file__).parent / "results"

NODES = tuple(f"part{number}" for number in range(6))
STYLES = ("plain", "ornate", "sparse")
GROUP = 8
USUAL, COST, NOISE = 7.0, 3.0, 1.5
"""Points of a sentence, what the guilty style costs, and the spread of the judge's scores."""
WRONG_CITATIONS = 0.1

Found = dict[str, int | None]
"""Way of crediting to the number of episodes after which the guilty style was found for good."""


class Written(TypedDict):
    """State of the toy graph."""

    request: str
    sentences: Annotated[list[str], operator.add]


def criteria_set() -> CriteriaSet:
    """One criterion for each node's sentence, all of the same weight."""
    criteria = tuple(
        Criterion(
            id=node, name=node, description=f"The sentence of {node} does its work.", kind="soft",
            tier="important", weight=0.7, levels={band: band for band in LEVELS},
            category_id="k1", evidence=("i1",),
        )
        for node in NODES
    )  # fmt: skip
    core = Core(category_id="k1", storyline="six sentences")
    return CriteriaSet(
        request_hash="toy", language="en", genre="story", core=core, criteria=criteria
    )


def graph_of(dice: random.Random) -> StateGraph[Any, Any, Any, Any]:
    """Six nodes in a row, each with a model that draws a style."""

    def sentence(request: ChatRequest) -> str:
        style = dice.choice(STYLES)
        return f"The {style} words of {request.messages[-1].content}, take {dice.random():.9f}."

    model = ScriptedChat(reply=sentence)

    def node(name: str) -> Any:
        async def write(state: Written) -> dict[str, list[str]]:
            return {"sentences": [str((await model.ainvoke(name)).content)]}

        return write

    graph = StateGraph(Written)
    for before, name in zip((START, *NODES), NODES, strict=False):
        graph.add_node(name, node(name))
        graph.add_edge(before, name)
    graph.add_edge(NODES[-1], END)
    return graph


def judged(
    sentences: list[str], guilty: tuple[str, str], known: CriteriaSet, dice: random.Random
) -> tuple[Judgement, Reward]:
    """Score each sentence by code."""
    verdicts = []
    for name, sentence in zip(NODES, sentences, strict=True):
        cost = COST if name == guilty[0] and guilty[1] in sentence else 0.0
        score = min(10.0, max(1.0, dice.gauss(USUAL - cost, NOISE)))
        is_wrong = dice.random() < WRONG_CITATIONS
        quote = dice.choice(sentences) if is_wrong else sentence
        verdicts.append(Verdict(criterion_id=name, score=score, votes=(score,), quote=quote))
    text = " ".join(sentences)
    judgement = Judgement(
        criteria_sha=known.sha256, text_sha=text_hash(text), judge="code", verdicts=tuple(verdicts)
    )
    return judgement, reward(judgement, known, text)


def credits_of(
    group: list[Episode], outcomes: list[tuple[Judgement, Reward]], known: CriteriaSet
) -> dict[str, tuple[tuple[float, ...] | None, ...]]:
    """Credit a group's rows in both ways."""
    rows = [trajectory(each, one[1]) for each, one in zip(group, outcomes, strict=True)]
    earned, _ = advantages([one[1].value for one in outcomes])
    parts = criterion_parts(
        [one[0].scores for one in outcomes], known.criteria, SOFT_SHARE + LENGTH_SHARE
    )
    owners = [by_evidence(one[0], each) for each, one in zip(group, outcomes, strict=True)]
    return {
        "uniform": group_credit(rows, earned),
        "node": group_credit(rows, earned, parts, owners),
    }


async def simulate(seed: int, groups: int) -> Found:
    """Run groups of episodes; returns when each way of crediting finds the guilty style."""
    dice = random.Random(int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4]))
    guilty = (dice.choice(NODES), dice.choice(STYLES))
    known, task = criteria_set(), writing_task("Write six sentences of fog.")
    means: dict[str, defaultdict[tuple[str, str], list[float]]] = {
        way: defaultdict(list) for way in ("uniform", "node")
    }
    shares: Found = dict.fromkeys(means)
    graph = graph_of(dice)
    for number in range(1, groups + 1):
        group = [each async for each in episodes(graph, task)]
        texts = [(each.output or {})["sentences"] for each in group]
        judgements = [judged(sentences, guilty, known, dice) for sentences in texts]
        for way, credited in credits_of(group, judgements, known).items():
            for sentences, values in zip(texts, credited, strict=True):
                for name, sentence, value in zip(NODES, sentences, values or (), strict=True):
                    means[way][name, sentence.split()[1]].append(value)
            lowest = min(means[way], key=lambda choice: fmean(means[way][choice]))
            first = shares[way] or number * GROUP
            shares[way] = first if lowest == guilty else None
    return shares


def episodes(graph: StateGraph[Any, Any, Any, Any], task: WritingTask) -> Any:
    """One group of episodes of the same task, one after the other so that the dice stay fair."""
    return run_graphs(graph, [task] * GROUP, at_once=1, trainable=NODES, start={"sentences": []})


def plot(runs: list[Found], most: int, path: Path) -> None:
    """Plot the share of seeds in which the guilty style is found."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    counts = range(0, most + 1, GROUP)
    for way, colour in (("node", "#1b6ca8"), ("uniform", "#b0483a")):
        found_at = [one[way] for one in runs]
        share = [sum(1 for at in found_at if at and at <= n) / len(found_at) for n in counts]
        axes.step(counts, share, where="post", color=colour, label=f"{way} credit")
    axes.set(
        xlabel="episodes", ylabel="share of seeds", ylim=(0, 1.03),
        title=f"The guilty one of {len(NODES) * len(STYLES)} choices is found ({len(runs)} seeds)",
    )  # fmt: skip
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


async def main(seeds: int, groups: int) -> None:
    """Measure, print and store."""
    runs = [await simulate(seed, groups) for seed in range(seeds)]
    most = groups * GROUP
    summary = {
        way: {
            "found": sum(one[way] is not None for one in runs),
            # a style that was not found needs more episodes than were drawn
            "median_episodes": median(one[way] or most + 1 for one in runs),
        }
        for way in ("node", "uniform")
    }
    sooner = sum((one["node"] or most + 1) < (one["uniform"] or most + 1) for one in runs)
    later = sum((one["node"] or most + 1) > (one["uniform"] or most + 1) for one in runs)
    report = {
        "seeds": seeds, "episodes": most, "group": GROUP, "nodes": len(NODES),
        "styles": len(STYLES), "usual": USUAL, "cost": COST, "noise": NOISE,
        "wrong_citations": WRONG_CITATIONS, "ways": summary, "node_sooner": sooner,
        "node_later": later, "by_seed": runs,
    }  # fmt: skip
    for way, row in summary.items():
        print(f"{way:8} found in {row['found']}/{seeds} seeds, median {row['median_episodes']:.0f}")
    print(f"node credit was sooner in {sooner} seeds, later in {later}")
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(report, indent=1) + "\n"
    (RESULTS / "node_credit.json").write_text(text, encoding="utf-8")
    plot(runs, most, RESULTS / "node_credit.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--groups", type=int, default=24, help="groups of eight episodes a seed")
    options = parser.parse_args()
    asyncio.run(main(options.seeds, options.groups))
