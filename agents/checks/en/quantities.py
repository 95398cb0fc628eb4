"""The words of quantities in English requests."""

from quillgraph.agents.checks.en.numerals import NUMBER, read_number
from quillgraph.agents.checks.quantity import QuantityWords, Range


def _read(text: str) -> Range | None:
    number = read_number(text)
    return None if number is None else (number, number)


MAKE = (
    r"\b(?:write|writing|compose|create|craft|draft|generate|produce|make|prepare|give|provide|need"
    r"|want|develop|brainstorm|design|establish|expand|extend|rewrite|rework|summari[sz]e|tell"
    r"|deliver|turn|format|construct|complete|present|build|come up with|looking for"
    r"|would like|i'd like|continue|describe|explain|respond|response|answer|reply|output|trim"
    r"|cut (?:it|this|that|them)?(?: down)?|shorten|condense|compress|reduce|pen|paraphrase"
    r"|rephrase|translate|list|outline|introduce|argue|discuss|narrate|compare|use|using|keep"
    r"|fit|fits|do(?= (?:me |us )?an?\b))\b"
)
"""Pattern of the verbs by which a text is asked for."""

TEXT = (
    r"\b(?:stor(?:y|ies)|tales?|poems?|essays?|articles?|posts?|letters?|e-?mails?|speech(?:es)?"
    r"|reports?|reviews?|scripts?|novels?|novellas?|blogs?|texts?|pieces?|documents?|papers?"
    r"|press releases?|summar(?:y|ies)|responses?|answers?|repl(?:y|ies)|messages?|notes?|bios?"
    r"|biograph(?:y|ies)|obituar(?:y|ies)|eulog(?:y|ies)|toasts?|songs?|ads?|copy|outlines?"
    r"|statements?|memos?|tweets?|captions?|manuscripts?|content|narratives?|microfiction|drabble"
    r"|work|output|newsletters?|guides?|listicles?|monologues?|proposals?|columns?|it|this|op-eds?)\b"
)
"""Pattern of what a whole text is called."""

PIECE = (
    r"\b(?:intro(?:ductio|ductory)?n?|conclu(?:sions?|ding)|hooks?|bridges?|chorus(?:es)?|scenes?"
    r"|segments?|headings?|subheadings?|slogans?|bullets?|openings?|endings?|entr(?:y|ies)"
    r"|descriptions?|options?|versions?|variations?|examples?|items?|points?|steps?|tips?|reasons?"
    r"|verses?|slogans?|sub-?slogans?|tag ?lines?|names?|facts?|quotes?|jokes?|questions?|lead"
    r"|ledes?|beginning|dialogues?|cells?|slides?"
    r"|cards?|definitions?|explanations?|biographies|profiles|acts?)\b"
)
"""Pattern of parts that a text does not mark, so that code cannot find them in it."""

