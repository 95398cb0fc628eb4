"""The reflection loop on one text whose every reply is written out by hand, end to end."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.domain import CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import Verdict
from quillgraph.agents.judges import Ballot
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.agents.writers.acceptance import LEAST_GAIN, MOST_FALL
from quillgraph.backends.calls import Budget, CallRecord, Recorder, read_records
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import Attempt, WrittenEpisode
from quillgraph.graphs.prebuilt import reflection
from quillgraph.graphs.prebuilt.workshop import Assignment, Workshop

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))

FOG, PILOT, PITFALL = "k1.1", "k2.1", "k1.pitfall1"


def ferry(**options: Any) -> Workshop:
    return cast(Workshop, ScriptedChat(path=SCRIPTS / "ferry.yaml"), **options)


def instead(role: str, reply: str) -> ScriptedChat:
    """A model that plays one role and has one thing to say."""
    return ScriptedChat(model=role, reply=lambda _: reply)


async def episode_of(workshop: Workshop, *handlers: Any, **config: Any) -> WrittenEpisode:
    start = Assignment(task=TASK, criteria_set=CRITERIA)
    run: Any = {"callbacks": list(handlers), **config}
    done = await reflection.build().compile().ainvoke(start, run, context=workshop)
    assert set(done) == {"episode"}
    episode: WrittenEpisode = done["episode"]
    return episode


@dataclass(frozen=True)
class Played:
    """A finished episode, and every call that was made for it."""

    episode: WrittenEpisode
    records: Sequence[CallRecord]

    def prompts(self, role: str) -> list[str]:
        """What a role was asked, without the worked examples before it."""
        return [str(r.messages[-1]["content"]) for r in self.records if r.role == role]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    path = tmp_path_factory.mktemp("ferry") / "calls.jsonl"
    with Recorder(path, "ferry") as recorder:
        episode = asyncio.run(episode_of(ferry(), recorder))
    return Played(episode, read_records(path))


# --- the whole episode -------------------------------------------------------------------------


def test_the_first_revision_is_accepted_and_two_are_rolled_back(played: Played) -> None:
    assert [(a.number, a.parent, a.decision) for a in played.episode.attempts] == [
        (0, None, "first"),
        (1, 0, "accepted"),
        (2, 1, "refused"),
        (3, 1, "refused"),
    ]
    assert played.episode.best == 1
    assert played.episode.text.startswith("Fog sat on the wheel")
    assert played.episode.text.endswith("The pilot waited for a while, and then he went on.")
    assert (played.episode.stopped, played.episode.is_complete) == ("3 rounds are over", True)


def test_scores_are_medians_and_carry_the_sentence_that_they_rest_on(played: Played) -> None:
    first, last = played.episode.attempts[0].judgement, played.episode.attempts[3].judgement
    # the judge gave the fog 3 and 5
    assert first.scores == {FOG: 4, PILOT: 6, PITFALL: 8}
    (fog,) = [v for v in first.verdicts if v.criterion_id == FOG]
    assert (fog.votes, fog.evidence) == ((3, 5), "s1")
    assert fog.quote == "The fog was very thick and the pilot was very afraid."
    assert last.scores == {FOG: 10, PILOT: 4, PITFALL: 10}
    (pitfall,) = [v for v in last.verdicts if v.criterion_id == PITFALL]
    # where a fault is absent there is nothing to cite, and the score stands
    assert (pitfall.evidence, pitfall.quote, pitfall.score) == (None, None, 10)
    for attempt in played.episode.attempts:
        for verdict in attempt.judgement.verdicts:
            assert (verdict.quote or "") in attempt.text


def test_rewards_and_their_changes_are_those_of_the_formula(played: Played) -> None:
    # S = (1.0*(fog-1) + 1.0*(pilot-1) + 0.9*(pitfall-1)) / (9 * 2.9); R = .85 S + .10 len + .05
    soft = {
        0: (3 + 5 + 0.9 * 7) / 26.1,
        1: (5 + 5 + 0.9 * 7) / 26.1,
        2: (7 + 7 + 0.9 * 8) / 26.1,
        3: (9 + 3 + 0.9 * 9) / 26.1,
    }
    # 44 words where 40 are asked for: (80 - 44) / (80 - 40)
    length = {0: 1.0, 1: 1.0, 2: 0.9, 3: 1.0}
    for attempt in played.episode.attempts:
        n, reward = attempt.number, attempt.reward
        assert reward.soft == pytest.approx(soft[n])
        assert reward.length == pytest.approx(length[n])
        assert reward.repetition == 1.0
        assert reward.value == pytest.approx(0.85 * soft[n] + 0.10 * length[n] + 0.05)
    assert [a.delta for a in played.episode.attempts] == [
        None,
        pytest.approx(0.85 * 2 / 26.1),  # fog 4 → 6: +.065
        pytest.approx(0.85 * 4.9 / 26.1 - 0.01),  # 2 + 2 + .9, and a tenth of the length: +.150
        pytest.approx(0.85 * 3.8 / 26.1),  # 4 - 2 + 1.8: +.124
    ]


def test_a_higher_reward_does_not_outweigh_a_broken_demand_or_a_fallen_essential(
    played: Played,
) -> None:
    _, accepted, too_long, idle = played.episode.attempts
    assert accepted.reasons == ()
    assert too_long.reward.violations == ("h1",)
    assert too_long.reasons == ("adds a violation: expected at most 40 words, got 44",)
    assert idle.reasons == ("The pilot decides falls from 6 to 4",)


def test_the_plan_names_the_weakest_criteria_first_and_what_to_keep(played: Played) -> None:
    plan = played.episode.attempts[1].plan
    assert plan is not None
    # weight * (1 - ŝ): fog 6/9, pilot 4/9, pitfall .9 * 2/9
    assert [(edit.criterion_id, edit.quote) for edit in plan.edits] == [
        (FOG, "The fog was very thick and the pilot was very afraid."),
        (PILOT, "He waited for a while, and then he went on."),
    ]
    assert plan.edits[1].fix == "Let the bell cost him one act that cannot be taken back."
    # 8 points and more
    assert plan.keep == ("No feeling by name",)
    assert played.episode.attempts[0].plan is None


def test_the_reviser_reads_the_best_text_its_plan_and_what_to_keep(played: Played) -> None:
    drafted, *revised = played.prompts("writer")
    assert TASK.request in drafted
    assert "<draft>\nThe fog was very thick" in revised[0]
    assert "1. A fog one can hear: The fog is called thick and touches nothing." in revised[0]
    assert "Make it so: Let the bell cost him one act that cannot be taken back." in revised[0]
    assert 'Begin at: "He waited for a while, and then he went on."' in revised[0]
    assert "Keep what makes it good: No feeling by name" in revised[0]
    # what was rolled back is not gone on with
    for prompt in revised[1:]:
        assert "<draft>\nFog sat on the wheel" in prompt
        assert "The pilot waited for a while" in prompt


def test_the_reflector_is_told_what_was_tried_on_this_text_and_rolled_back(played: Played) -> None:
    first, second, third = played.prompts("reflector")
    tried = "Already tried and rolled back: "
    assert tried not in first
    # the first revision was accepted: what was done on another text says nothing of this one
    assert tried not in second
    refused = played.episode.attempts[2].plan
    assert refused
    assert all(f"{tried}{edit.fix}" in third for edit in refused.edits)


def test_the_judge_sees_every_text_under_the_same_seeds_and_orders(played: Played) -> None:
    records = [record for record in played.records if record.role == "judge"]
    by_text: dict[str, list[Any]] = {}
    for record in records:
        words = str(record.messages[-1]["content"])
        text, criteria = words.split("<criteria>")
        order = [line.split(".")[0] for line in criteria.splitlines() if line.startswith("q")]
        by_text.setdefault(text, []).append((record.options["seed"], order))
    conditions = [sorted(each) for each in by_text.values()]
    assert [len(each) for each in conditions] == [2, 2, 2, 2]
    assert all(each == conditions[0] for each in conditions)


def test_every_role_is_asked_as_often_as_its_work_needs(played: Played) -> None:
    # a draft and 3 revisions; 2 votes on each; a reflection for each revision; no memory, no lesson
    assert Counter(record.role for record in played.records) == {
        "writer": 4, "judge": 8, "reflector": 3,
    }  # fmt: skip


async def test_with_more_rounds_two_refusals_running_end_the_loop() -> None:
    episode = await episode_of(ferry(rounds=4))
    assert len(episode.attempts) == 4
    assert episode.stopped == "2 revisions running were refused"


async def test_without_rounds_the_first_draft_is_judged_and_stands() -> None:
    episode = await episode_of(ferry(rounds=0))
    assert [a.decision for a in episode.attempts] == ["first"]
    assert (episode.stopped, episode.is_complete) == ("0 rounds are over", True)


async def test_the_loop_needs_no_more_steps_than_langgraph_grants_for_the_default_rounds() -> None:
    # recall, draft, judge, decide; 3 times recall, reflect, plan, revise, judge, decide;
    # learn, close: 4 + 18 + 2
    episode = await episode_of(ferry(), recursion_limit=25)
    assert len(episode.attempts) == 4


async def test_the_tokens_of_each_text_are_kept_as_its_writer_wrote_them(played: Played) -> None:
    for attempt in played.episode.attempts:
        assert attempt.trace is not None
        written = b"".join(n.to_bytes(4).lstrip(b"\0") for n in attempt.trace.completion_ids)
        assert written.decode() == attempt.text


async def test_an_episode_is_read_back_as_it_was_written(played: Played) -> None:
    assert WrittenEpisode.model_validate_json(played.episode.model_dump_json()) == played.episode


# --- what goes wrong ---------------------------------------------------------------------------

CALLS = 15


@pytest.mark.parametrize("calls", range(1, CALLS + 1))
async def test_wherever_a_budget_ends_the_best_text_so_far_comes_back(
    calls: int, played: Played
) -> None:
    budget = Budget(max_calls=calls)
    episode = await episode_of(ferry(budget=budget))
    assert budget.calls == min(calls, CALLS)
    assert episode.is_complete == (calls == CALLS)
    if calls < CALLS:
        assert episode.stopped == f"the budget of {calls} calls is spent; raise --max-calls"
    # call 1 writes, 2 and 3 judge, 4 reflects, 5 revises, 6 and 7 judge: the first is accepted
    assert episode.best == (1 if calls >= 7 else 0)
    assert episode.text == played.episode.attempts[episode.best].text
    # texts are written by the calls 1, 5, 9, 13
    assert len(episode.attempts) == 1 + (calls >= 5) + (calls >= 9) + (calls >= 13)
    has_reward = [attempt.reward.value is not None for attempt in episode.attempts]
    # a text whose second vote could not be paid for is kept, and has no reward
    assert has_reward == [calls >= last for last in (3, 7, 11, 15)][: len(has_reward)]


async def test_a_text_that_could_not_be_judged_says_why() -> None:
    episode = await episode_of(ferry(budget=Budget(max_calls=2)))
    (only,) = episode.attempts
    assert (only.decision, only.reward.value, only.reward.soft) == ("first", None, None)
    assert only.reward.excluded == (FOG, PILOT, PITFALL)
    assert {m.reason for m in only.judgement.missing} == {
        "the budget of 2 calls is spent; raise --max-calls"
    }
    # what code can see needs no judge
    assert (only.judgement.gate, only.judgement.violations) == (None, ())


async def test_a_budget_that_pays_for_no_text_is_an_error() -> None:
    with pytest.raises(BudgetReached, match="the budget of 0 calls"):
        await episode_of(ferry(budget=Budget(max_calls=0)))


@pytest.mark.parametrize("tokens", range(1, 4200, 300))
async def test_wherever_a_budget_of_tokens_ends_a_text_comes_back(tokens: int) -> None:
    episode = await episode_of(ferry(budget=Budget(max_tokens=tokens)))
    assert episode.text
    assert episode.is_complete or "tokens is spent" in episode.stopped


async def test_a_judge_that_never_answers_leaves_the_first_draft_without_a_reward() -> None:
    judge = instead("judge", "I would rather not say")
    episode = await episode_of(ferry(roles={"judge": judge}))
    (only,) = episode.attempts
    assert (only.decision, only.reward.value, only.delta) == ("first", None, None)
    assert episode.stopped == "no reward: no verdict on k1.1, k2.1, k1.pitfall1"
    assert episode.is_complete
    # two votes, each of which was asked for twice
    lost = Counter((entry.stage, entry.agent, entry.reason) for entry in episode.dropped)
    assert lost == {("judging", "judge", "reply"): 2}


async def test_a_judge_that_forgets_a_criterion_leaves_no_reward_rather_than_a_zero() -> None:
    one = '{"items": [{"criterion": "q1", "score": 9, "evidence": "s1", "reason": "It is."}]}'
    episode = await episode_of(ferry(roles={"judge": instead("judge", one)}))
    (only,) = episode.attempts
    # q1 is the pitfall in both orders
    assert only.judgement.scores == {PITFALL: 9}
    assert (only.reward.value, only.reward.excluded) == (None, (FOG, PILOT))


async def test_a_writer_that_gives_no_revision_leaves_the_best_text_standing() -> None:
    def write(request: ChatRequest) -> str:
        if "who revises" in request.messages[0].content:
            return "Certainly! Here is the revised text."
        return "The fog was very thick and the pilot was very afraid. Somewhere a bell rang."

    judge = JudgeOf(lambda text, criterion: 5.0)
    episode = await episode_of(built(ScriptedChat(reply=write), judge))
    assert (episode.best, len(episode.attempts)) == (0, 1)
    assert (episode.stopped, episode.is_complete) == ("the writer gave no revision", True)
    (lost,) = [entry for entry in episode.dropped if entry.stage == "revision"]
    assert (lost.agent, lost.reason) == ("writer", "reply")
    assert "Here is the revised text" in lost.text


async def test_a_reflector_that_finds_nothing_ends_the_loop_and_is_counted() -> None:
    episode = await episode_of(ferry(roles={"reflector": instead("reflector", "It is fine.")}))
    assert [a.decision for a in episode.attempts] == ["first"]
    assert episode.stopped == "the reflector found nothing to revise"
    assert [entry.stage for entry in episode.dropped] == ["reflection"]


async def test_a_first_draft_that_is_turned_away_is_written_anew_from_what_the_gate_said() -> None:
    seen: list[str] = []

    def write(request: ChatRequest) -> str:
        seen.append(request.messages[-1].content)
        if "who revises" in request.messages[0].content:
            return "A bell rang once, to port, and the pilot cut the engine and listened."
        return "fog fog fog fog\n" * 6

    episode = await episode_of(built(ScriptedChat(reply=write), JudgeOf(lambda text, c: 7.0)))
    first, second = episode.attempts[:2]
    assert (first.reward.value, sorted(first.judgement.violated)) == (0.0, ["gate"])
    assert first.judgement.verdicts == ()
    # one line of six is new
    assert "turned away: 83% of its lines or sentences have stood before" in seen[1]
    assert (second.decision, second.judgement.gate) == ("accepted", None)


async def test_a_text_too_long_for_a_judge_stays_without_a_reward(long_text: str) -> None:
    writer = instead("writer", long_text)
    episode = await episode_of(ferry(roles={"writer": writer}, text_tokens=100_000))
    (only,) = episode.attempts
    assert (only.text, only.judgement.gate) == (long_text, None)
    assert only.reward.value is None
    assert "at most 64,000 characters" in only.judgement.missing[0].reason


# --- whatever is written and however it is judged ----------------------------------------------

WORDS = ("bell", "fog", "wheel", "deck", "port", "gull", "rope", "engine", "sound", "chart")


@dataclass(frozen=True)
class JudgeOf:
    """Scores by a function of the text and the id of the criterion."""

    score: Callable[[str, str], float]
    name: str = "of a function"

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        scores = {c.id: self.score(text, c.id) for c in criteria}
        return Ballot(
            tuple(Verdict(criterion_id=c, score=s, votes=(s,)) for c, s in scores.items())
        )


def built(writer: ScriptedChat, judge: JudgeOf, rounds: int = 3) -> Workshop:
    def fix(request: ChatRequest) -> str:
        return (
            '{"items": [{"criterion": "q1", "sentence": "none", "cause": "It lies flat.", '
            '"fix": "Let it sound."}, {"criterion": "q2", "sentence": "none", '
            '"cause": "It lies flat.", "fix": "Let it sound."}]}'
        )

    reflector = ScriptedChat(reply=fix)
    return Workshop(
        writer=Role("writer", writer),
        judge=judge,
        reflector=Role("reflector", reflector),
        consolidator=Role("consolidator", reflector),
        rounds=rounds,
    )


def some_text(salt: int) -> Callable[[ChatRequest], str]:
    """A writer of 5 to 54 words, drawn anew for each request."""

    def write(request: ChatRequest) -> str:
        digest = hashlib.sha256(f"{salt}/{request.sha256}".encode()).digest()
        words = [WORDS[digest[n % 32] % 10] + str(n) for n in range(5 + digest[0] % 50)]
        return f"The {' '.join(words)} rang."

    return write


def some_score(salt: int) -> Callable[[str, str], float]:
    def score(text: str, criterion: str) -> float:
        digest = hashlib.sha256(f"{salt}/{text}/{criterion}".encode()).digest()
        return 1 + digest[0] % 19 / 2  # 1, 1.5, … 10

    return score


def held(episode: WrittenEpisode) -> Attempt:
    return episode.attempts[episode.best]


@given(writer=st.integers(0, 10**6), judge=st.integers(0, 10**6), rounds=st.integers(0, 6))
@settings(max_examples=25)
def test_under_the_same_scores_the_result_is_never_worse_than_the_first_draft(
    writer: int, judge: int, rounds: int
) -> None:
    workshop = built(ScriptedChat(reply=some_text(writer)), JudgeOf(some_score(judge)), rounds)
    episode = asyncio.run(episode_of(workshop, recursion_limit=60))
    first, best = episode.attempts[0], held(episode)
    assert first.reward.value is not None
    assert best.reward.value is not None
    assert best.reward.value >= first.reward.value
    assert best.judgement.violated <= first.judgement.violated
    if not first.judgement.gate:
        for criterion in (FOG, PILOT):
            fall = first.judgement.scores[criterion] - best.judgement.scores[criterion]
            assert fall <= MOST_FALL
    assert len(episode.attempts) - 1 <= rounds


@given(writer=st.integers(0, 10**6), judge=st.integers(0, 10**6))
@settings(max_examples=25)
def test_what_stands_only_ever_rises_and_every_refusal_says_why(writer: int, judge: int) -> None:
    workshop = built(ScriptedChat(reply=some_text(writer)), JudgeOf(some_score(judge)), 6)
    episode = asyncio.run(episode_of(workshop, recursion_limit=60))
    standing = episode.attempts[0]
    for attempt in episode.attempts[1:]:
        assert attempt.parent == standing.number
        assert attempt.reward.value is not None
        assert standing.reward.value is not None
        assert attempt.delta == attempt.reward.value - standing.reward.value
        if attempt.decision == "accepted":
            mends = attempt.judgement.violated < standing.judgement.violated
            assert attempt.delta >= (0 if mends else LEAST_GAIN)
            assert attempt.reasons == ()
            standing = attempt
        else:
            assert attempt.reasons
    assert episode.best == standing.number


@given(st.lists(st.sampled_from(["worse", "longer", "uneven", "same"]), min_size=2, max_size=2))
@settings(max_examples=16)
def test_planted_regressions_are_rolled_back(planted: list[str]) -> None:
    texts = {
        "first": "A bell rang to port and the pilot cut the engine.",
        "worse": "A bell rang and nobody minded, as usual on that river.",
        "longer": " ".join(f"A bell rang {n} times over the deck." for n in range(6)),
        "uneven": "A bell rang to port, starboard, everywhere, and gulls fell silent.",
        "same": "A bell rang to port and then the pilot cut the engine.",
    }
    scores = {
        "first": (5, 5, 5), "worse": (4, 5, 5), "longer": (9, 9, 9), "uneven": (10, 3, 9),
        "same": (5, 5, 5),
    }  # fmt: skip
    turn = iter(planted)

    def write(request: ChatRequest) -> str:
        if "who revises" not in request.messages[0].content:
            return texts["first"]
        return texts[next(turn)]

    def score(text: str, criterion: str) -> float:
        name = next(name for name, each in texts.items() if each.strip() == text.strip())
        return scores[name][(FOG, PILOT, PITFALL).index(criterion)]

    episode = asyncio.run(episode_of(built(ScriptedChat(reply=write), JudgeOf(score))))
    assert [a.decision for a in episode.attempts] == ["first", "refused", "refused"]
    assert not any(a.judgement.gate for a in episode.attempts)
    assert (episode.best, episode.text) == (0, texts["first"])
