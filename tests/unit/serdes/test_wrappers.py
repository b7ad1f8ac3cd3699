"""Serializers around serializers: compressed, encrypted, kept elsewhere, and all of them at once."""

import base64
import json
import tracemalloc
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.errors import InvocationError, SerializationError
from durable_execution.serdes import (
    CompressedSerDes,
    DirectoryStore,
    EncryptedSerDes,
    JsonSerDes,
    OffloadedSerDes,
    PassThroughSerDes,
    SerDesContext,
    TaggedSerDes,
    TypedSerDes,
)
from durable_execution.serdes.offloaded import Recent
from tests.unit.fake_service import ARN
from tests.unit.serdes.memory_store import MemoryStore

CONTEXT = SerDesContext("1ced8f5be2db23a6513eba4d819c7380", ARN)
LONG = "tea and biscuits " * 1_000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@dataclass
class Order:
    id: str
    notes: str


def turned(data: bytes, context: SerDesContext) -> bytes:
    """Encryption as bad as it gets, bound to the operation."""
    key = context.operation_id.encode() or b"k"
    return bytes(byte ^ key[index % len(key)] for index, byte in enumerate(data))


def encrypted(inner: Any = None, **options: Any) -> EncryptedSerDes:
    return EncryptedSerDes(inner, encrypt=turned, decrypt=turned, **options)


def every_wrapper() -> list[Any]:
    return [
        CompressedSerDes(above_bytes=0),
        CompressedSerDes(),
        encrypted(),
        OffloadedSerDes(None, store=MemoryStore(), above_bytes=0),
        OffloadedSerDes(encrypted(CompressedSerDes(above_bytes=0)), store=MemoryStore(), above_bytes=20),
        CompressedSerDes(CompressedSerDes(above_bytes=0), above_bytes=0),
        CompressedSerDes(encrypted(), above_bytes=0),
    ]


@given(VALUES)
def test_a_value_comes_back_through_every_wrapper(value: Any) -> None:
    for serializer in every_wrapper():
        assert serializer.deserialize(serializer.serialize(value, CONTEXT), CONTEXT) == value


@given(st.sampled_from(["zlib", "encrypted", "offloaded"]), st.text(max_size=5))
def test_text_that_looks_wrapped_is_not_taken_for_it(kind: str, content: str) -> None:
    text = json.dumps({f"durable:{kind}": content}, separators=(",", ":"))
    for make in (
        lambda: CompressedSerDes(PassThroughSerDes()),
        lambda: encrypted(PassThroughSerDes()),
        lambda: OffloadedSerDes(PassThroughSerDes(), store=MemoryStore()),
    ):
        serializer = make()
        assert serializer.deserialize(serializer.serialize(text, CONTEXT), CONTEXT) == text


@pytest.mark.parametrize("index", range(len(every_wrapper())))
def test_what_is_stored_is_json(index: int) -> None:
    json.loads(every_wrapper()[index].serialize([LONG, b"bytes"], CONTEXT))


def test_half_a_surrogate_pair_passes() -> None:
    for serializer in (CompressedSerDes(PassThroughSerDes(), above_bytes=0), encrypted(PassThroughSerDes())):
        assert serializer.deserialize(serializer.serialize("\ud800" * 100, CONTEXT), CONTEXT) == "\ud800" * 100


