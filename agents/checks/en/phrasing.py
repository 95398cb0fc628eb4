"""English passages: where they are cut, what their phrases name, who tells a text."""

import re

from quillgraph.agents.checks.language import ClauseBreak, PhraseKind
from quillgraph.agents.text.phrases import Phrasing

_BREAKS = re.compile(
    r"[.,;:!?()\[\]{}\"“”<>/\n…—–]+|\s-\s"
    r"|\b(?:and|or|but|that|which|who|whom|whose|when|where|while|if|because|so|than|then|as|for"
    r"|in|into|about|with|to|from|by|at|on|onto|over|through|during|between|among|towards?"
    r"|is|are|was|were|be|been|being|am|has|have|had|do|does|did|should|must|can|could|will"
    r"|would|may|might|shall|it|its|they|them|he|she|you|i|me|we|us|this|these|those|there"
    r"|please|write|compose|create|make|give|tell|set|use|keep|generate|provide|need|want|like"
    r"|help|let|under|below|above|within|using|based|per|not|no|don't|each|every|very)\b",
    re.IGNORECASE,
)
_EDGES = re.compile(
    r"^[a-z]{3,}s\s+(?=(?:a|an|the|my|our|your|his|her|their)\s)"
    r"|^(?:(?:a|an|the|my|our|your|his|her|their|some|any|of)\s+)+|\s+of$",
    re.I,
)
PHRASING = Phrasing(
    breaks=_BREAKS,
    edges=(_EDGES, _EDGES),  # twice: an article may stand behind the verb
    fewest_characters=4,
    longest=5,
    longest_rule=12,
    longest_rest=7,
)

CLAUSES = ClauseBreak(
    re.compile(
        r",\s+(?=(?:and\s+|but\s+|or\s+)?(?:with|without|in|using|use|written|including|includes?|"
        r"make|makes|keep|set|told|ending|ends?|avoid|do not|don't|never|no|not|under|at least|"
        r"at most|"
        r"about|around|approximately|featuring|each|between|must|should|start|starting|begin|focus|"
        r"focusing|highlight|highlighting|ensure|mention|write|add|give|from the|divided|targeting|"
        r"aimed|incorporating|exploring|describing|describe|explain|discuss|provide)\b)"
        r"|\s(?=and\s+(?:must|should|include|end with|do not|don't|make sure|avoid|without|keep|"
        r"mention)\b)",
        re.IGNORECASE,
    )
)

DEMANDS = re.compile(
    r"\b(?:write|compose|create|draft|generate|must|should|shall|please|include|avoid|don't|do not|"
    r"at least|at most|words?|paragraphs?|lines|style|tone|format|ensure|need|want|help me)\b",
    re.IGNORECASE,
)

PRONOUNS = re.compile(
    r"\b(?P<first>i|i'(?:m|ve|d|ll)|me|my|mine|myself|we|us|our|ours|ourselves)\b(?!\.)"
    r"|\b(?P<second>you|your|yours|yourself|yourselves)\b"
    r"|\b(?P<third>he|him|his|himself|she|her|hers|herself|they|them|their|theirs|themselves)\b",
    re.IGNORECASE,
)

