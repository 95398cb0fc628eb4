"""Shows an episode: its texts, their scores, and the text that was accepted."""

import json

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.judgements import GATE, Judgement, Reward, Verdict
from quillgraph.agents.text import amount, visible
from quillgraph.graphs.episodes import Attempt, Episode, WrittenEpisode, text_of

LONGEST_QUOTE = 72


def overview(episode: WrittenEpisode) -> Group:
    """The text, how it meets each criterion, and what the loop did, a line for each."""
    counts = (
        f"{amount(len(episode.lessons), 'lesson')} recalled, {len(episode.learned)} learned"
        if episode.lessons or episode.learned
        else ""
    )
    lines: list[RenderableType] = [
        _panel(episode),
        _line("Criteria", style="bold"),
        *_results(episode),
        _line("The loop", style="bold"),
        *(_fate(attempt) for attempt in episode.attempts),
        Text(visible(_summary(episode))),
    ]
    return Group(*lines, *([_line(counts, style="dim")] if counts else []), *_lost(episode))


def _results(episode: WrittenEpisode) -> list[Text]:
    """The accepted text's result on each criterion, from code and judge."""
    judgement = episode.attempts[episode.best].judgement
    broken = {each.criterion_id: each.reason for each in judgement.violations}
    scores = {each.criterion_id: each.score for each in judgement.verdicts}
    gate = [_line(f"   ✗  turned away: {judgement.gate}", "red")] if judgement.gate else []
    lines = []
    for criterion in episode.criteria_set.criteria:
        if criterion.id in broken:
            lines.append(_line(f"   ✗  {criterion.name}: {broken[criterion.id]}", "red"))
        elif criterion.id in scores:
            lines.append(_line(f"{scores[criterion.id]:4g}  {criterion.name}"))
        elif criterion.check:
            lines.append(_line(f"   ✓  {criterion.name}", "green"))
        else:
            lines.append(_line(f"  ??  {criterion.name}: no verdict", "yellow"))
    return gate + lines


def _fate(attempt: Attempt) -> Text:
    """One attempt in a line: its kind, its score, and the reason for its outcome."""
    reward = attempt.reward.value
    worth = "  no reward" if reward is None else f"  reward {reward:.3f}"
    edited = dict.fromkeys(edit.criterion for edit in attempt.plan.edits) if attempt.plan else ()
    why = f"  for {', '.join(edited)}" if edited else ""
    if attempt.reasons:
        why = f"  because {attempt.reasons[0]}"
    return _fitted(_headline(attempt).append(visible(worth + why), style="dim"))


def _line(text: str, style: str = "") -> Text:
    return _fitted(Text(visible(text), style=style))


def _fitted(line: Text) -> Text:
    """A line that is truncated at the screen's edge, never wrapped."""
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def recalled_lessons(episode: WrittenEpisode) -> Text:
    """The lessons of earlier episodes that the writer read."""
    if not episode.lessons:
        return Text("No lessons from earlier episodes.", style="dim")
    lines = [f"[{lesson.id}] {lesson.text}" for lesson in episode.lessons]
    return Text(visible("Lessons recalled:\n" + "\n".join(lines)), style="magenta")


def attempts_tree(episode: WrittenEpisode) -> Tree:
    """Every text in order, with its scores and its outcome."""
    tree = Tree(Text("The loop", style="bold"), guide_style="dim")
    for attempt in episode.attempts:
        head = _headline(attempt)
        if attempt.reasons:
            head.append(visible(f"  ({'; '.join(attempt.reasons)})"), style="dim")
        branch = tree.add(head)
        if attempt.plan:
            plan = branch.add(Text("plan", style="dim"))
            for edit in attempt.plan.edits:
                plan.add(Text(visible(f"{edit.criterion}: {edit.fix}")))
        branch.add(judgement_lines(attempt.judgement, attempt.reward, episode.criteria_set))
    return tree


def judgement_lines(judgement: Judgement, reward: Reward, criteria_set: CriteriaSet) -> Group:
    """Scores with their evidence, broken demands, and what is missing."""
    names = {criterion.id: criterion.name for criterion in criteria_set.criteria}
    lines: list[RenderableType] = []
    if judgement.gate:
        lines.append(Text(visible(f"turned away: {judgement.gate}"), style="red"))
    lines += [
        Text(visible(f"✗ {names[broken.criterion_id]}: {broken.reason}"), style="red")
        for broken in judgement.violations
    ]
    lines += [_score(verdict, names[verdict.criterion_id]) for verdict in judgement.verdicts]
    lines += [
        Text(visible(f"?? {names[absence.criterion_id]}: {absence.reason}"), style="yellow")
        for absence in judgement.missing
    ]
    return Group(*lines, Text(parts(reward), style="dim"))


