"""`quillgraph eval policy`: policies compared from the command line, with numbers by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

PROMPTS = (
    {"id": "sea", "request": "Write of the sea in at most 6 words."},
    {"id": "moor", "request": "Write of the moor in at most 6 words."},
)
CRITERIA = [{"name": "Image", "description": "One clear image."}]

A = {"the sea": "The sea was grey and quite cold today.", "the moor": "The moor was dark and wide."}
B = {"the sea": "Grey sea, cold as old iron.", "the moor": "Dark moor, and nobody on it."}
"""A's line on the sea has 8 words, all others have 6."""

FIRST, SECOND = (json.dumps({"better": place}) for place in ("first", "second"))
JUDGE = (
    # of the lines on the sea B's is better in both orders; on the moor the first is
    (r"(?s)<first \w+>\s+The sea was.*<second \w+>\s+Grey sea", SECOND),
    (r"(?s)<first \w+>\s+Grey sea.*<second \w+>\s+The sea was", FIRST),
    (r"(?s)<first \w+>.*moor", FIRST),
    ("s1: The sea was", 4),
    ("s1: Grey sea", 10),
    ("s1: .*moor", 7),
)


def script(name: str, rules: Any) -> str:
    message = [{"when": when, "reply": _reply(reply)} for when, reply in rules]
    Path(name).write_text(json.dumps({"rules": message}), encoding="utf-8")  # JSON is YAML
    return f"scripted:{name}"


def _reply(reply: str | int) -> str:
    if isinstance(reply, str):
        return reply
    item = {"criterion": "q1", "score": reply, "evidence": "s1", "reason": "so"}
    return json.dumps({"items": [item]})


@pytest.fixture
def words() -> Any:
    """Words of a command on the two prompts, with A, B and a judge on scripts."""
    rows = [{**row, "criteria": CRITERIA} for row in PROMPTS]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    judge = script("judge.yaml", JUDGE)
    a, b = script("a.yaml", A.items()), script("b.yaml", B.items())

    def of(*more: object, policies: tuple[str, ...] = (a, b), out: str = "run") -> list[object]:
        options = ("--data", "prompts.jsonl", "--judge", judge, "--out", out, "--texts", 1)
        return ["eval", "policy", *policies, *options, *more]

    return of


def lines(name: str) -> list[dict[str, Any]]:
    content = Path("run", name).read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()]


def resumed(*more: Any) -> tuple[Any, ...]:
    return ("eval", "policy", "--resume", "run", *more)


def measured(result: Any, name: str) -> float:
    row, _, measure = name.partition(".")
    value: float = json.loads(result.stdout)["report"]["measures"][measure][row]["value"]
    return value


def test_two_models_by_hand(quillgraph: Any, words: Any) -> None:
    result = quillgraph(*words("--json", "--plot", "policies.png"))
    assert result.status == 0, result.stderr
    assert measured(result, "A.hard") == 0.5  # 8 words, 6 words
    assert measured(result, "B.hard") == 1.0
    assert measured(result, "B-A.hard") == 0.5
    assert measured(result, "A.soft") == pytest.approx((1 / 3 + 2 / 3) / 2)  # (4 - 1)/9, (7 - 1)/9
    assert measured(result, "B.soft") == pytest.approx((1 + 2 / 3) / 2)
    assert measured(result, "B-A.soft") == pytest.approx(1 / 3)
    assert measured(result, "A.words") == 7
    # 36 and 37 bytes of request, 38 and 27 of text, four a token: 9 + 10 and 10 + 7
    assert measured(result, "A.tokens") == 18
    assert measured(result, "B.win_rate") == 0.75  # a win, and a tie that the order made
    assert measured(result, "B.order_consistency") == 0.5
    report = json.loads(result.stdout)["report"]
    assert report["measures"]["win_rate"]["B"]["clusters"] == 2
    assert report["excluded"] == {}
    assert report["criteria"] == "the requests' own criteria"
    assert Path("policies.png").read_bytes().startswith(b"\x89PNG")
    assert len(lines("texts.jsonl")) == 4
    # 4 texts, 2 votes on each, 2 pairs in both orders
    assert len(lines("calls.jsonl")) == 4 + 8 + 4


def test_the_tables_for_people_and_for_papers(quillgraph: Any, words: Any) -> None:
    result = quillgraph(*words())
    assert result.status == 0, result.stderr
    for word in ("A: scripted:a.yaml", "win_rate", "Δ soft", "0.333", "Nothing excluded."):
        assert word in result.stdout
    table = Path("run/report.md").read_text(encoding="utf-8")
    assert "| measure | A | B | B-A |" in table
    assert (
        "| soft | 0.500 (0.333 to 0.667) | 0.833 (0.667 to 1.000) | 0.333 (0.000 to 0.667) |"
        in table
    )
    assert "| win_rate |  | 0.750 (0.500 to 1.000) |  |" in table


