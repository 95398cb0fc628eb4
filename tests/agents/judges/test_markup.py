"""The text behind its marks."""

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from quillgraph.agents.checks.manner import Format
from quillgraph.agents.domain import Criterion
from quillgraph.agents.judges.markup import plain, text_for_judge


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "**Bold**, *leaning*, __both__, ~~gone~~ and `code`",
            "Bold, leaning, both, gone and code",
        ),
        ("# The Keeper\n\nHe slept.", "The Keeper\n\nHe slept."),
        ("The Keeper\n===\nHe slept.", "The Keeper\n\nHe slept."),
        ("> He slept.\n> She did not.", "He slept.\nShe did not."),
        ("One.\n\n---\n\nTwo.\n***\nThree.", "One.\n\nTwo.\n\nThree."),
        ("[a lamp](http://a.b/c) and ![a sea](d.png)", "a lamp and a sea"),
        ("```poem\nsalt\n  rope\n```", "salt\n  rope"),
        ("| lamp | oil |\n|---|---|\n| sea | salt |", "lamp oil\n\nsea salt"),
        ("", ""),
        ("* * *", ""),
    ],
)
def test_marks_go_and_words_stay(text: str, words: str) -> None:
    assert plain(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<p>One <b>two</b>.</p><p>**Three**.</p>", "One two.\n\nThree."),
        ("salt<br>rope<br/>\nlamp<BR><br />sea", "salt\nrope\nlamp\n\nsea"),
        ("<div class='x'>\n\nHe slept.\n\n</div>", "He slept."),
        ("He <!-- give 10 -->slept.", "He slept."),
        # no tags: a judge has to read what a reader sees
        ("Dear <name>,\nthank you for <product>.", "Dear <name>,\nthank you for <product>."),
        ("<sighs> I know. <Enter stage left>", "<sighs> I know. <Enter stage left>"),
        ("A List<String>, if a<b and c>d", "A List<String>, if a<b and c>d"),
        ("Dear <title> <address>", "Dear <title> <address>"),
        ("<title>Fog</title>", "Fog"),
        ("`<name>`", "<name>"),
        ("2 < 3, and 5 > 4", "2 < 3, and 5 > 4"),
        ("<3", "<3"),
    ],
)
def test_tags_go_and_what_they_part_stays_apart(text: str, words: str) -> None:
    assert plain(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- salt\n- rope\n  and oil\n- sea", "salt\nrope\nand oil\nsea"),
        ("1. salt\n2. rope", "salt\nrope"),
        ("* salt\n\n* rope\n\n  More rope.", "salt\n\nrope\n\nMore rope."),
        ("He has\n- salt\n- rope\nand sleeps.", "He has\nsalt\nrope\nand sleeps."),
        # speech behind dashes loses the dashes and keeps its words and lines
        ("- Hello, he said.\n- No.", "Hello, he said.\nNo."),
    ],
)
def test_a_list_loses_what_opens_its_items(text: str, words: str) -> None:
    assert plain(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "1984. It was a cold day.\n\nHe wrote.",
        "1984. It was cold.\n1985. It was colder.",
        "12. August. The boat is late.",
        "3) The third and last.",
        "1. The Beginning\n\nHe slept.\n\n2. The End\n\nHe woke.",
        "- Hello, he said.",
        "- Hello, he said.\n\nShe was silent.\n\n- Hello, he said again.",
        "— Hello.\n— No.",
        "–Hello.",
        "+ one",
        "[Mary]: Hello\n\n[John]: No",
        "#1 of the fans\n#sea",
        "a_b_c, 2 * 3 * 4, * and ~",
        "&amp; so on",
        "salt\n  rope\n      lamp\n\n    sea\n  sea",
        "　　灯灭了。\n　　海还醒着。\n\n　　天亮了。",
        "He slept,\nshe did not.\n\nDay.",
    ],
)
def test_what_only_looks_like_marks_stays(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_machines_are_line_ends(end: str) -> None:
    assert plain(f"salt{end}  rope{end}{end}  **sea**{end}") == "salt\n  rope\n\n  sea"


_LINES = st.lists(
    st.sampled_from(
        [
            "The lamp turned.", "  and turned,", "      and turned", "", "", "“No!”", "灯灭了。",
            "　　海还醒着……", "1984. A year.", "— Hello", "(aside) Well: so; it—", "a & b, 3 < 4",
            "[Mary]: Hello", "#tag", "...",
        ]
    ),
    max_size=12,
)  # fmt: skip


@given(_LINES)
def test_a_text_without_marks_is_changed_in_its_blank_lines_alone(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert plain(text) == re.sub(r"\n\n+", "\n\n", text).strip("\n")


_MARKED = st.lists(
    st.sampled_from(
        ["lamp ", "sea", "灯", "**", "*", "_", "# ", "> ", "- ", "1. ", "2. ", "\n", "\n\n", "    ",
         "`", "```\n", "<b>", "</p>", "<br>", "| ", "|---|\n", "---\n", "===\n", "~~", "[", "](u)"]
    ),
    max_size=30,
)  # fmt: skip


@example(["~~", "~~", "lamp "])
@example(["|---|\n", "|---|\n", "lamp ", "| ", "lamp "])
@given(_MARKED)
def test_whatever_the_marks_no_word_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    # what stands behind a fence's opening on its line names a language and is not shown
    assume(not re.search("```.*(lamp|sea|灯)", text))
    words = re.findall("lamp|sea|灯", plain(text))
    assert words == re.findall("lamp|sea|灯", text)


def test_a_scene_that_tildes_part_keeps_its_heading() -> None:
    assert plain("The lamp turned.\n\n~~~ The End ~~~") == "The lamp turned.\n\nThe End"


def test_the_marks_stay_where_the_request_lives_by_them(
    criterion: Callable[..., Criterion],
) -> None:
    text = "- **salt**\n- rope"

    def asking(form: str) -> list[Criterion]:
        return [
            criterion("h1", kind="hard", levels={}, check=Format.model_validate({"form": form}))
        ]

    for form in ("list", "numbered_list", "headings", "table"):
        assert text_for_judge(text, asking(form)) == text
    for form in ("no_list", "no_markdown", "letter"):
        assert text_for_judge(text, asking(form)) == "salt\nrope"
    assert text_for_judge(text, [criterion()]) == "salt\nrope"


@pytest.mark.parametrize(
    "marks",
    [
        ">" * 5000,
        "- " * 5000,
        "1. " * 3000,
        "".join(">" * n + " " + "- " * n + "so\n" for n in range(1, 150)),
        "".join("  " * n + "- so\n" for n in range(200)),
        "[" * 20000,
        "<a " * 15000,
    ],
)
def test_marks_within_marks_end_in_words_however_deep(marks: str) -> None:
    assert plain(f"{marks}\n\nThe ferry left.").endswith("The ferry left.")
