"""Whether an English count is asked for, or told of something in the text or of another text."""

import re
from collections.abc import Sequence

from quillgraph.agents.checks.en.quantities import MAKE, PIECE, TEXT
from quillgraph.agents.checks.quantity import Quantity, Token

_FLAGS = re.IGNORECASE
_MAKING = re.compile(MAKE, _FLAGS)
_MODAL = re.compile(
    r"\b(?:should|must|to|will|can|ca|wo|shall|needs?|please|ensure|has|do|does)(?:n['’]t|not)?\s+(?:\w+\s+){0,2}"
    r"(?:have|contain|be|exceed|reach|run|total|include|consist of|stay|fit)\s*(?:in\s*)?$"
    r"|\bhaving\s*$",
    _FLAGS,
)
_TOPIC = re.compile(
    r"\b(?:about|on|regarding|concerning|from|inspired by|reads?|receives?|finds?|found|sent"
    r"|(?:review|critique|analysis|reading|assessment|evaluation|history|description|feedback"
    r"|comparison|parody) of|how (?:long|many|to|do|can|I))\b",
    _FLAGS,
)
_OF_TEXT = re.compile(rf"{TEXT}\s+of\s+(?:the|this|my|our|his|her|an?)\s+(?:\w+\s+)?$", _FLAGS)
"""What stands before the length of a text that another one is about."""
_CLAUSE = re.compile(
    r"\b(?:who|whom|whose|which|(?<!so )that|where|when|because|whoever|whenever)(?:['’]s)?\b",
    _FLAGS,
)
"""What a relative clause begins with: what stands in it is narrated."""
_CLAUSE_OF_TEXT = re.compile(
    rf"(?:{TEXT}|\b(?:titles?|headlines?|abstract|meta[- ]description|paragraph|\w+))\s+(?:that"
    rf"|which)(?:['’]s|\s+(?:is|are|must|should|has|have|can|does|do|will|runs"
    r"|stays|contains?|fits?|consists? of|exceeds?|totals?|takes?(?: up)?"
    r"|spans?|covers?|\w+n['’]t))?(?:\s+(?:not|be|have|no"
    r"|n't|in|"
    r"approximately|about|roughly|at|least|most|exactly|contain|exceed|longer|than|only))*\s*$",
    _FLAGS,
)
"""A clause about the text that is asked for: "a story that is at least …"."""
_EACH_CLAUSE = re.compile(
    r"\b(?:where|in which|so that|that|which has|whose)\s+(?=(?:each|every|all|no|the (?:first"
    r"|last|opening"
    r"|final|closing|title)|sentences|lines|paragraphs|stanzas)\b)",
    _FLAGS,
)
"""A clause about each part of the text that is asked for."""
_HOW = re.compile(
    r"\b(?:how (?:to|do|can|should|I|you|we|one)(?: I| you| we)?|on|about|when (?:I|you|we)"
    r"|if (?:I|you|we)|(?:tips|advice|rules|guide) for|art of)\s*$",
    _FLAGS,
)
"""What stands before a verb of writing that is itself the topic."""
_NEW_CLAUSE = re.compile(r"(?:[,;:—–-]|\band|\bthen|\bplease|\balso)\s*$", _FLAGS)
"""What a verb stands behind that begins a demand of its own."""
_ADJUNCT = re.compile(r"(?:\b(?:in|within|using|under|of|to|at|for|so)|[,(–—:-])\s*$", _FLAGS)
_WITH = re.compile(
    r"^(?!.*\b(?:who|which|that|whose|where|when)\b).*\b(?:with|and)\s*$", _FLAGS | re.DOTALL
)
"""Limits behind a topic: "an article on sleep with a maximum of …"."""
_SPEECH = re.compile(
    r"\b(?:speaks?|says?|talks?|writes?|answers?|tells?|communicates?|texts?|types?|reads?|uses?"
    r"|repl(?:y|ies)|sends?|gets?|has|have)\b",
    _FLAGS,
)
_REPORTED = re.compile(
    r"\b(?:has|have|had|contain(?:s|ed)?|wrote|written|was|were|reads?|spent|spends|learn(?:ed|t"
    r"|s)?|(?:is|are) (?:paid|given|allowed|charged)|got|already|currently"
    r"|(?:my|this|our|original|existing|current) (?:\w+ ){0,3}?(?:is|runs?)"
    r"(?: currently| about| at)?"
    r"|knows?|knew|said|takes?|took|lost|sent|writes|types)\s*$"
    r"|\b(?:these|those|the|first|last|this|that|my"
    r"|(?:the|this|my|our|these|that) (?:attached|given|provided|enclosed|above|existing|full"
    r"|longer)"
    r"|his|her|their|our|its|following|of each|every|each|per|other|any|all|whole|your)\s*$",
    _FLAGS,
)
_HAS = re.compile(r"\b(?:has|had|contains?|contained)\b(?! (?:to|a limit|a maximum))", _FLAGS)
_REPORTED_AFTER = re.compile(
    r"[^.;:!?]{0,30}\b(?:I|we|you) (?:have |just |already )*(?:submitted|wrote|sent|got|had"
    r"|found)\b"
    r"|\s*(?:essay|article|story|text|post) (?:of mine|below|above|I\b)",
)
_CONTINUED = re.compile(
    r"\b(?:continue|go on|write|add|extend)\b[^.;]*\b(?:another|next)\s*$"
    r"|\b(?:write|draft)\s+(?:me\s+)?the (?:first|opening)\s*$",
    _FLAGS,
)
_CHANGE = re.compile(
    r"\b(?:by|add|adding|cut|remove|delete|drop|lose|shave(?: off)?|trim|insert)\s*"
    r"(?:(?:about|around|another|up to|at least|at most)\s*)?$",
    _FLAGS,
)
"""How much a given text is to grow or shrink, which says nothing of its length."""
_AFTER = re.compile(
    r"\s*(?:long\s*)?(?:,\s*)?(?:a (?:day|minute|week|month|page|second)\b|per\b|every\b"
    r"|(?:of|from) (?:dialog(?:ue)?|code|the|each|these|this|those|it|evidence|his|her|their)\b"
    r"|for (?:the|an?) .{0,40}(?:section|part|chapter|introduction|conclusion|paragraph)\b"
    r"|in (?:under |less than )?(?:\w+ ){1,2}(?:minutes|hours|days|seconds)\b)",
    _FLAGS,
)
_CHOSEN = re.compile(
    r"\s*(?:that|which|rhyming|starting|beginning|related|of (?!prose|text|copy|content)[A-Z])\b"
)
"""What follows words that are looked for, as in "ten words that rhyme"."""
_NARRATED_AFTER = re.compile(
    r"\b(?:wrote|said|told|explained|described|complained|to live)\b", _FLAGS
)
_DIVIDED = re.compile(
    r"\b(?:divided?|split|organi[sz]ed?|structured?|separated?|broken)\b[^.]{0,20}\b(?:into"
    r"|in)\s*(?:at least\s*|at most\s*)?$",
    _FLAGS,
)
_UNMARKED = re.compile(r"\b(?:story|plot|narrative|main (?:content|body|part)|body)\b", _FLAGS)
"""What is divided without showing it, or is itself a part."""
_ARRANGED = re.compile(rf"^\W*$|\b(?:in|into|as|us(?:e|ing))\s*$|{MAKE}\s+(?:me\s+)?$", _FLAGS)
"""What stands before bullets that are marks and not what guns shoot."""
_LEAD = re.compile(
    r"(?:^|[,:;(\[\-•*，：；、（]|\b(?:in|with|of|into|using|write|compose|be|exactly|include|comprising|only"
    r"|consists? of|consisting of|to|create|make|just|give me|me|generate|an?|is|it|['’]s|and"
    r"|for|but"
    r"|total(?:ing|ling|s|led)?|overall|cut down|than|keep it|need|want))\s*$",
    _FLAGS,
)
_SUBJECT = re.compile(
    r"[^\w]*(?:(?:and|but|also|finally|lastly)\s+)?(?:the|your|its|his|her|their)\s+"
    r"(?:[\w'’-]+\s+){0,3}?(?P<noun>[\w'’-]+)\s+"
    r"(?:should|must|has to|have to|needs? to|can(?:not|['’]t)?|shall|will|may|ought to"
    r"|is to|cannot)\b",
    _FLAGS,
)
_WHOLE_TEXT = re.compile(
    r"texts?|pieces?|content|length|total|output|responses?|answers?|results?|documents?|works?"
    r"|writing|drafts?|count|thing|story|essay|article|body|limit|submission|paragraph|version"
    r"|assignment|final|rest|composition",
    _FLAGS,
)
"""What a request calls its text, whatever it asks for."""
_SMALL = re.compile(
    r"summary|bios?|biography|captions?|notes?|messages?|tweets?|poems?|songs?|ads?|outline"
    r"|statements?|toast|letters?|e-?mails?|abstract|dialogue|scripts?|memos?|guide|copy",
    _FLAGS,
)
"""Texts that may be part of another one."""
_WISH = re.compile(
    r"\b(?:ideally|preferably|if possible|usually|normally|typically)\b"
    r"(?!.*\bbut\b)",
    _FLAGS,
)
"""What makes a length a wish or a habit."""
_COUNTED = r"(?:two|three|four|five|six|seven|eight|nine|ten|several|some|\d+)"
_SEVERAL = re.compile(
    rf"\b{_COUNTED}\s+(?:[a-z-]+\s+){{0,2}}?(?:{TEXT}|{PIECE}|\b(?:titles|headlines|chapters|sections"
    r"|lines|paragraphs|stanzas)\b)(?<=s)\b[^,;:]*\b(?:with|of|in|under|within|to|at)\s*$"
    rf"|{MAKE}\s+(?:me\s+|us\s+)?{_COUNTED}\s+(?:[a-z-]+\s+){{0,2}}"
    r"(?!words|lines|paragraphs|sentences|pages|stanzas)[a-z]+s\b[^;]*,\s*$",
    _FLAGS,
)
"""Several texts are asked for, so that the length is that of one of them."""
_SEVERAL_TEXTS = re.compile(
    rf"(?:{TEXT}|\b(?:haiku|limerick|sonnet|title|tagline|caption|headline|slogan)\b)[^.;]*"
    r"\b(?:and|then|plus|followed by|along with|as well as)\s+(?:then\s+)?(?:also\s+)?(?:an?"
    r"|another"
    r"|one)\s*$",
    _FLAGS,
)
_FURTHER_TEXT = re.compile(
    rf"[^.;,]{{0,40}}?\b(?:and|plus|followed by|along with|as well as)\s+(?:then\s+)?(?:an?"
    rf"|another)\s+"
    rf"(?:[\w-]+\s+){{0,3}}?{TEXT}",
    _FLAGS,
)
"""What shows that two texts are asked for, so that the length is that of one of them."""
_PLURAL = re.compile(
    rf"\s+(?:(?!about|on|for|of|with|that|in|to|and|or|from|by)[\w-]+\s+){{0,3}}?{TEXT}(?<=s)\b",
    _FLAGS,
)
_FEWEST_CHARACTERS = 40
"""Fewer of them are people in a story, or letters of a name."""