def test_the_page_of_a_comparison_shows_its_tables(quillgraph: Any, words: Any) -> None:
    assert quillgraph(*words()).status == 0
    assert quillgraph("report", "run").status == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    for word in ("win_rate", "B-A", "0.833", "Values with 95 % intervals: A 0.500; B 0.833"):
        assert word in page
    assert '<summary dir="auto">sea: Write of the sea in at most 6 words.</summary>' in page
    # 9 and 7 tokens; (10 - 1) / 9
    assert "16 tokens · demands kept 1.00 · score 1.00 · won" in page
    assert "Grey sea, cold as old iron." in page


def test_baselines_spend_what_the_dearest_has_spent(quillgraph: Any, words: Any) -> None:
    twice = ("self_refine?rounds=2@scripted:a.yaml",)
    rules = [("What would make it better", "More salt, and less of the rest."), *A.items()]
    policies = (script("a.yaml", rules), *twice)
    judge = [*JUDGE, ("s1: ", 7), ("<first", FIRST)]
    script("judge.yaml", judge)
    result = quillgraph(*words("--baselines", "--json", policies=policies))
    assert result.status == 0, result.stderr
    rows = {(row["policy"], row["prompt"]): row for row in lines("texts.jsonl")}
    assert {name for name, _ in rows} == {"A", "B", "best_of_n", "self_refine"}
    for prompt in ("sea", "moor"):
        dearest = rows["B", prompt]
        assert dearest["calls"] == 5  # a draft and two rounds of two
        # after a draft and a round, what is left is what a round has cost: one more, and no other
        spent = {**rows["self_refine", prompt], "policy": "B"}
        assert spent == dearest
        assert rows["best_of_n", prompt]["calls"] > 1
    notes = json.loads(result.stdout)["report"]["notes"]
    assert any("may spend on a text what the most expensive" in note for note in notes)


def test_a_graph_that_takes_criteria_gets_those_of_the_prompt(quillgraph: Any, words: Any) -> None:
    policies = ("scripted:b.yaml", "best_of_n?n=2@scripted:both.yaml")
    script("both.yaml", [*JUDGE[3:], *A.items()])
    result = quillgraph(*words("--json", policies=policies))
    assert result.status == 0, result.stderr
    assert measured(result, "B.hard") == 0.5
    notes = json.loads(result.stdout)["report"]["notes"]
    assert "B wrote under the criteria that texts are scored by." in notes


