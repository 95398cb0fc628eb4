"""What a graph gave, in its episode."""

from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.requests import writing_task
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import Episode, WrittenEpisode, role_of
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.prebuilt import judge as judging
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.workshop import Workshop
from quillgraph.rl.trajectories import trajectory

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
FERRY = (SCRIPTS / "ferry.txt").read_text(encoding="utf-8")
CRITERIA = CriteriaSet.model_validate_json(
    (SCRIPTS / "ferry.criteria.json").read_text(encoding="utf-8")
)


def workshop() -> Workshop:
    return cast(Workshop, ScriptedChat(path=SCRIPTS / "ferry.yaml"))


async def test_the_loops_own_episode_is_taken_over_with_its_calls() -> None:
    episode = await run_graph(
        reflection.build(),
        FERRY,
        context=workshop(),
        start={"criteria_set": CRITERIA},
        trainable={"writer"},
    )
    assert isinstance(episode, WrittenEpisode)
    assert (episode.failure, episode.output, episode.best) == (None, {}, 1)
    assert episode.criteria_set == CRITERIA
    assert {role_of(call) for call in episode.calls} == {"writer", "judge", "reflector"}
    assert WrittenEpisode.model_validate_json(episode.model_dump_json()) == episode
    # one row for each text that the writer wrote, in order, with the reward of the one that stands
    rows = trajectory(episode)
    assert len(rows.rows) == len(episode.attempts)
    assert [row.node for row in rows.rows] == ["draft"] + ["revise"] * (len(episode.attempts) - 1)
    assert (rows.reward, rows.excluded) == (episode.standing.reward, None)
    assert rows.criteria_sha == CRITERIA.sha256


class Judged(TypedDict, total=False):
    request: str
    text: str
    criteria_set: CriteriaSet
    judgement: Judgement
    reward: Reward
    mood: str


async def judged_text() -> dict[str, Any]:
    task = writing_task(FERRY)
    text = "Fog sat on the wheel."
    submission = judging.Submission(task=task, criteria_set=CRITERIA, text=text)
    assessed = await judging.assess(submission, workshop())
    return {
        "text": text,
        "judgement": assessed.judgement,
        "reward": assessed.reward,
    }


def foreign(**output: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Judged)
    graph.add_node("only", lambda _: output)
    graph.add_edge(START, "only")
    return graph


async def test_a_judged_text_of_a_foreign_graph_is_an_attempt() -> None:
    output = await judged_text()
    episode = await run_graph(
        foreign(**output, mood="grey"), FERRY, start={"criteria_set": CRITERIA}
    )
    assert isinstance(episode, WrittenEpisode)
    assert (episode.text, episode.standing.judgement) == (output["text"], output["judgement"])
    assert episode.standing.reward == output["reward"]
    # what has its place in the episode does not stand in the output once more
    assert episode.output == {"request": writing_task(FERRY).request, "mood": "grey"}


async def test_a_judgement_of_another_text_makes_no_attempt() -> None:
    output = await judged_text()
    episode = await run_graph(
        foreign(**{**output, "text": "Something else."}), FERRY, start={"criteria_set": CRITERIA}
    )
    assert not isinstance(episode, WrittenEpisode)
    assert (episode.attempts, episode.criteria_set) == ((), CRITERIA)


async def test_without_criteria_there_is_a_plain_episode() -> None:
    episode = await run_graph(foreign(text="Fog."), FERRY)
    assert (type(episode), episode.criteria_set) == (Episode, None)
    assert episode.output == {"request": writing_task(FERRY).request, "text": "Fog."}
