"""Secrets are hidden by name, by shape and by type, and ordinary values are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from durable_execution.redaction import HIDDEN, Redaction, secret_fields
from durable_execution.serdes import CompressedSerDes, SerDesContext
from tests.unit.redaction import secrets

RULES = Redaction()
CONTEXT = SerDesContext("operation", "arn")
FORMS = ("{}={}", "{{'{}': '{}'}}", '{{"{}": "{}"}}', "{}: {}", "Call({}='{}')")


@pytest.mark.parametrize("key", secrets.NAMES)
def test_names_of_secrets(key: str) -> None:
    assert RULES.hides(key)
    assert RULES.value({key: "x"}) == {key: HIDDEN}


@pytest.mark.parametrize("key", secrets.HARMLESS_NAMES)
def test_names_that_only_look_like_one(key: str) -> None:
    assert not RULES.hides(key)


@pytest.mark.parametrize("secret", secrets.SHAPES)
def test_shapes_of_secrets(secret: str) -> None:
    assert secret not in RULES.text(f"before {secret} after")
    assert secret not in RULES.payload(json.dumps({"note": f"it is {secret}"}))
    assert HIDDEN in RULES.value(secret)


@pytest.mark.parametrize("name", secrets.FURTHER_NAMES)
def test_further_names_of_secrets(name: str) -> None:
    texts = [form.format(name, secrets.VALUE) for form in FORMS]
    assert [text for text in texts if secrets.VALUE in RULES.text(text)] == []
    assert RULES.value({name: "x"}) == {name: HIDDEN}


@pytest.mark.parametrize("secret", secrets.FURTHER_SHAPES)
def test_further_shapes_of_secrets(secret: str) -> None:
    text = f"before {secrets.AROUND.get(secret, '{}').format(secret)} after"
    assert secret not in RULES.text(text)
    assert secret not in RULES.payload(json.dumps({"note": text}))
    assert RULES.text(text).startswith("before ")
    assert RULES.text(text).endswith(" after")


def test_values_whose_kind_stands_beside_them() -> None:
    assert RULES.value({"kind": "Secret", "data": {"a": "b"}}) == {"kind": "Secret", "data": HIDDEN}
    assert RULES.value({"Name": "/shop", "Type": "SecureString", "Value": "b"})["Value"] == HIDDEN
    assert RULES.value({"kind": "ConfigMap", "data": {"a": "b"}}) == {"kind": "ConfigMap", "data": {"a": "b"}}
    assert RULES.value({"id": "password", "label": "Password", "value": "b"})["value"] == HIDDEN


def test_private_members_of_a_json_web_key() -> None:
    key = {"kty": "RSA", "n": "modulus", "e": "AQAB", "d": "x1", "p": "x2", "q": "x3", "kid": "7"}
    shown = {**key, "d": HIDDEN, "p": HIDDEN, "q": HIDDEN}
    assert RULES.value({"keys": [key]}) == {"keys": [shown]}
    assert RULES.value({"d": "x1", "p": 3}) == {"d": "x1", "p": 3}


@pytest.mark.parametrize("text", secrets.HARMLESS_TEXTS)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert RULES.text(text) == text
    assert RULES.value(text) == text


@pytest.mark.parametrize("text", secrets.TEXTS)
def test_secrets_in_texts(text: str) -> None:
    assert secrets.VALUE not in RULES.text(text.format(secrets.VALUE))


@pytest.mark.parametrize("text", secrets.APART)
def test_secrets_apart_from_their_names(text: str) -> None:
    shown = RULES.text(f"it failed\n{text.format(secrets.VALUE)}")
    assert secrets.VALUE not in shown
    assert secrets.VALUE not in RULES.payload(json.dumps({"message": text.format(secrets.VALUE)}))
    assert shown.startswith("it failed\n")


def test_only_the_value_is_hidden() -> None:
    for text, shown in {
        "{'name': 'DB_PASSWORD', 'value': 'a'}": "{'name': 'DB_PASSWORD', 'value': '⊘'}",
        "{'Name': 'token', 'Type': 'x', 'Value': 'a'}": "{'Name': 'token', 'Type': 'x', 'Value': '⊘'}",
        "password: |\n  a\n  b\nuser: bob": "password: |\n  ⊘\nuser: bob",
        "token\n  Bad [type=x, input_value='a', input_type=str]": "token\n  Bad [type=x, input_value='⊘', input_type=str]",
        "(id, password)=(7, a) exists": "(id, password)=(⊘) exists",
    }.items():
        assert RULES.text(text) == shown


@pytest.mark.parametrize("name", secrets.NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_names_of_secrets_in_texts(form: str, name: str) -> None:
    assert secrets.VALUE not in RULES.text(form.format(name, secrets.VALUE))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_json_within_json_text(levels: int) -> None:
    text = json.dumps({"password": secrets.VALUE, "kept": "yes"})
    for _ in range(levels):
        text = json.dumps({"body": text})
    hidden = RULES.payload(text)
    assert secrets.VALUE not in hidden
    assert "kept" in hidden


def test_names_beside_their_values() -> None:
    assert RULES.value({"name": "Authorization", "value": "x y z"}) == {"name": "Authorization", "value": HIDDEN}
    assert RULES.value({"Key": "db_password", "Value": 7}) == {"Key": "db_password", "Value": HIDDEN}
    assert RULES.value([["X-Api-Key", "abc"], ["Accept", "text"]]) == [["X-Api-Key", HIDDEN], ["Accept", "text"]]


def test_values_that_tell_nothing_stay() -> None:
    value: dict[str, Any] = {"password": None, "token": "", "secret": True, "credentials": []}
    assert RULES.value(value) == value


@pytest.mark.parametrize(
    "text",
    ["password" * 5000, "=" * 50_000, "'" * 50_000, "a." * 25_000, "\\" * 50_000, "4" * 50_000, "1 " * 25_000, "eyJ" * 15_000,
     "://" * 15_000, "password='" * 5000, "secret={" * 5000, "DE12 " * 10_000, "-----BEGIN PRIVATE KEY-----" * 1500,
     "name='a', value='" * 3000, "token: |\n " * 5000, "<a b" * 10_000, "token%3D" * 6000, 'name="a"\\n' * 4000 + "form-data",
     "(a" * 15_000 + ") values", "(a)=(" * 9000, "[SQL: a" * 8000 + "[parameters:", "a\n b" * 9000 + "input_value=", "a_" * 25_000,
     "aB3" * 15_000, "a-" * 25_000 + "aB3" * 20, "$5$" * 15_000, "is to " * 9000],
)  # fmt: skip
def test_hostile_texts_are_read_in_linear_time(text: str) -> None:
    """Quadratic reading of these would take minutes, which the test's own time limit would end."""
    assert isinstance(RULES.text(text), str)


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


