"""What cannot be worked on is refused in one line, before anything is made or called."""

from pathlib import Path
from typing import Any

import pytest

REQUEST = "Write a haiku about rain"
SCRIPTED = ("--backend", "scripted:script.yaml")


@pytest.fixture(autouse=True)
def _files(_nothing_from_outside: None, tmp_path: Path) -> None:
    files: dict[str, bytes] = {
        "script.yaml": b"rules: [{when: '', reply: maybe}]",
        "request.txt": REQUEST.encode(),
        "picture.png": b"\x89PNG\r\n\x1a\n\x00",
        "utf16.txt": REQUEST.encode("utf-16"),
        "nul.txt": b"rain\x00rain",
        "unknown.yaml": b"sede: 3",
        "bad_type.yaml": b"drafts: many",
        "too_many.yaml": b"drafts: 99",
        "list.yaml": b"[1, 2]",
        "broken.yaml": b"drafts: [",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)


CASES: list[tuple[list[object], list[str]]] = [
    # the request
    (["", *SCRIPTED], ["expected a writing request, got an empty text", "say what"]),
    ([" \n\t ", *SCRIPTED], ["expected a writing request, got an empty text"]),
    (["x" * 32_001, *SCRIPTED], ["at most 32,000 characters, got 32,001", "leave out"]),
    (["rain \udcff", *SCRIPTED], ["expected UTF-8 text in the REQUEST"]),
    ([REQUEST, "--file", "request.txt", *SCRIPTED], ["a REQUEST or --file FILE, got both"]),
    ([*SCRIPTED], ["a REQUEST or --file FILE, got neither"]),
    # its file
    (["--file", "picture.png", *SCRIPTED], ["UTF-8 text in picture.png", "byte 0", "save it"]),
    (["--file", "utf16.txt", *SCRIPTED], ["UTF-8 text in utf16.txt", "byte 0", "save it"]),
    (["--file", "nul.txt", *SCRIPTED], ["expected text, got binary data", "UTF-8"]),
    (["--file", "none.txt", *SCRIPTED], ["cannot read none.txt: No such file"]),
    (["--file", ".", *SCRIPTED], ["cannot read .: Is a directory"]),
    # the backend
    ([REQUEST, "--backend", "vlm:m"], ["unknown backend kind 'vlm': did you mean 'vllm'?"]),
    ([REQUEST, "--backend", "vllm"], ["expected KIND:MODEL, got 'vllm'"]),
    ([REQUEST, "--backend", "transformers:smolm2-135m"], ["'smolm2-135m'", "smollm2-135m"]),
    ([REQUEST, "--backend", "scripted:none.yaml"], ["cannot read the script none.yaml: No such"]),
    ([REQUEST, "--backend", "scripted:list.yaml"], ["expected a YAML file with `rules", "list.y"]),
    (
        [REQUEST, "--backend", "openai:m@http://127.0.0.1:1/v1?max_retry=0"],
        ["unknown option 'max_retry' of backend 'openai': did you mean 'max_retries'?"],
    ),
    (
        [REQUEST, "--backend", "openai:m@http://127.0.0.1:1/v1?max_retries=-1"],
        ["'openai', max_retries:", "greater than or equal to 0"],
    ),
    ([REQUEST, "--backend", "openai:m@localhost:1/v1"], ["http://", "got 'localhost:1/v1'"]),
    ([REQUEST, "--backend", "openai:gpt-5-mini"], ["needs a key", "OPENAI_API_KEY"]),
    ([REQUEST, "--embeddings", "minilim", *SCRIPTED], ["got 'minilim': did you mean 'minilm'?"]),
    # the roles
    ([REQUEST, "--role", "codr=vllm:m", *SCRIPTED], ["unknown role 'codr': did you mean 'coder'"]),
    ([REQUEST, "--role", "coder", *SCRIPTED], ["expected --role NAME=SPEC, got 'coder'"]),
    ([REQUEST, "--role", "coder=", *SCRIPTED], ["expected --role NAME=SPEC, got 'coder='"]),
    ([REQUEST, "--role", "coder=vlm:m", *SCRIPTED], ["unknown backend kind 'vlm'"]),
    # settings
    ([REQUEST, "--drafts", 99, *SCRIPTED], ["--drafts: ", "expected 16 or less, got 99"]),
    ([REQUEST, "--seed", "seven", *SCRIPTED], ["--seed: expected a whole number, got 'seven'"]),
    ([REQUEST, "--seed", "1.5", *SCRIPTED], ["--seed: expected a whole number, got 1.5"]),
    ([REQUEST, "--timeout", "soon", *SCRIPTED], ["--timeout: expected a number, got 'soon'"]),
    ([REQUEST, "--max-calls", 0, *SCRIPTED], ["--max-calls: expected 1 or more, got 0"]),
    ([REQUEST, "--out", "picture.png", *SCRIPTED], ["picture.png is a file; choose another --out"]),
    ([REQUEST, "--timeout", 0, *SCRIPTED], ["--timeout: expected more than 0, got 0"]),
    ([REQUEST, "--config", "none.yaml"], ["cannot read none.yaml: No such file"]),
    (
        [REQUEST, "--config", "unknown.yaml", *SCRIPTED],
        ["unknown setting 'sede' in unknown.yaml: did you mean 'seed'?"],
    ),
    (
        [REQUEST, "--config", "bad_type.yaml"],
        ["drafts in bad_type.yaml: expected a whole number, got 'many'"],
    ),
    (
        [REQUEST, "--config", "too_many.yaml"],
        ["drafts in too_many.yaml: expected 16 or less, got 99"],
    ),
    ([REQUEST, "--config", "list.yaml"], ["a mapping of settings in list.yaml, got list"]),
    ([REQUEST, "--config", "broken.yaml"], ["expected YAML settings in broken.yaml: "]),
    ([REQUEST, "--config", "picture.png"], ["expected UTF-8 text in picture.png", "byte 0"]),
]


