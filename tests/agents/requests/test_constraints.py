import pytest

from quillgraph.agents.checks.check import Check
from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests.constraints import Constraint, find_constraints
from quillgraph.agents.requests.segments import segment


def found(request: str) -> tuple[Constraint, ...]:
    incidents = segment(WritingTask(request=request, language="en"))
    constraints = find_constraints(incidents)
    texts = {incident.id: incident.text for incident in incidents}
    assert all(each.quote and each.quote in texts[each.incident_id] for each in constraints)
    return constraints


def spec(check: Check) -> dict[str, object]:
    return {
        key: value
        for key, value in check.model_dump(exclude_none=True).items()
        if value not in ((), "zi", False) or key == "present"
    }


def count(kind: str, low: int | None, high: int | None) -> dict[str, object]:
    bounds = {"type": f"{kind}_count", "min": low, "max": high}
    return {key: value for key, value in bounds.items() if value is not None}


def of(part: str, bounds: dict[str, object]) -> dict[str, object]:
    return bounds | {"scope": {"part": part, "labels": ()}}


# about N is 0.85 N to 1.15 N: 1000 gives 850 to 1150, 400 gives 340 to 460, 200 gives 170 to 230
LENGTHS: list[tuple[str, dict[str, object]]] = [
    ("Write a ghost story under 400 words.", count("word", None, 400)),
    ("Tell me a tale in no more than two hundred words.", count("word", None, 200)),
    ("Write an outline for a short 1000-word blog post on cacti.", count("word", 850, 1150)),
    ("Uber driver interview script, around 1000 words", count("word", 850, 1150)),
    ("A travel guide to Hong Kong, approximately 1,000 words", count("word", 850, 1150)),
    ("The story should be at least 6,000 words long.", count("word", 6000, None)),
    ("Write a text of more than 5000 words", count("word", 5000, None)),
    ("The length should be between 300 and 500 words.", count("word", 300, 500)),
    ("Write a biography of 3000-3500 words about the painter.", count("word", 3000, 3500)),
    ("Write a thank-you note in 50 words or less.", count("word", None, 50)),
    ("Write a fight scene, exactly 100 words.", count("word", 100, 100)),
    ("对于雷锋精神的推文，200字以内", count("char", None, 200)),
    ("请写一份申请，200字左右", count("char", 170, 230)),
    ("创作一段200字的说唱", count("char", 170, 230)),
    ("生成一篇小红书文章，300到400字", count("char", 300, 400)),
    ("请写一份两千字以上的教案", count("char", 2000, None)),
    ("扩写以下的比赛记录到一千字，写得热血", count("char", 850, 1150)),
    ("把下面这段500字的文字缩写成200字。", count("char", 170, 230)),
    ("字数要求：不少于3000字。", count("char", 3000, None)),
    ("小说主题：失踪的记忆。字数要求：1000左右", count("char", 850, 1150)),
    ("需要一份约2-3万字的白皮书", count("char", 20_000, 30_000)),
    ("以茶文化为题，写一篇200词的作文", count("word", 170, 230)),
    ("Write a poem of four lines about rain.", count("line", 4, 4)),
    ("Write a three-paragraph essay on bees.", count("paragraph", 3, 3)),
    (
        "Make it 2 to 3 paragraphs, keep it funny. Write it in 2-3 paragraphs.",
        count("paragraph", 2, 3),
    ),
    ("Write a summary of the plot in five sentences.", count("sentence", 5, 5)),
    ("Write a ballad with six stanzas.", count("stanza", 6, 6)),
    ("Write an article divided into four chapters.", count("section", 4, 4)),
    ("Write a memo in three bullet points.", count("list", 3, 3)),
    ("Summarise the plan in 5 bullet points.", count("list", 5, 5)),
    ("Announce the drill in three bullets.", count("list", 3, 3)),
    ("Give me four bullet points on tides.", count("list", 4, 4)),
    ("Write a notice with at most six short bullet points.", count("list", None, 6)),
    ("A dry memo, in three bullet points, no jokes.", count("list", 3, 3)),
    ("写一份通知，用三个要点", count("list", 3, 3)),
    ("请分为5个要点介绍这本书", count("list", 5, 5)),
    ("须分为场景介绍、细节分析、历史对照、设计评价四个部分。", count("section", 4, 4)),
    ("写一篇散文，分4-5个自然段，语言朴实", count("paragraph", 4, 5)),
    (
        "Write the lyrics of a metal song, 3000 characters max",
        {"type": "char_count", "max": 3000, "unit": "character"},
    ),
]

