"""Where settings come from, and which of them wins."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quillgraph.backends.errors import ConfigError
from quillgraph.cli.session.settings import Settings, load_settings, parse_roles


def config(folder: Path, **values: Any) -> Path:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "variable", "file", "seed"),
    [
        (1, "2", 3, 1),
        (None, "2", 3, 2),
        (None, None, 3, 3),
        (None, None, None, 0),
        (1, None, 3, 1),
        (0, "2", 3, 0),  # 0 is said, not left out
    ],
)
def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    line: int | None,
    variable: str | None,
    file: int | None,
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is not None:
        monkeypatch.setenv("QUILLGRAPH_SEED", variable)
    path = None if file is None else config(tmp_path, seed=file)
    assert load_settings(path, seed=line).seed == seed


def test_each_setting_is_decided_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUILLGRAPH_DRAFTS", "2")
    path = config(tmp_path, drafts=1, seed=1, backend="scripted:a.yaml", max_calls=9)
    settings = load_settings(path, seed=5)
    assert (settings.seed, settings.drafts, settings.max_calls) == (5, 2, 9)
    assert settings.backend == "scripted:a.yaml"


def test_a_variable_in_small_letters_wins_over_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("quillgraph_seed", "2")
    assert load_settings(config(tmp_path, seed=3)).seed == 2


def test_roles_of_the_file_stay_unless_the_command_line_names_them(tmp_path: Path) -> None:
    path = config(tmp_path, roles={"coder": "scripted:a", "observer": "scripted:b"})
    settings = load_settings(path, roles={"coder": "scripted:c"})
    assert settings.roles == {"coder": "scripted:c", "observer": "scripted:b"}


def test_roles_may_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUILLGRAPH_ROLES", '{"coder": "scripted:a"}')
    assert load_settings(None).roles == {"coder": "scripted:a"}


def test_a_path_of_the_environment_may_begin_at_home_and_an_empty_one_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QUILLGRAPH_MEMORY", "~/m.sqlite")
    monkeypatch.setenv("QUILLGRAPH_OUT", "")
    settings = load_settings(None)
    assert (settings.memory, settings.out) == (tmp_path / "m.sqlite", None)


def test_a_path_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"out in .*settings\.yaml: .*path.*, got 3"):
        load_settings(config(tmp_path, out=3))


def test_variables_that_are_no_setting_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUILLGRAPH_CACHE", "/somewhere")
    load_settings(None)
    monkeypatch.setenv("QUILLGRAPH_CASH", "/somewhere")
    with pytest.raises(ConfigError, match="did you mean 'QUILLGRAPH_CACHE'"):
        load_settings(None)


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.touch()
    assert load_settings(path, embeddings="minilm") == Settings.model_validate(
        {"embeddings": "minilm"}
    )


def test_what_is_wrong_is_said_of_the_place_that_said_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, drafts="many")
    with pytest.raises(ConfigError, match=r"drafts in .*settings\.yaml: .*got 'many'"):
        load_settings(path)
    monkeypatch.setenv("QUILLGRAPH_DRAFTS", "few")
    with pytest.raises(ConfigError, match=r"^QUILLGRAPH_DRAFTS: .*got 'few'"):
        load_settings(path)
    with pytest.raises(ConfigError, match=r"^--drafts: .*got 17"):
        load_settings(path, drafts=17)


plain = st.text("abcdefghij:/@=?&.-_0123456789", min_size=1)


@given(st.dictionaries(st.text("abcdefghij_", min_size=1), plain))
def test_pairs_of_role_and_spec_come_back(roles: dict[str, str]) -> None:
    # a spec may hold the = of its own options
    assert parse_roles([f"{name}={spec}" for name, spec in roles.items()]) == roles


@pytest.mark.parametrize("pair", ["", "=", "coder", "coder=", "=vllm:m"])
def test_a_pair_without_both_halves_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"expected --role NAME=SPEC, got .* for example"):
        parse_roles([pair])


def test_the_judge_has_an_option_of_its_own() -> None:
    assert parse_roles(["coder=vllm:m"], "scorer:prose") == {
        "coder": "vllm:m", "judge": "scorer:prose",
    }  # fmt: skip
    assert parse_roles(["judge=scorer:x"], "scorer:x") == {"judge": "scorer:x"}
    with pytest.raises(ConfigError, match="got --judge scorer:x and --role judge=vllm:m"):
        parse_roles(["judge=vllm:m"], "scorer:x")
