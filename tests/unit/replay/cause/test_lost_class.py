"""The class of a recorded error that the code does not have any more is named where it matters."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution.call_site import CallSite
from durable_execution.divergence import Divergence, DivergenceKind
from durable_execution.errors import StepError
from durable_execution.replay.cause.observed_cause import with_lost_class
from tests.unit.replay.cause.test_observed_cause import difference

CATCHES = """
async def flow(event, ctx):
    try:
        await ctx.step(pay)
    except shop.errors.Refused:
        await ctx.step(refund)
    except (OSError, shop.errors.Gone):
        pass
    except:
        pass
"""
LOST = "shop.errors.Refused"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "flow.py"
    path.write_text(CATCHES, encoding="utf-8")
    return str(path)


def named(
    file: str,
    *errors: str | None,
    kind: DivergenceKind = DivergenceKind.SKIPPED,
    ends_with: str | None = None,
    has_failed: bool = True,
    has_site: bool = True,
) -> Divergence:
    """The difference, after calls that are recorded with these errors; the replay ends with one."""
    site = CallSite(file, 4, "flow") if has_site else None
    calls = {str(n): SimpleNamespace(call=SimpleNamespace(id=str(n), call_site=site)) for n in range(len(errors) + 1)}
    operations = [
        SimpleNamespace(id=str(n), error=SimpleNamespace(type=name) if name is not None else None)
        for n, name in enumerate(errors)
    ]
    raised = StepError("refused", ends_with) if ends_with is not None else ValueError()
    run = SimpleNamespace(has_failed=has_failed, collector=SimpleNamespace(exception=raised, calls=calls))
    return with_lost_class(
        difference(None, kind), cast("Any", run), cast("Any", SimpleNamespace(operations=operations))
    )


def test_an_error_that_the_code_catches_by_a_class_that_is_gone_is_named(file: str) -> None:
    found = named(file, None, LOST, "ValueError", "shop.errors.Other")
    assert found.cause is not None
    assert (found.cause.file, found.cause.line, found.cause.is_from_source) == (file, 4, True)
    assert "flow.py:4 raises the recorded error shop.errors.Refused" in found.cause.text
    assert "`except Refused` does not catch it" in found.cause.text
    assert found.fix == "keep `Refused` importable from `shop.errors` until running executions have finished"


def test_the_last_of_several_is_named(file: str) -> None:
    found = named(file, LOST, "shop.errors.Gone", "json.decoder.JSONDecodeError", None)
    assert "shop.errors.Gone" in (found.cause.text if found.cause else "")


@pytest.mark.parametrize("name", [None, "Refused", "json.decoder.JSONDecodeError", "shop.errors.NeverCaught"], ids=str)
def test_an_error_that_is_none_that_exists_or_that_nothing_catches_is_not_named(name: str | None, file: str) -> None:
    assert named(file, name).cause is None


def test_a_call_without_a_line_is_not_named(file: str) -> None:
    assert named(file, LOST, has_site=False).cause is None


@pytest.mark.parametrize(
    ("name", "ends_with", "has_failed", "is_named"),
    [
        (LOST, LOST, True, True),
        ("shop.errors.NeverCaught", "shop.errors.NeverCaught", True, True),
        (LOST, "shop.errors.Gone", True, False),
        (LOST, LOST, False, False),
        (LOST, None, True, False),
    ],
)
def test_a_different_end_is_explained_by_the_error_it_ends_with(
    name: str, ends_with: str | None, has_failed: bool, is_named: bool, file: str
) -> None:
    found = named(file, name, kind=DivergenceKind.OUTCOME, ends_with=ends_with, has_failed=has_failed)
    assert (found.cause is not None) is is_named