def parts(reward: Reward) -> str:
    """The reward and its parts."""
    if reward.value is None:
        return f"no reward: no verdict on {amount(len(reward.excluded), 'criterion', 'criteria')}"
    length = "" if reward.length is None else f", length {reward.length:.2f}"
    return (
        f"reward {reward.value:.3f} = criteria {reward.soft:.3f}{length}, "
        f"repetition {reward.repetition:.2f}; "
        f"{amount(len(set(reward.violations) - {GATE}), 'demand')} broken"
    )


def outcome(episode: WrittenEpisode) -> Group:
    """The text that stands, and why the loop ended."""
    lines: list[RenderableType] = [_panel(episode), Text(visible(_summary(episode)))]
    for lesson in episode.learned:
        lines.append(Text(visible(f"learned [{lesson.id}] {lesson.text}"), style="magenta"))
    return Group(*lines, *_lost(episode))


def _panel(episode: WrittenEpisode) -> Panel:
    mark = "" if episode.is_complete else ", the best so far: the run ended early"
    return Panel(Text(visible(episode.text)), title=f"Text {episode.best}{mark}")


def _lost(episode: WrittenEpisode) -> list[Text]:
    if not episode.dropped:
        return []
    lost = amount(len(episode.dropped), "reply or item", "replies or items")
    return [Text(f"{lost} dropped", style="yellow")]


def _summary(episode: WrittenEpisode) -> str:
    first, best = episode.attempts[0].reward.value, episode.attempts[episode.best].reward.value
    accepted = sum(attempt.decision == "accepted" for attempt in episode.attempts)
    refused = sum(attempt.decision == "refused" for attempt in episode.attempts)
    gain = "" if first is None or best is None else f"; reward {first:.3f} → {best:.3f}"
    return (
        f"{amount(accepted, 'revision')} accepted, {refused} rolled back{gain}; "
        f"ended because {episode.stopped}"
    )


def in_a_line(episode: Episode) -> str:
    """The result of a graph's run in one line."""
    if episode.best is None:
        return _short(text_of(episode) or json.dumps(episode.output, ensure_ascii=False))
    standing = episode.attempts[episode.best]
    reward = standing.reward.value
    earned = "no reward" if reward is None else f"reward {reward:.3f}"
    return f"{earned}{'' if episode.is_complete else ', ended early'}; {_short(standing.text)}"


def whole(episode: Episode) -> RenderableType:
    """The result of a graph's run: its texts and their fates, its criteria, or its raw output."""
    if episode.attempts:
        written = WrittenEpisode.model_validate(episode.model_dump())
        return Group(attempts_tree(written), outcome(written))
    if episode.criteria_set:
        lines = (f"{each.name}: {each.description}" for each in episode.criteria_set.criteria)
        return Text(visible("\n".join([episode.criteria_set.core.storyline, *lines])))
    text = text_of(episode)
    if text is not None and len(episode.output or {}) == 1:
        return Text(visible(text))
    return Text(visible(json.dumps(episode.output, ensure_ascii=False, indent=1)))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_QUOTE else words[: LONGEST_QUOTE - 1] + "…"


def _headline(attempt: Attempt) -> Text:
    change = "" if attempt.delta is None else f"  ΔR {attempt.delta:+.3f}"
    what = "first draft" if attempt.parent is None else f"revision of {attempt.parent}"
    colour = {"accepted": "green", "refused": "red"}.get(attempt.decision, "cyan")
    return Text.assemble(
        (f"{attempt.number} {what}", "bold"),
        ("" if attempt.decision == "first" else f"  {attempt.decision}", colour),
        change,
    )


def _score(verdict: Verdict, name: str) -> Text:
    quote = f" “{_short(verdict.quote or '')}” [{verdict.evidence}]"
    cited = quote if verdict.evidence else " (nothing cited)"
    score = f"{round(verdict.score, 1):>4g}  "
    return Text.assemble(score, visible(name), (visible(cited), "green"))
