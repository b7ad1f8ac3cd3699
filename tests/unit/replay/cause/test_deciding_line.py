"""What today's source says about a difference without a cause: the line that decides, and nothing the source does not show."""

from pathlib import Path

import pytest

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import effect_of, fix_of, likely_of
from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence, Severity, Side
from durable_execution.replay.cause.deciding_line import fresh_source, with_deciding_line
from durable_execution.replay.source.statements import read_again, source_of

HEAD = "async def handler(event, ctx):\n"


def difference(
    path: Path, body: str, kind: str, recorded: str | None, replayed: str | None, *, same: bool = False
) -> Divergence:
    """A difference at the line of today's code that is marked `# here`."""
    file = path / "orders.py"
    text = HEAD + "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    file.write_text(text)
    line = next((at for at, each in enumerate(text.splitlines(), start=1) if "# here" in each), None)
    site = CallSite(str(file), line, "handler") if line is not None else None
    left = Side("STEP", name=recorded, call_site=CallSite(str(file), 99, "handler")) if recorded else None
    right = Side("STEP", name=replayed, call_site=site) if replayed else None
    of = DivergenceKind(kind)
    return Divergence(
        of, Severity.ERROR, "orders:handler", "handler/x", "handler", 2, left, right,
        effect=effect_of(of, left, right),
        fix=fix_of(of, left, right, is_same_function=same),
        likely=likely_of(of, left, right, is_same_function=same),
    )  # fmt: skip


def likely(found: Divergence) -> str:
    return with_deciding_line(found).likely or ""


def test_a_call_that_its_line_always_makes_was_added(tmp_path: Path) -> None:
    found = difference(tmp_path, "await ctx.step(audit)  # here\nawait ctx.step(charge)", "inserted", "charge", "audit")
    explained = with_deciding_line(found)
    assert explained.likely == 'orders.py:2 always makes this call: "audit" was added to the code after the recording'
    assert explained.fix.startswith('make the new call only `if ctx.patched("audit"):`')
    assert "if you did not add it" not in explained.fix


@pytest.mark.parametrize(
    "body",
    [
        "if not event:\n    return 1\nawait ctx.step(audit)  # here",
        "try:\n    await ctx.step(audit)  # here\nexcept ValueError:\n    pass",
        "await ctx.step(audit if event else charge)  # here",
        "task = audit if event else charge\nawait ctx.step(task)  # here",
    ],
)
def test_a_call_that_may_not_run_is_not_said_to_be_added(tmp_path: Path, body: str) -> None:
    found = difference(tmp_path, body, "inserted", "charge", "audit")
    assert "always" not in likely(found)


def test_the_condition_around_a_new_call_decides(tmp_path: Path) -> None:
    body = "late = datetime.now().hour > 18\nif late:\n    await ctx.step(audit)  # here\nawait ctx.step(charge)"
    explained = with_deciding_line(difference(tmp_path, body, "inserted", "charge", "audit"))
    assert explained.likely == (
        "orders.py:3 decides: `if late` is true, so line 4 makes this call; it depends on `datetime.now()`, called outside a "
        "step on line 2"
    )
    assert explained.fix.startswith("read the clock in a step")


def test_a_skipped_call_is_under_a_condition_that_is_false(tmp_path: Path) -> None:
    body = "if event['total'] > 2:\n    await ctx.step(audit)\nawait ctx.step(ship)  # here"
    assert likely(difference(tmp_path, body, "skipped", "audit", "ship")) == (
        "orders.py:2 decides: `if event['total'] > 2` is false, so line 3 does not run"
    )


def test_a_skipped_call_in_an_else_means_that_the_condition_is_true(tmp_path: Path) -> None:
    body = "if event:\n    pass\nelse:\n    await ctx.step(audit)\nawait ctx.step(ship)  # here"
    assert "`if event` is true, so line 5 does not run" in likely(
        difference(tmp_path, body, "skipped", "audit", "ship")
    )


