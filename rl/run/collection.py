"""Episodes for the SFT stage: the loop without training, run on the training requests."""

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
    """A judge that says nothing: what code can check is all that counts."""

    name = CODE

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        """Give no verdict."""
        return Ballot(())


async def collect_episodes(
    tasks: Sequence[WritingTask],
    sets: Mapping[str, CriteriaSet],
    workshop: Workshop,
    how: Collect,
    tell: Notify = lambda _: None,
) -> tuple[WrittenEpisode, ...]:
    """Run the loop, or draw drafts side by side, for each request.

    A request whose texts could not be had is left out, counted and told.

    Raises:
        BackendError: If the backend failed for every request.
    """
    graph: Any = compiled_form(build(how.graph))

    async def one(task: WritingTask) -> WrittenEpisode | BackendError | ReplyError:
        start: dict[str, Any] = {"task": task, "criteria_set": sets[task.request_hash]}
        if how.graph == "best_of_n":
            start |= {"n": how.texts, "tokens": None}
        try:
            done = await graph.ainvoke(start, {"recursion_limit": 200}, context=workshop)
        except (BackendError, ReplyError) as error:
            return error
        episode: WrittenEpisode = done["episode"]
        return episode

    episodes = await asyncio.gather(*map(one, tasks))
    lost = [each for each in episodes if not isinstance(each, WrittenEpisode)]
    if lost:
        tell(f"no episode of {len(lost)} of {len(tasks)} requests: {lost[0]}")
        if len(lost) == len(tasks):
            raise lost[0]
    return tuple(each for each in episodes if isinstance(each, WrittenEpisode))


def judge_or_code(judge: Judge | None) -> Judge:
    """The judge of the loop where there may be none."""
    return judge or CodeAlone()
