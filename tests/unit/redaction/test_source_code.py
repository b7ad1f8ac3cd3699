"""Secrets in source are hidden in literals and comments; the code and its line numbers stay."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.redaction import HIDDEN, Redaction, redacted_source
from tests.unit.redaction import secrets

VALUE = secrets.VALUE
FORMS = (
    "{name} = '{value}'",
    "{name}: str = ('{value}')",
    "{name} = b'{value}'",
    "{name} = [1, '{value}', {{'x': '{value}'}}]",
    "{name} = '{value}' if x else y or '{value}'",
    "{name} = 'a' 'b' '{value}'",
    "{name} = (\n    'a'\n    '{value}'  # comment\n)",
    '{name} = """\n{value}\n"""',
    "{name} = '{value}'.encode()",
    "{name} = str(b64decode(b'{value}'), 'ascii')",
    "{name} = f'{{prefix}}-{value}'",
    "{name} = lambda: '{value}'",
    "user, {name} = 'bob', '{value}'",
    "self.{name} = '{value}'",
    "config['{name}'] = '{value}'",
    "{name}['live'] = '{value}'",
    "if ({name} := '{value}'):\n    pass",
    "if {name} == '{value}':\n    pass",
    "if '{value}' != request.{name}:\n    pass",
    "if {name} in ('{value}', 'b'):\n    pass",
    "connect({name}='{value}')",
    "connect({name}=Box('{value}'))",
    "os.environ['{name}'] = '{value}'",
    "x = os.environ.get('{name}', '{value}')",
    "x = os.getenv('{name}', default='{value}')",
    "os.environ.setdefault('{name}', '{value}')",
    "setattr(x, '{name}', '{value}')",
    "parser.add_argument('--{name}', default='{value}')",
    "x = {{'{name}': '{value}', 'y': 1}}",
    "x = {{Field.{name}: '{value}'}}",
    "x = [('{name}', '{value}')]",
    "x = {{'name': '{name}', 'value': '{value}'}}",
    "x = Parameter(name='{name}', value='{value}')",
    "def connect(user, {name}='{value}', *, y=1):\n    pass",
    "def connect(*, {name}='{value}'):\n    pass",
    "def {name}():\n    return '{value}'",
    "hmac.compare_digest({name}, '{value}')",
    "hmac.compare_digest('{value}', {name})",
    "match x:\n    case {{'{name}': '{value}'}}:\n        pass",
    "class Settings:\n    {name}: str = Field('{value}')",
    "# {name} = {value}",
    "x = 1  # {name}: {value}",
    "x = '{name}={value}'",
    "x = b'{name}={value}'",
    'x = "{name}=\\"{value}\\""',
    'def f():\n    """{name}={value}"""',
    "x = 'select' f'{{y}};{name}={value}'",
    "x = ('{name}='\n     '{value}')",
    "é = 'ü'; {name} = '{value}'; x = 'ß'",
)
"""Ways in which a secret stands in code."""


def is_written_as(name: str, form: str) -> bool:
    if "-" in name and not any(
        mark in form for mark in ("'{name}", "'--{name}", "'{name}=", "# ", ": {value}", '"{name}', '"{name}=')
    ):
        return False  # a difference, not a name
    try:
        ast.parse(form.format(name=name, value=VALUE))
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("form", FORMS)
def test_the_value_of_a_secrets_name(form: str) -> None:
    names = [name for name in secrets.NAMES if is_written_as(name, form)]
    assert names
    for name in names:
        text = form.format(name=name, value=VALUE)
        shown = redacted_source(text)
        assert VALUE not in shown, shown
        assert shown.count("\n") == text.count("\n")
        assert redacted_source(shown) == shown
        ast.parse(shown)


@pytest.mark.parametrize(
    "form", ["x = {!r}", "f(x, y={!r})", "# see {}", "x = ({!r},)", "x = f'{{y}}' {!r}", '"""\n{}\n"""']
)
@pytest.mark.parametrize("shape", secrets.SHAPES)
def test_what_has_the_shape_of_a_secret(shape: str, form: str) -> None:
    if "\n" in shape and form.startswith("#"):
        return
    text = f"first = 1\n{form.format(shape)}\nlast = 2\n"
    shown = redacted_source(text)
    assert shape not in shown
    assert repr(shape)[1:-1] not in shown
    assert [shown.split("\n")[0], shown.split("\n")[-2]] == ["first = 1", "last = 2"]
    assert shown.count("\n") == text.count("\n")
    ast.parse(shown)


@pytest.mark.parametrize(
    "text",
    [
        "key = 'AKIA' + 'IOSFODNN7EXAMPLE'",
        "key = 'AKIA' 'IOSFODNN7EXAMPLE'",
        "key = '\\x41KIAIOSFODNN7EXAMPLE'",
        "key = ('postgres://app:s3cr3t'\n       '-pw@db/orders')",
    ],
)
def test_a_secret_in_parts(text: str) -> None:
    shown = redacted_source(text)
    assert "IOSF" not in shown
    assert "s3cr3t" not in shown
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "token = await ctx.step(fetch_token('orders'), name='fetch-token')",
        "password = os.environ['DB_PASSWORD']",
        "api_key = secrets.get('prod/api-key')",
        "headers = {'Authorization': f'Bearer {token}'}",
        "if 'token' in event:\n    pass",
        "def charge(token: str, password: str | None = None, secret='') -> str:\n    return token",
        "max_tokens = 4096\ntoken_type = 'bearer'",
        "async def handler(event, ctx):\n    password = await ctx.step(read, name='password')\n    return {'token': password}",
        "tokens = []\ntokens.append(token)\nassert token is not None\ntoken = None",
        "order_id = 'A-17'  # the order",
    ],
)
def test_code_that_holds_no_secret(text: str) -> None:
    assert redacted_source(text) == text


@pytest.mark.parametrize("name", secrets.HARMLESS_NAMES)
def test_the_value_of_a_harmless_name(name: str) -> None:
    for form in ("x = {{'{}': '{}'}}", "x['{}'] = '{}'", "f('{}', '{}')"):
        text = form.format(name, VALUE)
        assert redacted_source(text) == text


def test_text_that_is_not_python_keeps_its_lines() -> None:
    text = f"api_key={VALUE}\nprint 'hello'\npassword:\n  x\n-----BEGIN RSA PRIVATE " + "KEY-----\nMIIE\nabc\n"
    shown = redacted_source(text)
    assert shown.split("\n")[:2] == [f"api_key={HIDDEN}", "print 'hello'"]
    assert shown.count("\n") == text.count("\n")
    assert "MIIE" not in shown
    assert redacted_source(f"password = {VALUE!r}\r\nx = 1\r\n").count("\r") == 2


def test_further_names() -> None:
    rules = Redaction().with_keys({"street"})
    assert redacted_source("street = 'Elm Road 5'", rules) == f"street = '{HIDDEN}'"


@given(st.text(max_size=60), st.sampled_from(["{!r}", "x = {!r} + password", "password = {!r}", "# {}", "{}"]))
def test_any_text_keeps_its_lines(value: str, form: str) -> None:
    text = form.format(value)
    assert redacted_source(text).count("\n") == text.count("\n")


def test_this_package_is_shown_as_it_is() -> None:
    """Almost: code is never hidden, and few of its literals."""
    lines = hidden = 0
    for file in (Path(redacted_source.__code__.co_filename).parents[1] / "operations").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        shown = redacted_source(text)
        ast.parse(shown)
        assert re.sub(r"\W", "", "".join(_names(text))) == re.sub(r"\W", "", "".join(_names(shown)))
        lines += text.count("\n")
        hidden += sum(left != right for left, right in zip(text.split("\n"), shown.split("\n"), strict=True))
    assert hidden < lines / 500


def _names(text: str) -> list[str]:
    return [node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]


def test_the_same_source_is_redacted_once() -> None:
    first = redacted_source('password = "hunter2-a"', Redaction())
    assert first == 'password = "⊘"'
    assert redacted_source('password = "hunter2-a"', Redaction()) is first
    assert redacted_source('password = "hunter2-a"', Redaction().with_keys({"street"})) is not first