def is_asked_of_part(quantity: Quantity, before: str, after: str) -> bool:
    """Whether a part is to be so long; a count of a part of something that is told is none."""
    if quantity.unit == "section" or (quantity.unit == "character" and quantity.high < 10):
        return False
    if _NARRATED_AFTER.search(after) or (_AFTER.match(after) and "per" not in after[:6]):
        return False
    tail = _EACH_CLAUSE.sub(" ", _after_verb(before))
    if _CLAUSE_OF_TEXT.search(before):
        return True
    told = _CLAUSE.search(tail) or re.search(r"\b(?:about|had|was|were|wrote)\b", tail)
    return not told


def is_asked_of_whole(quantity: Quantity, tokens: Sequence[Token], before: str, after: str) -> bool:
    """Whether the text is to be so long, and not something that is told of in it."""
    unit = quantity.unit or "word"
    if quantity.by_length:
        return not _CLAUSE.search(before)
    if _is_about_another_text(quantity, tokens, before, after):
        return False
    if _WISH.search(before) or _is_of_several(before, after):
        return False
    if unit == "section":
        return bool(_DIVIDED.search(before)) and not _UNMARKED.search(before)
    if _is_of_things(quantity, tokens, before, after):
        return False
    attributive = _is_attributive(quantity, tokens, after)
    if not _is_wanted(before, after, attributive=attributive) and not (
        not attributive and quantity.directions & {"most", "least"} and _WITH.search(before)
    ):
        return False
    if attributive or quantity.is_qualified:
        return True
    return bool(_LEAD.search(before) or _MODAL.search(before) or _CONTINUED.search(before))