PARTS: list[tuple[str, list[dict[str, object]]]] = [
    (
        "Each section should be around 2000 words, with the total text exceeding 6000 words.",
        [of("section", count("word", 1700, 2300)), count("word", 6000, None)],
    ),
    ("Each section should have three bullet points.", [of("section", count("list", 3, 3))]),
    (
        "每个板块500字左右，总计不超过1500字。",
        [of("section", count("char", 425, 575)), count("char", None, 1500)],
    ),
    ("每段写两个要点。", [of("paragraph", count("list", 2, 2))]),
    ("标题：简洁有力，20字以内", [of("title", count("char", None, 20))]),
    (
        "每段不少于四句话，每句7-9字",
        [
            of("paragraph", count("sentence", 4, None)),
            of("sentence", count("char", 7, 9)),
        ],
    ),
]

MANNERS: list[tuple[str, dict[str, object]]] = [
    ("Write a haiku about frost.", count("line", 3, 3)),
    ("Create a short, witty limerick for the label.", count("line", 5, 5)),
    ("Compose a sonnet on the sea.", count("line", 14, 14)),
    (
        "Please compose a seven-character quatrain about dusk.",
        {"type": "classical_verse", "lines": 4, "characters": 7},
    ),
    ("请写一首描写西湖的七言律诗", {"type": "classical_verse", "lines": 8, "characters": 7}),
    ("作一首五绝，写秋夜", {"type": "classical_verse", "lines": 4, "characters": 5}),
    ("The poem must mention the lighthouse.", {"type": "must_include", "terms": ("lighthouse",)}),
    (
        "Include the words 'ember', 'salt' and 'owl'.",
        {"type": "must_include", "terms": ("ember", "salt", "owl")},
    ),
    (
        "Use these words: rocket, fee, treaty.",
        {"type": "must_include", "terms": ("rocket", "fee", "treaty")},
    ),
    (
        'Include the phrase "at dawn" or "at dusk".',
        {"type": "must_include", "any_of": ("at dawn", "at dusk")},
    ),
    ("文中必须出现“月光”和“渡口”两个词。", {"type": "must_include", "terms": ("月光", "渡口")}),
    (
        'Retell the rhyme without using the letter "e".',
        {"type": "must_not_include", "terms": ("e",), "anywhere": True},
    ),
    (
        "Write about night without using the word dark.",
        {"type": "must_not_include", "terms": ("dark",)},
    ),
    (
        "Write a story; never use the names Sarah, Emily, Emma.",
        {"type": "must_not_include", "terms": ("Sarah", "Emily", "Emma")},
    ),
    (
        "文章要用上以下词语：春天、风筝、妈妈。",
        {"type": "must_include", "terms": ("春天", "风筝", "妈妈")},
    ),
    ("写一首诗，不要出现“爱”字。", {"type": "must_not_include", "terms": ("爱",)}),
    ("Tell it with no dialogue at all.", {"type": "dialogue", "present": False}),
    ("Write a brief dialogue between two robots.", {"type": "dialogue", "present": True}),
    ("写一个小故事，不要有对话。", {"type": "dialogue", "present": False}),
    ("请以对话的形式写一篇科普", {"type": "dialogue", "present": True}),
    ("Write a scary story in the second person.", {"type": "person", "person": "second"}),
    ("Write a first-person detective story.", {"type": "person", "person": "first"}),
    ("建议以第三人称展开叙述", {"type": "person", "person": "third"}),
    ("Write a long story in Italian.", {"type": "language", "language": "it"}),
    ("帮我用英文写一篇关于诗人的文章", {"type": "language", "language": "en"}),
    ("Give me the rules as a numbered list.", {"type": "format", "form": "numbered_list"}),
    ("Answer in plain text, please.", {"type": "format", "form": "no_markdown"}),
    ("Write a farewell letter to my colleagues.", {"type": "format", "form": "letter"}),
    ("帮我写一封给老师的祝福信", {"type": "format", "form": "letter"}),
    ('Begin with the sentence "It was cold."', {"type": "starts_with", "text": "It was cold"}),
    ("以“我回来了”结尾", {"type": "ends_with", "text": "我回来了"}),
]

NO_DEMANDS = [
    "Write a story about a sheriff with three bullets in his chest.",
    "Write a western in which three bullets hit the saloon.",
    "The memo had three bullet points; write a reply.",
    "这篇文章有三个要点，写一篇书评。",
    "Write three haiku about spring.",
    "Write a story that includes a sonnet.",
    "Not in the first person, please.",
    "请不要使用第一人称。",
    "Write about a 400-word letter that was never sent.",
    "The novel has 300 words on its first page; write its sequel.",
    "In 500 words or less the customer wrote that he was unhappy.",
    'Write a story whose hero says: "Answer in 300 words, in French."',
    "Write a story about a boy who wrote 500 words every day.",
    "Include introductory and closing sections of about 200 words each.",
    "The first four lines focus on the scenery, the last four lines on the poet.",
    "Describe the first person to walk on the moon.",
    "Write about a poet who could not finish a sonnet.",
    "Write about the best film in French cinema.",
    "Each poem should stay within 20 lines.",
    "List ten words that rhyme with moon.",
    "The story structure should be divided into four parts.",
    "写一个关于一封400字的信的故事",
    "他写了3000字还没写完，请续写这个故事",
    "开头200字左右介绍背景，结尾300字谈感悟",
    "写一个发生在第三段婚姻里的故事",
    "Share your habits of reading in English novels.",
]


