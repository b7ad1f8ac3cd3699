"""Every rule of the linter has a page: what it calls wrong is found, and what it calls right is not."""

import re

import pytest

from durable_execution.lint import RULES, lint_sources
from tests.docs.pages import REPOSITORY

PAGES = REPOSITORY / "docs" / "reference" / "lint"
BLOCK = re.compile(r"## (?P<kind>Wrong|Right)\n+```[^\n]*\n(?P<code>.*?)```", re.DOTALL)


@pytest.mark.parametrize("rule", RULES)
def test_the_page_of_a_rule_is_true(rule: str) -> None:
    page = (PAGES / f"{rule}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {rule}: {RULES[rule].name}\n")
    codes = {found["kind"]: found["code"] for found in BLOCK.finditer(page)}
    assert [found.rule for found in lint_sources({"wrong.py": codes["Wrong"]})] == [rule]
    assert lint_sources({"right.py": codes["Right"]}) == []


def test_every_page_is_of_a_rule() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(RULES)