def is_of_another_noun(before: str, text: str) -> bool:
    """Whether the sentence is about something that is not the text that is asked for.

    "The moral must be under 20 words" is about a part that nothing else in the request names;
    "the plan must be …" is about the text where a plan was asked for.
    """
    subject = _SUBJECT.match(before)
    if not subject or _MAKING.search(before, subject.end()):
        return False
    head = subject["noun"].casefold()
    if _WHOLE_TEXT.fullmatch(head):
        return False
    asked = re.search(rf"{MAKE}[^.!?\n]{{0,80}}?\b{re.escape(head)}\b", text, _FLAGS)
    if asked is None and re.fullmatch(TEXT, head, _FLAGS):
        # "write about tulips. The article must …", but "write a report. The summary must …"
        return _SMALL.fullmatch(head) is not None
    return asked is None


def _is_of_several(before: str, after: str) -> bool:
    """Whether it is the length of one of several texts."""
    alike = _SEVERAL.search(before) or _PLURAL.match(after)
    unlike = _SEVERAL_TEXTS.search(before) or _FURTHER_TEXT.match(after)
    return bool(alike or unlike)


def _is_of_things(quantity: Quantity, tokens: Sequence[Token], before: str, after: str) -> bool:
    """Whether it counts words to choose, people, or what guns shoot."""
    if quantity.unit == "word":
        return bool(_CHOSEN.match(after)) and not quantity.directions
    if quantity.unit == "list":
        named = tokens[quantity.last - 1].text.casefold()
        return named == "bullets" and not _ARRANGED.search(before)
    return quantity.unit == "character" and quantity.high < _FEWEST_CHARACTERS


