"""Self-Refine (arXiv:2303.17651): a writer criticises a draft of its own and writes it again.

It has no criteria, no memory and no rule of acceptance: the baseline for graphs that have them.
"""

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.prompt import render
from quillgraph.agents.role import Role, say
from quillgraph.agents.text.meta_talk import without_frame
from quillgraph.agents.text.sentences import up_to_last_sentence
from quillgraph.agents.writers.sampling import writing_options
from quillgraph.backends.messages import was_cut

FEEDBACK_TOKENS = 160
"""Longest feedback: a few sentences."""


async def criticise(task: WritingTask, draft: str, role: Role, *, number: int) -> str:
    """Say in free words what would make a draft better; `number` is the round."""
    messages = render("criticising", request=role.brief(task), draft=draft)
    reply = await say(
        role, messages, item=f"criticise/{number}", temperature=0.8, max_tokens=FEEDBACK_TOKENS
    )
    return str(reply.content).strip()


async def refine(
    task: WritingTask, draft: str, feedback: str, role: Role, *, number: int, max_tokens: int
) -> str:
    """Rewrite a draft by feedback; it stays where the reply has only words about the text.

    The new text is taken whether it is better or not, as in Self-Refine.
    """
    messages = render("refining", request=role.brief(task), draft=draft, feedback=feedback)
    reply = await say(
        role, messages, item=f"refine/{number}", max_tokens=max_tokens, **writing_options(role)
    )
    text = str(reply.content)
    cut = was_cut(reply)
    return without_frame(up_to_last_sentence(text) if cut else text) or draft
