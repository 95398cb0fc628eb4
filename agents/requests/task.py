"""From raw text to a writing task."""

import re

from quillgraph.agents.domain import MAX_REQUEST_CHARS, WritingTask
from quillgraph.agents.text.language import language_of
from quillgraph.backends.errors import InputError

GENRES = {
    "poem": r"poem|poetry|verse|haiku|sonnet|limerick|ballad|ode|诗|词牌|绝句|律诗",
    "song": r"song|lyrics|rap|歌词|歌曲",
    "script": r"screenplay|script|dialogue|monologue|play|scene|剧本|台词|小品|相声",
    "story": r"stor(?:y|ies)|novel(?:la)?|tale|fable|fiction|chapter|故事|小说|童话|寓言",
    "letter": r"letter|e-?mail|postcard|书信|一封信|邮件|家书",
    "speech": r"speech|toast|eulogy|sermon|address|演讲|发言|致辞|悼词",
    "review": r"review|critique|书评|影评|评论|测评",
    "advertisement": r"ad|advert\w*|slogan|tagline|commercial|广告|文案|口号",
    "essay": r"essay|reflection|memoir|散文|随笔|作文|读后感",
    "article": r"article|blog|post|report|news|文章|报道|新闻|博客",
}
"""Words that name a genre; the one that comes first in the request wins."""


NO_REQUEST = "A passage of prose."
"""Stands for the request where nobody has said what was asked for."""


def writing_task(request: str) -> WritingTask:
    """Make a task of a request.

    Raises:
        InputError: If the request is blank, too long, or holds bytes that are not text.
    """
    text = request.strip()
    if not text:
        raise InputError("expected a writing request, got an empty text; say what is to be written")
    if len(text) > MAX_REQUEST_CHARS:
        raise InputError(
            f"expected a request of at most {MAX_REQUEST_CHARS:,} characters, got {len(text):,}; "
            "leave out material that the text does not depend on"
        )
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError("expected text, got binary data; give a UTF-8 text file")
    return WritingTask(request=text, language=language_of(text), genre=genre_of(text))


def genre_of(text: str) -> str:
    """Name the genre that a request asks for; `writing` if it names none."""
    genres = []
    for genre, words in GENRES.items():
        # not \b, which Chinese characters know nothing of: no letter may go on on either side
        pattern = rf"(?<![a-z](?=[a-z]))(?:{words})s?(?!(?<=[a-z])[a-z])"
        if match := re.search(pattern, text, re.IGNORECASE):
            genres.append((match.start(), genre))
    return min(genres)[1] if genres else "writing"