def test_a_condition_on_a_closure_names_the_function_that_does_not_run(tmp_path: Path) -> None:
    body = (
        "total = 0\nasync def price(ctx, sku):\n    nonlocal total\n    total += 1\nawait ctx.map(event, price)\n"
        "if total > 1:\n    await ctx.step(audit)\nawait ctx.step(ship)  # here"
    )
    explained = with_deciding_line(difference(tmp_path, body, "skipped", "audit", "ship"))
    assert "`total` is set inside price (line 5), which does not run when its result is recorded" in (
        explained.likely or ""
    )
    assert explained.fix == "return the value from price, and compute `total` from the recorded results"


CHANGED_INSIDE = """
posted = []
async def post(ctx, number):
    posted.append(number)
await ctx.map(event, post)
if len(posted) == 3:
    await ctx.step(audit)
await ctx.step(ship)  # here
"""


def test_a_list_that_only_the_body_of_a_map_fills_is_empty_on_replay(tmp_path: Path) -> None:
    explained = with_deciding_line(difference(tmp_path, CHANGED_INSIDE, "skipped", "audit", "ship"))
    assert (explained.likely or "").endswith(
        "`if len(posted) == 3` is false, so line 7 does not run; `posted` is changed inside post (line 4), which does not run "
        "when its result is recorded"
    )
    assert explained.fix == "return the value from post, and compute `posted` from the recorded results"


@pytest.mark.parametrize(
    ("before", "after"),
    [("await ctx.map(event, post)", "await post(ctx, 1)"), ("    posted.append", "    posted = []\n    posted.append")],
)
def test_a_function_that_the_code_calls_itself_runs_on_replay(tmp_path: Path, before: str, after: str) -> None:
    body = CHANGED_INSIDE.replace(before, after)
    assert "inside" not in likely(difference(tmp_path, body, "skipped", "audit", "ship"))


def test_a_call_that_the_file_does_not_contain_any_more_was_removed(tmp_path: Path) -> None:
    found = difference(tmp_path, "await ctx.step(ship)  # here", "skipped", "audit", "ship")
    assert likely(found).startswith('orders.py no longer makes this call: "audit" was removed')


def test_two_branches_of_one_condition(tmp_path: Path) -> None:
    body = "if event:\n    await ctx.step(go, name='fast')  # here\nelse:\n    await ctx.step(go, name='slow')"
    found = difference(tmp_path, body, "renamed", "slow", "fast", same=True)
    assert likely(found) == "orders.py:2 decides: `if event` is true, so line 3 runs in place of line 5"
    assert with_deciding_line(found).title == "SKIPPED CALL", "another branch ran: nothing was renamed"


def test_a_computed_name_is_shown_as_it_is_computed(tmp_path: Path) -> None:
    found = difference(tmp_path, "await ctx.step(go, name=f'go_{event}')  # here", "renamed", "go_1", "go_2", same=True)
    assert "the same function runs under a different name" in likely(found)
    assert "orders.py:2 computes the name: `await ctx.step(go, name=f'go_{event}')" in likely(found)


def test_calls_that_were_swapped(tmp_path: Path) -> None:
    body = "await ctx.step(charge)  # here\nawait ctx.step(reserve)"
    assert 'makes this call before "reserve" on line 3: the two were swapped' in likely(
        difference(tmp_path, body, "reordered", "reserve", "charge")
    )


def test_a_loop_that_orders_calls(tmp_path: Path) -> None:
    body = "for name in set(event):\n    await ctx.step(name)  # here"
    explained = with_deciding_line(difference(tmp_path, body, "reordered", "a", "b"))
    assert explained.likely == "orders.py:2 runs in a different order: `for name in set(event)`"
    assert "sorted(" in explained.fix


