"""English names and descriptions of what code can check."""

from quillgraph.agents.checks.wording import Ranges, Wording

_UNITS = {
    "word_count": ("word", "words"),
    "char_count": ("character", "characters"),
    "sentence_count": ("sentence", "sentences"),
    "line_count": ("line", "lines"),
    "paragraph_count": ("paragraph", "paragraphs"),
    "stanza_count": ("stanza", "stanzas"),
    "section_count": ("section", "sections"),
    "list_count": ("bullet point", "bullet points"),
}
_LANGUAGES = {
    "en": "English",
    "zh": "Chinese",
    "ja": "Japanese",
    "ko": "Korean",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "ru": "Russian",
    "ar": "Arabic",
    "hi": "Hindi",
    "nl": "Dutch",
    "pl": "Polish",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "la": "Latin",
    "el": "Greek",
    "sv": "Swedish",
    "th": "Thai",
}
LANGUAGE_CODES = {name.casefold(): code for code, name in _LANGUAGES.items()}
"""ISO 639-1 codes by the English names of the languages that requests may demand."""

WORDING = Wording(
    code="en",
    units=_UNITS,
    named_range=Ranges(
        at_least="At least {low} {units}",
        at_most="At most {high} {units}",
        exactly="{low} {unit}",
        between="{low} to {high} {units}",
    ),
    range_in_sentence=Ranges(
        at_least="at least {low} {units}",
        at_most="at most {high} {units}",
        exactly="exactly {low} {units}",
        between="{low} to {high} {units}",
    ),
    about="About {number} {units}",
    term="“{term}”",
    includes="Includes {terms}",
    includes_one="Includes one of {terms}",
    leaves_out="Leaves out {terms}",
    starts_with="Starts with “{text}”",
    ends_with="Ends with “{text}”",
    verse="{lines} verses of {characters} characters",
    equal_verse="{lines} verses of equally many characters",
    forms={
        "list": "A list",
        "numbered_list": "A numbered list",
        "no_list": "No lists",
        "no_markdown": "Plain text",
        "headings": "With headings",
        "no_headings": "No headings",
        "table": "A table",
        "letter": "A letter",
    },
    persons={
        "first": "In the first person",
        "second": "In the second person",
        "third": "In the third person",
    },
    languages=_LANGUAGES,
    written_in="In {language}",
    dialogue=("No dialogue", "With dialogue"),
    title=("No title", "With a title"),
    descriptions=dict.fromkeys(_UNITS, "The text has {count}."),
    description="The text keeps to this demand: {clause}.",
)