@pytest.mark.parametrize("text", ["tokens.py:12 creates a uuid", "at shop/secret.py:7 in charge", "api_key.py:120"])
def test_a_place_in_the_source_is_not_a_secret(text: str) -> None:
    assert Redaction().text(text) == text


def test_a_file_that_is_no_source_is_not_a_place() -> None:
    assert HIDDEN in Redaction().text("token.py: hunter2")


def test_the_secrets_that_names_in_a_payload_hide() -> None:
    inner = json.dumps({"body": json.dumps({"api_key": "inner"})})
    payload = {
        "user": "ada",
        "password": "outer",
        "nested": inner,
        "pair": ["client secret", "paired"],
        "header": {"name": "X-Auth-Token", "value": "member"},
        "tokens": {"t": "l", "v": [{"t": "s", "v": "tagged"}]},
        "plain": ["ada", "bob"],
    }
    found = Redaction().hidden_in(json.dumps(payload))
    assert {"outer", "inner", "paired", "member", "tagged"} <= found
    assert not found & {"ada", "bob", "X-Auth-Token", "client secret"}
    assert Redaction().hidden_in("no JSON: password=x") == set()
    assert Redaction().hidden_in("{broken") == set()


def test_secrets_in_compressed_values() -> None:
    packed = CompressedSerDes(above_bytes=0).serialize(
        {"token": "sk_live_4242424242424242", "rows": ["row"] * 99}, CONTEXT
    )
    harmless = CompressedSerDes(above_bytes=0).serialize({"rows": ["row"] * 99}, CONTEXT)
    assert packed.startswith('{"durable:zlib":')
    shown = Redaction().payload(packed)
    assert "durable:zlib" not in shown
    assert json.loads(shown)["v"]["token"] == HIDDEN
    assert json.loads(shown)["v"]["rows"]["v"][0] == {"t": "s", "v": "row"}
    assert Redaction().payload(harmless) == harmless
    inside = Redaction().value({"results": [json.loads(packed)], "note": "n"})
    assert inside["results"][0]["v"]["token"] == HIDDEN
    assert Redaction().payload('{"durable:zlib":"AAAA"}') == f'"{HIDDEN}"', "damaged: nobody can tell what is in it"
