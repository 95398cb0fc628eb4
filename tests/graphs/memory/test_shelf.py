"""The shelf: what is nearest, compared with a search that looks at one criterion after another."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quillgraph.agents.memory import KnownCriterion
from quillgraph.graphs.memory.shelf import Shelf, Shelved, packed, unpacked

NOW = "2026-01-01T00:00:00+00:00"


def shelved(at: str, vector: Any, **fields: Any) -> Shelved:
    defaults: dict[str, Any] = {
        "name": at, "description": at, "kind": "soft", "levels": {}, "genre": "poem",
        "language": "en", "requests": ("r",), "born": NOW, "last_used": NOW,
    }  # fmt: skip
    unit = np.asarray(vector, dtype=np.float32)
    return Shelved(
        known=KnownCriterion(id=at, **{**defaults, **fields}),
        vector=packed(unit / np.linalg.norm(unit)),
    )


def names(neighbours: list[tuple[KnownCriterion, float]]) -> list[str]:
    return [known.id for known, _ in neighbours]


def near(shelf: Shelf, query: Any, most: int = 5, **fields: Any) -> list[str]:
    query_fields = {"language": "en", "genre": "poem", "besides": "none", **fields}
    return names(shelf.nearest(np.asarray(query, dtype=np.float32), most=most, **query_fields))


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=50))
def test_a_packed_vector_comes_back_in_its_direction(values: list[float]) -> None:
    vector = np.asarray(values, dtype=np.float32)
    length = float(np.linalg.norm(vector))
    if length < 0.1:
        return
    back = unpacked(packed(vector / np.float32(length)))
    assert float(back @ vector) / length == pytest.approx(1, abs=1e-4)
    assert float(np.linalg.norm(back)) == pytest.approx(1, abs=1e-6)


def test_what_is_no_packed_vector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked("not base64!")


def test_the_genre_comes_first_and_then_the_cosine() -> None:
    shelf = Shelf(2)
    shelf.put([
        shelved("far", (0, 1)), shelved("near", (1, 0.1)),
        shelved("other", (1, 0), genre="story"), shelved("foreign", (1, 0), language="zh"),
        shelved("gone", (1, 0), retired="dead"),
    ])  # fmt: skip
    assert near(shelf, (1, 0)) == ["near", "far", "other"]
    assert near(shelf, (1, 0), most=1) == ["near"]
    assert near(shelf, (1, 0), genre="unheard of") == ["other", "near", "far"]
    assert near(shelf, (1, 0), language="xx") == []


def test_what_the_request_alone_has_led_to_is_left_out() -> None:
    shelf = Shelf(2)
    shelf.put(
        [shelved("own", (1, 0), requests=("me",)), shelved("both", (1, 0), requests=("me", "r"))]
    )
    assert near(shelf, (1, 0), besides="me") == ["both"]
    # another request finds it too: it is no longer its own alone
    shelf.put([shelved("own", (1, 0), requests=("me", "you"))])
    assert near(shelf, (1, 0), besides="me") == ["both", "own"]


def test_equal_cosines_go_by_id_wherever_they_stand() -> None:
    for order in (["a", "b", "c"], ["c", "a", "b"]):
        shelf = Shelf(2)
        shelf.put([shelved(at, (1, 1)) for at in order])
        assert near(shelf, (1, 0), most=2) == ["a", "b"]


def test_the_last_takes_the_place_of_what_is_removed() -> None:
    shelf = Shelf(2)
    shelf.put([shelved("a", (1, 0)), shelved("b", (0, 1)), shelved("c", (1, 1))])
    shelf.remove("a")
    shelf.remove("never there")
    assert len(shelf) == 2
    assert near(shelf, (1, 0)) == ["c", "b"]
    assert shelf.get("a") is None


def test_a_twin_has_the_same_language_genre_and_kind_and_may_be_retired() -> None:
    shelf = Shelf(2)
    shelf.put([
        shelved("story", (1, 0), genre="story"), shelved("fault", (1, 0), kind="pitfall"),
        shelved("zh", (1, 0), language="zh"), shelved("old", (1, 0.2), retired="old"),
    ])  # fmt: skip
    query = np.asarray((1, 0), dtype=np.float32)
    fields: dict[str, Any] = {"language": "en", "genre": "poem", "kind": "soft"}
    twin = shelf.twin(query, above=0.85, **fields)
    assert twin is not None
    assert twin.id == "old"
    # 1/sqrt(1.04) = .9806
    assert shelf.twin(query, above=0.985, **fields) is None


def test_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 3 dimensions in a"):
        Shelf(3).put([shelved("a", (1, 0))])


rows = st.lists(
    st.tuples(
        st.sampled_from(["poem", "story"]),
        st.sampled_from(["en", "zh"]),
        st.sampled_from([None, "dead"]),
        st.sampled_from([("me",), ("r",), ("me", "r")]),
        st.integers(0, 359),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(rows, st.sets(st.integers(0, 29)), st.integers(1, 6))
def test_it_finds_what_a_search_one_by_one_finds(
    entries: list[Any], removed: set[int], most: int
) -> None:
    shelf, plain = Shelf(2), {}
    for number, (genre, language, retired, requests, angle) in enumerate(entries):
        turned = (np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)))
        entry = shelved(f"q{number:02}", turned, genre=genre, language=language,
                        retired=retired, requests=requests)  # fmt: skip
        shelf.put([entry])
        plain[entry.known.id] = entry
    for number in removed:
        shelf.remove(f"q{number:02}")
        plain.pop(f"q{number:02}", None)
    query = np.asarray((1, 0), dtype=np.float32)

    def key(entry: Shelved) -> tuple[bool, float, str]:
        cosine = float(unpacked(entry.vector) @ query)
        return entry.known.genre != "poem", -round(cosine, 4), entry.known.id

    fitting = [
        entry for entry in plain.values()
        if entry.known.language == "en" and entry.known.retired is None
        and entry.known.requests != ("me",)
    ]  # fmt: skip
    expected = [entry.known.id for entry in sorted(fitting, key=key)[:most]]
    assert near(shelf, query, most, besides="me") == expected
