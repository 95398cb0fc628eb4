from pathlib import Path

import pytest

from quillgraph.backends import doctor
from quillgraph.backends.doctor import Diagnosis, diagnose


def _findings() -> dict[str, Diagnosis]:
    return {finding.topic: finding for finding in diagnose()}


def test_everything_is_looked_at_once() -> None:
    topics = [finding.topic for finding in diagnose()]
    assert len(topics) == len(set(topics))
    assert {"python", "torch", "device", "vllm", "cache", "API keys", "backend"} <= set(topics)


def test_whatever_is_not_well_comes_with_advice() -> None:
    assert [each for each in diagnose() if each.state != "ok" and not each.advice] == []


def test_models_that_are_not_pulled_are_told_how_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUILLGRAPH_CACHE", str(tmp_path / "new"))
    finding = _findings()["model minilm"]
    assert (finding.state, finding.advice) == ("absent", "quillgraph models pull minilm")
    assert not (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUILLGRAPH_CACHE", str(tmp_path / "file" / "below"))
    finding = _findings()["cache"]
    assert finding.state == "trouble"
    assert finding.advice
    assert "QUILLGRAPH_CACHE" in finding.advice


def test_keys_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "do-not-show-this")
    monkeypatch.setenv("EMPTY_API_KEY", "")
    finding = _findings()["API keys"]
    assert "OPENAI_API_KEY" in finding.found
    assert "EMPTY" not in finding.found
    assert "do-not-show-this" not in str(diagnose())


@pytest.mark.parametrize(("multiplies", "numbers"), [(True, "bfloat16"), (False, "float32")])
def test_a_cpu_is_told_what_it_calculates_in(
    monkeypatch: pytest.MonkeyPatch, multiplies: bool, numbers: str
) -> None:
    monkeypatch.setattr(doctor, "gpu_name", lambda: None)
    monkeypatch.setattr(doctor, "multiplies_bfloat16", lambda: multiplies)
    assert f"calculate in {numbers} (" in _findings()["device"].found