@pytest.mark.parametrize(("request_text", "expected"), LENGTHS + MANNERS)
def test_a_literal_demand_is_found(request_text: str, expected: dict[str, object]) -> None:
    assert [spec(constraint.check) for constraint in found(request_text)] == [expected]


@pytest.mark.parametrize(("request_text", "expected"), PARTS)
def test_a_demand_on_a_part_is_a_check_of_that_part(
    request_text: str, expected: list[dict[str, object]]
) -> None:
    assert [spec(constraint.check) for constraint in found(request_text)] == expected


@pytest.mark.parametrize("request_text", NO_DEMANDS)
def test_what_is_told_and_not_asked_for_is_left_alone(request_text: str) -> None:
    assert found(request_text) == ()


def test_names_and_descriptions_are_in_the_language_of_the_demand() -> None:
    english, chinese = found("Write it under 400 words."), found("全文1000字左右。")
    assert (english[0].name, english[0].description) == (
        "At most 400 words",
        "The text has at most 400 words.",
    )
    assert (chinese[0].name, chinese[0].description) == ("1000字左右", "全文850到1150字。")
    assert chinese[0].quote == "1000字左右"


def test_ranges_of_one_kind_are_intersected() -> None:
    constraints = found("Write a story of at least 300 words. It must not exceed 500 words.")
    assert [spec(each.check) for each in constraints] == [count("word", 300, 500)]
    assert constraints[0].name == "300 to 500 words"


def test_limits_that_contradict_each_other_are_left_out_and_the_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert found("Write at least 800 words. Keep it under 300 words.") == ()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "“at least 800 words”" in record.message
    assert "no hard criterion is made of" in record.message


@pytest.mark.parametrize(
    ("request_text", "kept", "dropped"),
    [
        ("Write a 1000-word story. No more than 300 words.", count("word", None, 300), "1000-word"),
        ("写一篇1000字的文章，不超过500字。", count("char", None, 500), "1000字"),
        ("Write 200 words on tea. Use at least 400 words.", count("word", 400, None), "200 words"),
    ],
)
def test_a_limit_outlasts_a_bare_number_that_contradicts_it(
    request_text: str, kept: dict[str, object], dropped: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert [spec(each.check) for each in found(request_text)] == [kept]
    assert f"no hard criterion is made of “{dropped}”" in caplog.text


def test_the_length_of_a_part_does_not_remove_that_of_the_whole() -> None:
    constraints = found("Write an essay of 800 words. No paragraph may exceed 100 words.")
    assert [spec(each.check) for each in constraints] == [
        count("word", 680, 920),
        of("paragraph", count("word", None, 100)),
    ]
    assert constraints[1].quote == "No paragraph may exceed 100 words"


def test_a_count_of_what_code_cannot_find_is_left_to_the_judge_and_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    assert found("Write an essay on tea. The conclusion must be under 50 words.") == ()
    assert "“under 50 words” is left to the judge" in caplog.text


def test_what_a_demand_is_about_may_be_named_in_the_clause_before() -> None:
    # the request is cut before "under", and "each" stands behind the cut
    assert found("Write three tweets about our oat milk, under 280 characters each.") == ()


def test_words_to_include_are_joined() -> None:
    constraints = found("It must mention the lighthouse. Also include the word 'salt'.")
    assert [spec(each.check) for each in constraints] == [
        {"type": "must_include", "terms": ("lighthouse", "salt")}
    ]
    assert constraints[0].name == "Includes “lighthouse”, “salt”"


def test_demands_of_different_kinds_stand_beside_each_other() -> None:
    request = "Write a ghost story under 400 words, in the second person, and without dialogue."
    assert {each.check.type: each.quote for each in found(request)} == {
        "word_count": "under 400 words",
        "person": "in the second person",
        "dialogue": "without dialogue",
    }


@pytest.mark.parametrize(
    "unit", ["word ", "第一", '"a" ', "in 3 ", "写", "include ", "\n- ", "write a "]
)
def test_long_requests_are_read_through(unit: str) -> None:
    # a quadratic pattern would show as a hanging test
    assert found((unit * 32_000)[:32_000]) == ()