class TestCompressed:
    def test_long_text_becomes_short(self) -> None:
        assert len(CompressedSerDes().serialize(LONG, CONTEXT)) < len(LONG) / 20

    def test_short_text_stays_as_it_is(self) -> None:
        assert CompressedSerDes().serialize({"a": 1}, CONTEXT) == TaggedSerDes().serialize({"a": 1})

    def test_text_that_would_not_become_shorter_stays_as_it_is(self) -> None:
        noise = "".join(chr(33 + (index * index * 31 + index * 7) % 94) for index in range(50))
        assert CompressedSerDes(PassThroughSerDes(), above_bytes=0).serialize(noise, CONTEXT) == noise

    def test_what_was_stored_before_is_read(self) -> None:
        assert CompressedSerDes(JsonSerDes()).deserialize('{"a": 1}', CONTEXT) == {"a": 1}

    @pytest.mark.parametrize("content", ['"!"', '"AAAA"', "5", "null", "{"])
    def test_damaged_text_is_refused(self, content: str) -> None:
        with pytest.raises(SerializationError, match=r"damaged|cannot be decompressed"):
            CompressedSerDes().deserialize(f'{{"durable:zlib":{content}}}', CONTEXT)

    def test_cut_text_is_refused(self) -> None:
        text = CompressedSerDes().serialize(LONG, CONTEXT)
        with pytest.raises(SerializationError, match="damaged"):
            CompressedSerDes().deserialize(text[:-5], CONTEXT)

    @pytest.mark.parametrize("zeros", [2_000, 50_000_000])
    def test_a_text_that_expands_beyond_measure_is_refused(self, zeros: int) -> None:
        """Fifty megabytes of zeros take fifty kilobytes, and must not be expanded to find out."""
        packer = zlib.compressobj(9)
        block = b"0" * min(zeros, 1_000_000)
        data = b"".join(packer.compress(block) for _ in range(zeros // len(block))) + packer.flush()
        text = json.dumps({"durable:zlib": base64.b64encode(data).decode()}, separators=(",", ":"))
        tracemalloc.start()
        try:
            with pytest.raises(SerializationError, match="expands to more than 1,000 bytes; raise max_bytes"):
                CompressedSerDes(max_bytes=1000).deserialize(text, CONTEXT)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()

    def test_a_text_that_could_not_be_read_again_is_not_written(self) -> None:
        with pytest.raises(SerializationError, match="OffloadedSerDes, or raise max_bytes"):
            CompressedSerDes(max_bytes=2000).serialize("x" * 2001, CONTEXT)

    def test_a_higher_level_is_no_larger(self) -> None:
        value = [str(number) for number in range(2_000)]
        fast, small = (len(CompressedSerDes(level=level).serialize(value, CONTEXT)) for level in (1, 9))
        assert small <= fast


class TestEncrypted:
    def test_nothing_of_the_value_is_stored(self) -> None:
        text = encrypted().serialize("the secret", CONTEXT)
        assert "secret" not in text

    def test_it_is_bound_to_what_the_functions_make_of_the_context(self) -> None:
        text = encrypted().serialize("the secret", CONTEXT)
        with pytest.raises(SerializationError, match="because the value is confidential"):
            encrypted().deserialize(text, SerDesContext("elsewhere", ARN))

    def test_plain_text_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(SerializationError, match=r"is not encrypted.*reads_plain=True"):
            encrypted().deserialize('"plain"', CONTEXT)
        assert encrypted(reads_plain=True).deserialize('"plain"', CONTEXT) == "plain"

    def test_an_error_does_not_show_what_is_secret(self) -> None:
        with pytest.raises(SerializationError) as raised:
            encrypted().serialize({"secret"}, CONTEXT)
        assert "secret" not in str(raised.value)
        text = encrypted(PassThroughSerDes()).serialize("the secret", CONTEXT)
        with pytest.raises(SerializationError) as raised:
            encrypted(TypedSerDes(Order)).deserialize(text, CONTEXT)
        assert "secret" not in str(raised.value)

    def test_what_the_functions_raise_is_theirs(self) -> None:
        def unavailable(data: bytes, context: SerDesContext) -> bytes:
            raise InvocationError("the key service does not answer")

        serializer = EncryptedSerDes(None, encrypt=unavailable, decrypt=unavailable)
        with pytest.raises(InvocationError):
            serializer.serialize(1, CONTEXT)
        with pytest.raises(InvocationError):
            serializer.deserialize(encrypted().serialize(1, CONTEXT), CONTEXT)

    @pytest.mark.parametrize("content", ['"!"', "5", "{"])
    def test_damaged_text_is_refused(self, content: str) -> None:
        with pytest.raises(SerializationError, match="damaged"):
            encrypted().deserialize(f'{{"durable:encrypted":{content}}}', CONTEXT)


class TestOffloaded:
    def test_small_text_is_stored_as_it_is(self) -> None:
        store = MemoryStore()
        assert OffloadedSerDes(None, store=store).serialize("small", CONTEXT) == '"small"'
        assert not store.kept

    def test_large_text_is_kept_elsewhere(self) -> None:
        store = MemoryStore()
        text = OffloadedSerDes(None, store=store, above_bytes=100).serialize(LONG, CONTEXT)
        assert len(text) < 300
        assert list(store.kept.values()) == [json.dumps(LONG).encode()]

    def test_the_limit_is_in_bytes(self) -> None:
        store = MemoryStore()
        OffloadedSerDes(PassThroughSerDes(), store=store, above_bytes=10).serialize("ä" * 5, CONTEXT)
        assert not store.kept
        OffloadedSerDes(PassThroughSerDes(), store=store, above_bytes=10).serialize("ä" * 6, CONTEXT)
        assert store.kept

    def test_it_is_kept_beside_the_others_of_its_execution(self) -> None:
        store = MemoryStore()
        serializer = OffloadedSerDes(None, store=store, above_bytes=0)
        serializer.serialize("a", CONTEXT)
        (key,) = store.kept
        assert key.startswith("i/1ced8f5be2db23a6-")

    @given(st.text(), st.text())
    def test_no_context_makes_a_key_a_store_would_not_take(self, operation: str, arn: str) -> None:
        store = MemoryStore()
        OffloadedSerDes(None, store=store, above_bytes=0).serialize("a", SerDesContext(operation, arn))
        (key,) = store.kept
        assert all(part and part.replace("-", "").isalnum() and part.isascii() for part in key.split("/")), key

    def test_a_retry_keeps_the_same_text_at_the_same_place(self) -> None:
        store = MemoryStore()
        serializer = OffloadedSerDes(None, store=store, above_bytes=0)
        assert serializer.serialize("a", CONTEXT) == serializer.serialize("a", CONTEXT)
        serializer.serialize("b", CONTEXT)
        assert len(store.kept) == 2

    def test_a_first_run_does_not_fetch_what_it_has_just_kept(self) -> None:
        store = MemoryStore()
        first = OffloadedSerDes(None, store=store, above_bytes=0)
        text = first.serialize(LONG, CONTEXT)
        assert first.deserialize(text, CONTEXT) == LONG
        assert store.gets == 0
        assert OffloadedSerDes(None, store=store).deserialize(text, CONTEXT) == LONG
        assert store.gets == 1

    def test_only_so_much_is_remembered(self) -> None:
        recent = Recent(max_bytes=10)
        recent.add("a", b"12345")
        recent.add("b", b"12345")
        recent.add("b", b"12345")
        assert recent.get("a") == b"12345"
        recent.add("c", b"1")
        assert recent.get("a") is None
        assert recent.get("b") == b"12345"
        recent.add("d", b"x" * 11)
        assert [recent.get(digest) for digest in "bcd"] == [None, None, None]

    def test_what_was_overwritten_is_noticed(self) -> None:
        store = MemoryStore()
        text = OffloadedSerDes(None, store=store, above_bytes=0).serialize(LONG, CONTEXT)
        store.kept = dict.fromkeys(store.kept, b'"else"')
        with pytest.raises(SerializationError, match="The object was overwritten"):
            OffloadedSerDes(None, store=store).deserialize(text, CONTEXT)

    @pytest.mark.parametrize("content", ["{}", "5", '{"key":"a"}', "[]"])
    def test_damaged_text_is_refused(self, content: str) -> None:
        with pytest.raises(SerializationError, match="damaged"):
            OffloadedSerDes(None, store=MemoryStore()).deserialize(f'{{"durable:offloaded":{content}}}', CONTEXT)


class TestTyped:
    def test_models_survive_every_wrapper(self, tmp_path: Path) -> None:
        order = Order("7", LONG)
        inner = encrypted(CompressedSerDes(TypedSerDes(Order)))
        serializer = OffloadedSerDes(inner, store=DirectoryStore(tmp_path), above_bytes=10)
        text = serializer.serialize(order, CONTEXT)
        restored = OffloadedSerDes(inner, store=DirectoryStore(tmp_path)).deserialize(text, CONTEXT)
        assert restored == order

    def test_plain_types_need_no_model(self) -> None:
        assert TypedSerDes(dict[str, int]).serialize({"a": 1}) == TaggedSerDes().serialize({"a": 1})


def test_compressing_before_encrypting_is_what_saves_room() -> None:
    good = encrypted(CompressedSerDes())
    bad = CompressedSerDes(EncryptedSerDes(None, encrypt=_scrambled, decrypt=_scrambled))
    assert len(good.serialize(LONG, CONTEXT)) * 5 < len(bad.serialize(LONG, CONTEXT))


def _scrambled(data: bytes, context: SerDesContext) -> bytes:
    from random import Random

    return bytes(byte ^ mask for byte, mask in zip(data, Random(1).randbytes(len(data)), strict=True))


def test_zlib_is_what_is_inside() -> None:
    import base64

    text = CompressedSerDes(PassThroughSerDes(), above_bytes=0).serialize(LONG, CONTEXT)
    assert zlib.decompress(base64.b64decode(json.loads(text)["durable:zlib"])).decode() == LONG