def test_a_run_that_was_cut_goes_on_and_repeats_nothing(quillgraph: Any, words: Any) -> None:
    whole = quillgraph(*words("--json", out="whole"))
    cut = quillgraph(*words("--max-calls", 7))
    assert cut.status == 4
    assert "reached: 4 of 4 texts, 1 scores, 0 comparisons" in cut.stderr
    with Path("run/texts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"policy": "A", "pro')  # as a kill leaves it
    # the limit holds for the whole run, and what there is has been spent
    assert quillgraph(*resumed()).status == 4
    result = quillgraph(*resumed("--json", "--max-calls", 40))
    assert result.status == 0, result.stderr
    assert json.loads(result.stdout)["report"] == json.loads(whole.stdout)["report"]
    finished = [call for call in lines("calls.jsonl") if call["error"] is None]
    # one score is kept; of another one vote of two was lost with it
    assert len(finished) == 16 + 1
    again = quillgraph(*resumed("--json"))
    assert json.loads(again.stdout)["report"] == json.loads(whole.stdout)["report"]
    assert len(lines("calls.jsonl")) == len(finished)


def test_a_run_goes_on_as_it_was_begun(quillgraph: Any, words: Any) -> None:
    assert quillgraph(*words()).status == 0
    other = quillgraph(*resumed("--seed", 3))
    assert other.status == 2
    assert "expected nothing but limits with --resume, got 'seed'" in other.error
    assert quillgraph("eval", "policy", "--resume", "none").status == 2
    missed = quillgraph(*resumed("--require", "B.win_rate>=0.9"))
    assert missed.status == 1
    Path("prompts.jsonl").write_text('{"request": "Another one."}', encoding="utf-8")
    refusal = quillgraph(*resumed())
    assert refusal.status == 2
    assert "was begun with" in refusal.error
    again = quillgraph(*words())
    assert "holds a run already" in again.error


def test_what_failed_is_counted_and_tried_again(quillgraph: Any, words: Any) -> None:
    script("b.yaml", [("the sea", B["the sea"])])  # no rule for the moor
    result = quillgraph(*words("--json"))
    assert result.status == 0, result.stderr
    (reason,) = json.loads(result.stdout)["report"]["excluded"]
    assert reason.startswith("B: no text: ReplyError")
    assert measured(result, "B.win_rate") == 1.0  # the sea alone
    assert measured(result, "B-A.hard") == 1.0
    script("b.yaml", B.items())
    mended = quillgraph(*resumed("--json"))
    assert json.loads(mended.stdout)["report"]["excluded"] == {}
    assert measured(mended, "B.win_rate") == 0.75


def test_a_policy_without_a_single_text_ends_the_run(quillgraph: Any, words: Any) -> None:
    script("b.yaml", [("nothing of it", "No.")])
    result = quillgraph(*words())
    assert result.status == 3
    assert "policy B (scripted:b.yaml) gave no text at all: ReplyError" in result.error


def test_a_judge_without_a_single_answer_ends_the_run(quillgraph: Any, words: Any) -> None:
    script("judge.yaml", [("nothing of it", "No.")])
    result = quillgraph(*words())
    assert result.status == 3
    assert "the judge has not given a single answer" in result.error


def test_requirements_set_the_exit_status_and_are_read_first(quillgraph: Any, words: Any) -> None:
    met = ("--require", "B.win_rate>=0.75", "--require", "B-A.soft>0")
    assert quillgraph(*words(*met)).status == 0
    missed = quillgraph(*words("--require", "B.win_rate>0.8", out="other"))
    assert missed.status == 1
    assert "not met: B.win_rate>0.8: B.win_rate is 0.750" in missed.stderr
    unknown = quillgraph(*words("--require", "B.winrate>0.8", out="third"))
    assert unknown.status == 2
    assert "did you mean 'B.win_rate'" in unknown.error
    assert not Path("third").exists()


def test_a_policy_may_not_be_judged_by_its_training(quillgraph: Any, words: Any) -> None:
    adapter = Path("trained/adapter")
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}', "utf-8")
    settings = {
        "model": {"name": "smollm2-135m"},
        "data": {"prompts": "prompts.jsonl"},
        "rewards": {"judge": "scripted:judge.yaml"},
    }
    Path("trained/run.json").write_text(json.dumps({"settings": settings}), "utf-8")
    spec = "transformers:smollm2-135m+trained"
    result = quillgraph(*words(policies=("scripted:a.yaml", spec)))
    assert result.status == 2
    assert f"scripted:judge.yaml has trained policy B ({adapter.parent.resolve()})" in result.error
    assert "--allow-same-judge" in result.error
    assert not Path("run").exists()


def test_texts_in_the_benchmarks_own_format(quillgraph: Any, words: Any) -> None:
    rows = [
        {
            "index": 7 + number,
            "domain2": "Poetry",
            "query": row["request"],
            "criteria": [{"name": "Image", "criteria_description": "One clear image."}],
        }
        for number, row in enumerate(PROMPTS)
    ]
    Path("prompts.jsonl").write_text(json.dumps(rows), encoding="utf-8")
    result = quillgraph(*words())
    assert result.status == 0, result.stderr
    texts = sorted(lines("writingbench/responses/B.jsonl"), key=lambda row: row["index"])
    assert texts == [
        {"index": 7, "response": B["the sea"]},
        {"index": 8, "response": B["the moor"]},
    ]
    scores = {row["index"]: row["scores"] for row in lines("writingbench/scores/A.jsonl")}
    assert scores[7] == {"Image": [{"score": 4.0, "reason": "so"}]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--texts", 0), "expected --texts of 1 or more, got 0"),
        (("--limit", 0), "expected --limit of 1 or more, got 0"),
        (("--prompt", "own"), "expected --prompt request or writer, got 'own'"),
        (("--judge", "scorer:prose"), "'scorer:prose' gives scores alone; name a model"),
    ],
)
def test_bad_options_are_refused(quillgraph: Any, words: Any, more: Any, message: str) -> None:
    result = quillgraph(*words(*more))
    assert result.status == 2
    assert message in result.error


def test_no_policy_no_data_and_no_requests_are_errors(quillgraph: Any, words: Any) -> None:
    assert "expected a policy as KIND:MODEL" in quillgraph(*words(policies=())).error
    command = ("eval", "policy", "scripted:a.yaml", "--judge", "scripted:judge.yaml")
    none = quillgraph(*command)
    assert "expected --data FILE with requests, got none" in none.error
    Path("prompts.jsonl").write_text('{"text": "T", "score": 3}', encoding="utf-8")
    assert "holds judgements of people and no requests" in quillgraph(*words()).error
