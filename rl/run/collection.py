"""Collection of episodes for the SFT stage: the loop runs on the training requests."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from quillgraph.agents.domain import CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import CODE
from quillgraph.agents.judges import Ballot, Judge
from quillgraph.backends.errors import BackendError, ReplyError
from quillgraph.graphs.episodes import WrittenEpisode, build, compiled_form
from quillgraph.graphs.prebuilt import Workshop
from quillgraph.rl.config.stages import Collect
from quillgraph.rl.processes import Notify


class CodeAlone:
    """A judge without verdicts, so that only code checks count."""

    name = CODE

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        """Return no verdict."""
        return Ballot(())


async def collect_episodes(
    tasks: Sequence[WritingTask],
    sets: Mapping[str, CriteriaSet],
    workshop: Workshop,
    how: Collect,
    tell: Notify = lambda _: None,
) -> tuple[WrittenEpisode, ...]:
    """Run the loop, or sample drafts side by side, for each request.

    A request whose texts could not be generated is left out; `tell` reports how many.

    Raises:
        BackendError: If the backend failed for every request.
    """
    graph: Any = compiled_form(build(how.graph))

    async def one(task: WritingTask) -> WrittenEpisode | BackendError | ReplyError:
        start: dict[str, Any] = {"task": task, "criteria_set": sets[task.request_hash]}
        if how.graph == "best_of_n":
            start |= {"n": how.texts, "tokens": None}
        try:
            state = await graph.ainvoke(start, {"recursion_limit": 200}, context=workshop)
        except (BackendError, ReplyError) as error:
            return error
        episode: WrittenEpisode = state["episode"]
        return episode

    episodes = await asyncio.gather(*map(one, tasks))
    lost = [each for each in episodes if not isinstance(each, WrittenEpisode)]
    if lost:
        tell(f"no episode for {len(lost)} of {len(tasks)} requests: {lost[0]}")
        if len(lost) == len(tasks):
            raise lost[0]
    return tuple(each for each in episodes if isinstance(each, WrittenEpisode))


def judge_or_code(judge: Judge | None) -> Judge:
    """The judge of the loop, or one without verdicts where there is none."""
    return judge or CodeAlone()
