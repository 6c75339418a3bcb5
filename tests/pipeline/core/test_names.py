"""Keys of an index: each is a key, and there once, however they lie."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ns2.pipeline.core.names import check_keys, key_faults


@pytest.mark.parametrize(
    "chunks",
    [
        [["a", "b", "c"]],
        [["a", "b"], ["c"], [], ["d", "e"]],
        [["b", "a"], ["c"]],
        [["c"], ["a", "b"]],
        [[], ["x"]],
        [],
    ],
)
def test_keys_that_differ_are_fine_in_any_order(chunks: list[list[str]]) -> None:
    check_keys(pa.chunked_array(chunks, pa.string()))


@pytest.mark.parametrize(
    "chunks",
    [
        [["a", "a"]],
        [["a", "b", "a"]],
        [["a", "b"], ["b", "c"]],
        [["a"], ["a"]],
        [["a"], [], ["a"]],
        [["b", "c"], ["a", "b"]],
        [["a", None, "a"]],
        [["a", "b"], [None], ["a"]],
    ],
)
def test_a_key_that_is_there_twice_is_found(chunks: list[list[str | None]]) -> None:
    found = key_faults(pa.chunked_array(chunks, pa.string()))
    assert [message for _, message in found if "times" in message] == ["the key is there 2 times"]
    with pytest.raises(ValueError, match="key"):
        check_keys(pa.chunked_array(chunks, pa.string()))


@pytest.mark.parametrize("key", ["", "a b", "../a", "é", None, "x" * 81])
def test_what_is_no_key_is_found(key: str | None) -> None:
    keys = pa.chunked_array([["a", key]], pa.string())
    assert ["is no key" in message for _, message in key_faults(keys)] == [True]
