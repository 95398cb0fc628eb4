"""How a small model revises: it writes new sentences into the places that the plan points at.

Asked to rewrite the whole text by a plan, a model of 135M parameters writes about the text (LOG.md
2026-11-23). It can continue a text, so each edit replaces one sentence, and all others stay as they
are. The aim of an edit is next to the request: after the text, it would make the model continue
with words about the aim (benchmarks/first_impression.py).
"""

from collections.abc import Sequence

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.replies import answer_of
from quillgraph.agents.role import Role, say, side_by_side
from quillgraph.agents.text.language import is_cjk
from quillgraph.agents.text.meta_talk import without_frame, without_meta
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.agents.writers.reflection import Reflection
from quillgraph.agents.writers.sampling import writing_options
from quillgraph.backends.messages import was_cut

MOST_SENTENCES = 2
"""Most sentences that replace one."""

BEFORE_CHARS = 600
"""Characters of the text before the edit that the writer sees."""

SPLICE_TOKENS = 80


async def splice(
    task: WritingTask, draft: str, edits: Sequence[Reflection], role: Role, *, number: int
) -> str | None:
    """Replace the sentences that the edits quote.

    Returns:
        The text with its new sentences; None where no edit points at a sentence.
    """
    # of two sentences that are alike, and of two edits of one sentence, the first counts
    spans = {draft[a:b]: (a, b) for a, b in reversed(sentence_spans(draft))}
    places = {
        spans[edit.quote]: edit for edit in reversed(edits) if edit.quote and edit.quote in spans
    }
    if not places:
        return None
    new = await side_by_side(
        _sentences(task, draft[: span[0]], edit, role, item=f"splice/{number}/{span[0]}")
        for span, edit in places.items()
    )
    text = draft
    # from the end, so that the places before stay where they are
    for (start, end), words in sorted(zip(places, new, strict=True), reverse=True):
        text = text[:start] + (words or draft[start:end]) + text[end:]
    return text


async def _sentences(
    task: WritingTask, before: str, edit: Reflection, role: Role, *, item: str
) -> str:
    """One or two sentences that continue the text before; empty if none is usable."""
    reply = await say(
        role,
        render(
            "splicing",
            request=role.brief(task),
            before=before[-BEFORE_CHARS:].strip() or "…",
            aim=edit.fix,
        ),
        item=item,
        max_tokens=SPLICE_TOKENS,
        **writing_options(role),
    )
    text = without_meta(without_frame(answer_of(reply).words))
    sentences = [text[slice(*span)] for span in sentence_spans(text)]
    if was_cut(reply):
        sentences = sentences[:-1]
    return ("" if is_cjk(text) else " ").join(sentences[:MOST_SENTENCES])
