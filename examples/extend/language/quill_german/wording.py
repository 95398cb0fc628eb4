"""German names and descriptions of what code can check."""

from quillgraph.agents.checks import Ranges, Wording

WORDING = Wording(
    code="de",
    units={
        "word_count": ("Wort", "Wörter"),
        "char_count": ("Zeichen", "Zeichen"),
        "sentence_count": ("Satz", "Sätze"),
        "line_count": ("Zeile", "Zeilen"),
        "paragraph_count": ("Absatz", "Absätze"),
        "stanza_count": ("Strophe", "Strophen"),
        "section_count": ("Abschnitt", "Abschnitte"),
        "list_count": ("Listenpunkt", "Listenpunkte"),
    },
    named_range=Ranges(
        at_least="Mindestens {low} {unit}",
        at_most="Höchstens {high} {units}",
        exactly="{low} {unit}",
        between="{low} bis {high} {units}",
    ),
    range_in_sentence=Ranges(
        at_least="mindestens {low} {unit}",
        at_most="höchstens {high} {units}",
        exactly="genau {low} {unit}",
        between="{low} bis {high} {units}",
    ),
    about="Etwa {number} {units}",
    term="„{term}“",
    includes="Enthält {terms}",
    includes_one="Enthält eines von {terms}",
    leaves_out="Verzichtet auf {terms}",
    starts_with="Beginnt mit „{text}“",
    ends_with="Endet mit „{text}“",
    verse="{lines} Verse zu {characters} Zeichen",
    equal_verse="{lines} gleich lange Verse",
    forms={
        "list": "Eine Liste",
        "numbered_list": "Eine nummerierte Liste",
        "no_list": "Keine Listen",
        "no_markdown": "Reiner Text",
        "headings": "Mit Überschriften",
        "no_headings": "Ohne Überschriften",
        "table": "Eine Tabelle",
        "letter": "Ein Brief",
    },
    persons={
        "first": "In der ersten Person",
        "second": "In der zweiten Person",
        "third": "In der dritten Person",
    },
    languages={"de": "Deutsch", "en": "Englisch", "zh": "Chinesisch", "fr": "Französisch"},
    written_in="Auf {language}",
    dialogue=("Ohne Dialog", "Mit Dialog"),
    title=("Ohne Titel", "Mit Titel"),
    descriptions=dict.fromkeys(
        (
            *("word_count", "char_count", "sentence_count", "line_count"),
            *("paragraph_count", "stanza_count", "section_count", "list_count"),
        ),
        "Der Text hat {count}.",
    ),
    description="Der Text hält sich an diese Vorgabe: {clause}.",
)