def test_a_new_call_in_a_loop_may_be_added_or_repeated(tmp_path: Path) -> None:
    body = "for sku in event:\n    await ctx.step(audit)  # here\nawait ctx.step(ship)"
    explained = with_deciding_line(difference(tmp_path, body, "inserted", "ship", "audit"))
    assert explained.likely == (
        "orders.py:3 makes this call in each round of `for sku in event`: it was added, or the loop runs more often than recorded"
    )
    assert explained.fix.startswith('make the new call only `if ctx.patched("audit"):`')


def test_a_loop_whose_calls_have_names_of_their_own_orders_nothing(tmp_path: Path) -> None:
    body = "for sku in event:\n    await ctx.step(pick)  # here\nfor sku in event:\n    await ctx.step(pack)"
    assert "runs in a different order" not in likely(difference(tmp_path, body, "reordered", "pack", "pick"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "await ctx.step(audit)  # here\nawait ctx.step(charge)",
            'orders.py:2 always makes this call before "charge" on line 3: it was added to the code after the recording',
        ),
        (
            "if event:\n    await ctx.step(audit)  # here\nawait ctx.step(charge)",
            'orders.py:2 decides: `if event` is true, so line 3 makes this call before "charge" on line 4',
        ),
    ],
)
def test_a_call_before_the_recorded_one_is_no_rename(tmp_path: Path, body: str, said: str) -> None:
    explained = with_deciding_line(difference(tmp_path, body, "renamed", "charge", "audit"))
    assert explained.likely == said
    assert 'if ctx.patched("audit")' in explained.fix
    assert explained.title == "NEW CALL"


@pytest.mark.parametrize(
    "body",
    [
        "for sku in event:\n    await ctx.step(audit)  # here\n    await ctx.step(charge)",
        "await ctx.step(charge)\nawait ctx.step(audit)  # here",
        "await ctx.step(audit)  # here\nawait ctx.step(charge)\nawait ctx.step(charge)",
    ],
)
def test_a_recorded_call_at_an_unknown_place_stays_a_guess(tmp_path: Path, body: str) -> None:
    explained = with_deciding_line(difference(tmp_path, body, "renamed", "charge", "audit"))
    assert "before" not in (explained.likely or "")
    assert explained.title == "RENAMED"


def test_a_cause_with_evidence_stays(tmp_path: Path) -> None:
    from dataclasses import replace

    found = difference(tmp_path, "await ctx.step(audit)  # here", "inserted", "charge", "audit")
    known = replace(found, cause=Cause(Evidence.OBSERVED, "orders.py", 1, "reads the clock", "use a step"))
    assert with_deciding_line(known) is known


def test_a_file_that_is_not_here_changes_nothing(tmp_path: Path) -> None:
    found = difference(tmp_path, "await ctx.step(audit)  # here", "inserted", "charge", "audit")
    (tmp_path / "orders.py").unlink()
    assert with_deciding_line(found) is found


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "flow.py"
    for text in ("a = 1\n", "a = 1\nb = 2\n", "a = 1\n"):
        file.write_text(text, encoding="utf-8")
        assert len(list(fresh_source(str(file)))) == text.count("\n")
        read_again()
        assert len(list(source_of(str(file)))) == text.count("\n")
    known = fresh_source(str(file))
    assert fresh_source(str(file)) is known, "and once for all differences in it"
    read_again()
    assert source_of(str(file)) is known, "parsing takes longer than all else about a difference"


@pytest.mark.parametrize(("here", "there"), [("early", "late"), ("late", "early")])
def test_another_case_of_a_match_decides(tmp_path: Path, here: str, there: str) -> None:
    cases = (
        f'    case {name[0]!r}:\n        await ctx.step(go, name="{name}"){"  # here" if name == here else ""}'
        for name in ("early", "late")
    )
    found = with_deciding_line(
        difference(tmp_path, "match event:\n" + "\n".join(cases), "renamed", there, here, same=True)
    )
    assert found.kind is DivergenceKind.SKIPPED
    assert (found.likely or "").startswith("orders.py:2 decides with `match event`"), found.likely
    assert "keep" not in found.fix