def _words(quantity: Quantity, tokens: Sequence[Token]) -> str:
    """The words of its direction."""
    return " ".join(t.text for t in tokens[quantity.first : quantity.number]).casefold()


def _is_about_another_text(
    quantity: Quantity, tokens: Sequence[Token], before: str, after: str
) -> bool:
    """Whether it is the length of a text that is given, or how much is to be added to one."""
    if _AFTER.match(after) or _REPORTED_AFTER.match(after):
        return True
    if _CONTINUED.search(before):
        return False
    if (
        not quantity.has_length
        and _REPORTED.search(before)
        and not _MODAL.search(before)
        and not _CLAUSE_OF_TEXT.search(before)
        and "limit" not in before[-12:]
        and "limit" not in _words(quantity, tokens)
    ):
        return True
    if _HAS.search(before) and not (_MAKING.search(before) or _MODAL.search(before)):
        return True
    if re.match(r"\s*(?:to|from|off|of)\b", after) and _CHANGE.search(before):
        return True
    return bool(re.search(r"\bby\s*$", before)) or bool(
        _NARRATED_AFTER.search(after) and not _MAKING.search(before)
    )


def _is_attributive(quantity: Quantity, tokens: Sequence[Token], after: str) -> bool:
    """Whether it stands before a noun: "a 500-word essay", "a 14 lines sonnet"."""
    hyphen = tokens[quantity.last - 2].text in "-–‐‑" if quantity.last >= 2 else False
    noun = re.match(
        r"\s+(?!(?:or|and|in|on|about|for|to|of|with|that|which|by|per|max|min|at|tops|from|long"
        r"|but|is|are|maximum|minimum|if|as|please|exactly|total|each|using|where|when)\b)[a-z]",
        after,
        _FLAGS,
    )
    singular = not tokens[quantity.last - 1].text.casefold().endswith("s")
    return hyphen or (noun is not None and (singular or quantity.unit != "word"))


def _is_wanted(before: str, after: str, *, attributive: bool) -> bool:
    """Whether the thing so long is what the request asks for, rather than its topic."""
    if _CLAUSE_OF_TEXT.search(before):
        return True
    tail = _after_verb(before)
    clause, topic = _CLAUSE.search(tail), _TOPIC.search(tail)
    if tail is before and attributive:
        return topic is None and re.fullmatch(r"\W*(?:an?\s+)?(?:\w+\s+){0,2}", before) is not None
    if clause:
        return _ends_sentence(after) and _is_detached(tail[clause.end() :])
    if attributive and _OF_TEXT.search(tail):
        return False
    if topic:
        return not attributive and bool(_ADJUNCT.search(before))
    return True


def _after_verb(before: str) -> str:
    """What stands behind the last verb that asks for a text; all of it where there is none.

    A verb within what is narrated asks for nothing: "a child who must write 100 lines".
    """
    end = 0
    for verb in _MAKING.finditer(before):
        if _HOW.search(before[: verb.start()]):
            continue
        told = _CLAUSE.search(before, end, verb.start()) if end else None
        if not told or _NEW_CLAUSE.search(before[: verb.start()]):
            end = verb.end()
    return before[end:] if end else before


def _is_detached(told: str) -> bool:
    """Whether a length is said behind what is narrated, and not within it."""
    if re.search(r"[,(–—]\s*$", told):
        return True
    return bool(re.search(r"\b(?:in|within|under)\s*$|[,;]\s*\w*\s*$", told)) and not (
        _SPEECH.search(told)
    )


def _ends_sentence(after: str) -> bool:
    return re.match(r"\s*(?:[.,;!?)]|$|or\b|max|min|please|total|long\b)", after) is not None