@pytest.mark.parametrize(("words", "parts"), CASES)
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(
    words: list[object], parts: list[str], quillgraph: Any, tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    done = quillgraph("criteria", *words)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith("quillgraph: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("QUILLGRAPH_SEED", "abc", "QUILLGRAPH_SEED: expected a whole number, got 'abc'"),
        ("QUILLGRAPH_DRAFTS", "-1", "QUILLGRAPH_DRAFTS: expected 0 or more, got '-1'"),
        ("QUILLGRAPH_ROLES", "coder=x", 'QUILLGRAPH_ROLES: expected JSON like {"coder": '),
        ("QUILLGRAPH_ROLES", '{"codr": "vllm:m"}', "unknown role 'codr': did you mean 'coder'?"),
        ("QUILLGRAPH_SEDE", "3", "variable QUILLGRAPH_SEDE: did you mean 'QUILLGRAPH_SEED'?"),
        ("QUILLGRAPH_MAXCALLS", "3", "did you mean 'QUILLGRAPH_MAX_CALLS'?"),
        ("quillgraph_memry", "m", "variable quillgraph_memry: "),
        ("QUILLGRAPH_NO_MEMORY", "perhaps", "NO_MEMORY: expected true or false, got 'perhaps'"),
        ("QUILLGRAPH_BACKEND", "vlm:m", "unknown backend kind 'vlm': did you mean 'vllm'?"),
    ],
)
def test_bad_values_of_the_environment_name_their_variable(
    variable: str, value: str, message: str, quillgraph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLGRAPH_BACKEND", "scripted:script.yaml")
    monkeypatch.setenv(variable, value)
    done = quillgraph("criteria", REQUEST)
    assert done.status == 2
    assert done.stderr.startswith("quillgraph: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["criteria", REQUEST, "--bakend", "x"], "--backend"),
        (["criteri", REQUEST], "Did you mean 'criteria'"),
        (["criteria", REQUEST, "another"], "unexpected extra argument"),
        (["models", "pull"], "NAME"),
    ],
)
def test_what_the_command_line_does_not_know_is_wrong_usage(
    words: list[str], message: str, quillgraph: Any
) -> None:
    done = quillgraph(*words)
    assert done.status == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_model_is_not_pulled(quillgraph: Any) -> None:
    done = quillgraph("models", "pull", "smollm2-153m")
    assert (done.status, done.stdout) == (2, "")
    assert "did you mean 'smollm2-135m'?" in done.stderr


def test_debug_adds_the_traceback_before_the_line(quillgraph: Any) -> None:
    done = quillgraph("criteria", "", "--debug")
    assert "Traceback" in done.stderr
    assert done.error.startswith("quillgraph: expected a writing request")