_FORM = re.compile(
    r"(?:stor(?:y|ies)|tales?|poems?|poetry|verses?|haikus?|sonnets?|limericks?|ballads?|odes?"
    r"|quatrains?|couplets?|lyrics|songs?|letters?|memos?|memorandum|e-?mails?|toasts?|speech(?:es)?"
    r"|eulog(?:y|ies)|obituary|essays?|articles?|reports?|reviews?|blogs?|posts?|novels?|novellas?"
    r"|scripts?|screenplays?|monologues?|dialogues?|diary|invitations?|cards?|adverts?"
    r"|advertisements?|slogans?|captions?|tweets?|guides?|manuals?|notices?|announcements?"
    r"|newsletters?|proposals?|plans?|summary|abstract|notes?|fables?|myths?|sketch(?:es)?"
    r"|scenes?|chapters?|biography|outlines?|pitch|statements?|recipes?|press release|bio)"
)
_PERSON = re.compile(
    r"(?:wom[ae]n|m[ae]n|people|persons?|child(?:ren)?|kids?|bab(?:y|ies)|boys?|girls?|guys?|sons?"
    r"|daughters?|(?:grand|step)?(?:mother|father|son|daughter)s?|mom|mum|dad|grandma|grandpa"
    r"|parents?|brothers?|sisters?|aunts?|uncles?|cousins?|nephews?|nieces?|wi(?:fe|ves)|husbands?"
    r"|friends?|brides?|grooms?|couple|twins?|hero(?:es)?|heroines?|nurses?|cooks?|guests?|clerks?"
    r"|monks?|priests?|kings?|queens?|princes?|princess(?:es)?|thie(?:f|ves)|spy|spies|robots?"
    r"|pirates?|ghosts?|students?|patients?|clients?|residents?|customers?|colleagues?|staff"
    r"|crowd|family|team|audience|\w+(?:man|men|woman|women|folk)"
    r"|\w{3,}(?:er|or|ist|eur|ician)s?)"
)
_NO_PERSON = re.compile(
    r"(?:paper|winter|summer|weather|water|river|tower|power|flower|shower|dinner|supper|number|order"
    r"|corner|matter|\w+ber|laughter|silver|copper|leather|feather|harbou?r|colou?r|humou?r|door"
    r"|floor|mirror|error|terror|horror|honou?r|labou?r|behaviou?r|flavou?r|favou?r|odou?r|rumou?r"
    r"|computer|border|shelter|theater|center|disorder|danger|anger|hunger|finger|shoulder|butter"
    r"|sugar|soccer|ladder|letter|poster|chapter|timer|printer|tractor|motor|elevator|twist|mist"
    r"|fist|list|wrist|thunder|wonder|murder|disaster|monitor|supper|counter|easter"
    r"|layer|prayer|drawer|trailer|over|under|after|other|another|ever|never|together|rather)s?"
)
_MANNER = re.compile(
    r"(?:tone|style|voice|mood|manner|language|register|tense|atmosphere|humou?r|wit|irony|dry|funny|witty|humorous|formal|informal|casual|warm|gentle"
    r"|calm|serious|sober|playful|simple|plain|professional|poetic|lyrical|ironic|sarcastic|solemn"
    r"|cheerful|restrained|friendly|polite|quiet|light|vivid|clear|sincere|honest|tender|eerie|cozy"
    r"|dreamy|dramatic|suspenseful|conversational|humble|respectful|upbeat)"
)
_FEELING = re.compile(
    r"(?:afraid|scared|lonely|sad|happy|angry|proud|worried|anxious|homesick|jealous|grief|fears?"
    r"|love|longing|joy|sorrow|nostalgia|hope|loss|regret|jealousy|anger|loneliness|guilt|shame"
    r"|homesickness|tenderness|gratitude|happiness|sadness)"
)
_ACTION = re.compile(
    r"(?!(?:wedding|evening|morning|building|spring|string|ceiling)\b)\w{2,}ing\s+\w|(?:feel|find|take|go|come|learn|become|leave|lose|meet|happen|return|celebrate"
    r"|honou?r|invite|thank|encourage|promote|save|travel)s?\b"
    r"|\w+\s+(?:a|an|the|my|our|your|his|her|their)\s",
    re.IGNORECASE,
)


def kind_of(phrase: str) -> PhraseKind:
    """Name what a phrase is of by its last word; in "keeper of bees", the one before "of"."""
    words = re.findall(r"[\w'’-]+", phrase.casefold().partition(" of ")[0])
    last = words[-1] if words else ""
    if _ACTION.match(phrase):
        return "action"
    if _FORM.fullmatch(last):
        return "form"
    if _MANNER.fullmatch(last):
        return "manner"
    if _FEELING.fullmatch(last):
        return "feeling"
    if _PERSON.fullmatch(last) and not _NO_PERSON.fullmatch(last):
        return "person"
    return "thing"
