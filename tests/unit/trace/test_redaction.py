"""What must not be written is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from durable_execution.trace.redaction import Redaction, secret_fields
from durable_execution.trace.schema import HIDDEN

RULES = Redaction()


@pytest.mark.parametrize("key", ["password", "PASSWORD", "dbPassword", "db_password", "client-secret", "apiKey", "cvv"])
def test_names_of_secrets(key: str) -> None:
    assert RULES.hides(key)
    assert RULES.value({key: "x"}) == {key: HIDDEN}


@pytest.mark.parametrize("key", ["passport", "secretary", "tokens_used", "order_id", "keys"])
def test_names_that_only_look_like_one(key: str) -> None:
    assert not RULES.hides(key)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
        "Bearer abcdefghijkl",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_looks_of_secrets(secret: str) -> None:
    assert secret not in RULES.text(f"before {secret} after")
    assert secret not in RULES.payload(json.dumps({"note": f"it is {secret}"}))


def test_numbers_that_are_card_numbers() -> None:
    assert RULES.value({"number": 4111111111111111, "count": 12}) == {"number": HIDDEN, "count": 12}


@pytest.mark.parametrize(
    "text", ["Card(password='hunter2', x=1)", 'api_key="hunter2"', "{'token': 'hunter2'}", "secret=hunter2"]
)
def test_names_in_text(text: str) -> None:
    assert "hunter2" not in RULES.text(text)


def test_ordinary_payloads_stay_as_they_are() -> None:
    payload = '{"order":7,"at":"2026-01-01T00:00:00Z","total":81.2,"lines":["a",null,true]}'
    assert RULES.payload(payload) == payload


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(json_values)
def test_a_secret_is_hidden_at_any_depth(around: Any) -> None:
    value = {"outer": [around, {"deep": {"password": "sesame-open", "rest": around}}]}
    assert "sesame-open" not in RULES.payload(json.dumps(value))


def test_secret_fields_of_models_at_any_depth() -> None:
    class Inner(BaseModel):
        pin: SecretStr | None = None

    class Outer(BaseModel):
        name: str
        inner: list[Inner]
        again: "Outer | None" = None

    Outer.model_rebuild(_types_namespace={"Outer": Outer})
    assert secret_fields(Outer) == {"pin"}
    assert secret_fields(int) == frozenset()


def test_secret_values_hide_themselves() -> None:
    assert RULES.value({"anything": SecretStr("x")}) == {"anything": HIDDEN}