WORDS = QuantityWords(
    number=NUMBER,
    read=_read,
    by_words=True,
    scales="k",
    adjectives=(
        r"\b(?:short|long|full|complete|brief|distinct|separate|different|main|key|clear|crisp"
        r"|concise|English|rhyming|single|written|actual|more|further|additional|quick|simple"
        r"|punchy|tight|well-developed|total)\b"
    ),
    units={
        "word": r"\bwords?(?![a-z])(?! (?:count|limit|range|target|goal|requirement"
        r"|maximum:|search|problem|game|association|choice))",
        "character": r"\bcharacters?(?![a-z])(?! (?:limit|count))|\bchars?\b",
        "list": r"\b(?:bullet(?:ed)?[- ]?points?|bullets|list items)\b",
        "line": r"\blines?\b(?! (?:break|limit|count|of (?:dialog|code|text|work|business)))",
        "sentence": r"\bsentences?\b",
        "paragraph": r"\bparagraphs?\b",
        "stanza": r"\bstanzas?\b",
        "section": r"\b(?:sections?|chapters?|parts?)\b",
    },
    tokens={
        "length_most": (
            r"\b(?:(?:max(?:imum)?|word|character|upper|length|hard|strict)[ -])+(?:limit"
            r"|max(?:imum)?)\b"
            r"(?: (?:for|on) (?:\w+ ){1,3}is\b)?"
            r"|\bmax(?:imum)?\.? (?:length|word count|words?)\b(?=\W{0,2}(?: is| of)?[: ]+\d)"
        ),
        "length": (
            r"\b(?:(?:total |target |approximate |required |desired |final )*"
            r"(?:word|length)[- ]?(?:count|range|requirement|target|goal|total)s?"
            r"|length(?= ?(?:[:=]|is|of)))\b"
        ),
        "most": (
            r"\b(?:up to|at (?:the )?(?:very )?(?:most|max(?:imum)?)|within|(?:a "
            r"|the )?max(?:imum)?(?: of)?"
            r"|(?:limit|cap|hold|restrict)(?:ed|ing)? (?:\w+ ){0,2}?(?:to|at)|(?:a "
            r"|the )?(?:upper )?limit (?:of|is)"
            r"|capped at|fits? (?:in(?:to|side)?|within)|keep (?:it|this|that"
            r"|everything) to(?! about| around| roughly))\b\.?"
        ),
        "after_most": (r"\bor (?:less|fewer|under|shorter|below|so max)\b|\btops\b|\blimit\b"),
        "after_least": r"\bor (?:more|longer|above|over)\b|\band (?:above|up)\b|(?<=\d)\+|\+(?=\s)",
        "after_about": r"\bor so\b|\bor thereabouts\b|(?<=\d)-?ish\b",
        "least": r"\b(?:at (?:the )?(?:very )?leas[te]|(?:a |the )?min(?:imum)?(?: of)?"
        r"|upwards? of)\b\.?",
        "about": (
            r"\b(?:about|around|approximately|approx|roughly|circa|nearly|almost|close to|some"
            r"|somewhere|something like|maybe|perhaps|in the (?:region|neighbou?rhood"
            r"|vicinity) of|aim(?:ing)? for)\b(?!\s+\d+\s*(?:%|percent))\.?(?=\s)|[~≈]"
        ),
        "exact": r"\b(?:exactly|precisely|strictly|to the word)\b",
        "between": r"\b(?:between|anywhere from|anything from|ranging from|from)\b",
        "more": (
            r"\b(?:(?:more|longer|greater|larger|bigger) than|over|above|beyond|exceed(?:s|ing|ed)?"
            r"|in excess of|surpass(?:es|ing)?|go(?:es|ing)? (?:over|past|above|beyond))\b"
        ),
        "less": r"\b(?:(?:less|fewer|shorter|smaller|lower) than|under|below)\b",
        "margin": r"±|\+/?\s?[-–−]|\bplus[ -](?:or|/)[ -]minus\b|\bgive or take\b",
        "percent": r"%|\bper ?cent\b",
        "make": MAKE,
        "part_title": r"\b(?:(?:SEO |working )?titles?|headlines?)(?! (?:of|for) (?:the|this"
        r"|my))\b",
        "part_subject": r"\bsubject lines?\b",
        "part_abstract": r"\babstracts?\b",
        "part_meta": r"\bmeta[- ]descriptions?\b",
        "part_subtitle": r"\b(?:sub-?(?:title|headline|header)s?)\b",
        "part_preheader": r"\b(?:pre-?headers?|preview text)\b",
        "piece": PIECE,
        "text": TEXT,
        "each": r"\b(?:each|every|per|apiece|any|all(?: the| of the| your)?)\b",
        "begin": r"\b(?:begin|begins|start|starts|open|opens|starting|beginning with)\b",
        "finish": r"\b(?:end|ends|ending|finish|finishes|conclude|concludes|close|closes)\b",
        "whole": r"\b(?:(?:in )?total(?:l?ing)?|overall|entire|whole|altogether|in all|combined)\b",
        "ordinal": (
            r"\b(?:first|second|third|fourth|fifth|last|final|opening|closing|1st|2nd|3rd)\b"
        ),
        "joiner": r"\b(?:to|or|through)\b|[-–—~−]",
        "and": r"\band\b|&",
        "break": r"\b(?:but|then|that|which|who|whose|while|because|where|when)\b",
        "not": r"\b(?:no|not|never|nothing|none|cannot|without|avoid|nor|neither|\w+n['’]t|dont)\b",
        "open": r"[(\[]",
        "comma": r",",
        "stop": r"[;)\].!?\n]",
        "colon": r":",
        "filler": r"\b(?:of|is|a|an|the|be|it|are|this|just|only|than|maximum|total|also|then)\b|=",
        "modal": r"\b(?:must|should|may|can|will|has to|have to|needs? to|do|does)\b",
    },
)
