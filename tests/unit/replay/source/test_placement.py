"""Where a statement stands: which loops and conditions an edit moved a call out of, or into."""

import difflib
import textwrap

import pytest

from durable_execution.divergence import Side
from durable_execution.replay.source.placement import is_only_renamed, line_of_call, moved
from durable_execution.replay.source.statements import Source

BEFORE = """
for room in rooms:
    ctx.step(inspect(room))
    ctx.step(paint(room))
if rooms:
    ctx.step(keys())
"""


def source(text: str) -> Source:
    return Source("flat.py", f"def flow(ctx, rooms):\n{textwrap.indent(textwrap.dedent(text).strip(), '    ')}\n")


def how(before: str, after: str, call: str) -> str:
    """How a call moved, by the lines that both texts have."""
    texts = [f"def flow(ctx, rooms):\n{textwrap.indent(one.strip(), '    ')}\n".split("\n") for one in (before, after)]
    blocks = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False).get_matching_blocks()
    kept = {a + at + 1: b + at + 1 for a, b, size in blocks for at in range(size)}
    old, new = source(before), source(after)
    lines = [line_of_call(one, range(1, 20), Side("STEP", name=call)) for one in (old, new)]
    assert lines[0] is not None
    assert lines[1] is not None
    return moved(old, lines[0], new, lines[1], kept)


@pytest.mark.parametrize(
    ("edit", "call", "expected"),
    [
        (("    ctx.step(paint(room))", "ctx.step(paint(room))"), "paint", "moved out of the loop `for room in rooms` on line 2"),
        (("if rooms:\n    ctx.step(keys())", "    ctx.step(keys())"), "keys", "moved out of `if rooms`, which was removed"),
        (("    ctx.step(keys())", "    if today:\n        ctx.step(keys())"), "keys", "moved into the new `if today` on line 6"),
        (("    ctx.step(keys())", "    for _ in rooms:\n        ctx.step(keys())"), "keys", "moved into the new loop `for _ in rooms` on line 6"),
        (("if rooms:", "if len(rooms) > 1:"), "keys", ""),
        (("paint(room)", "paint(rooms)"), "paint", ""),
    ],
)  # fmt: skip
def test_a_call_that_left_or_entered_a_loop_or_condition_is_told_from_a_changed_line(
    edit: tuple[str, str], call: str, expected: str
) -> None:
    if edit[0].startswith("if rooms:\n"):
        edit = (edit[0], edit[1].strip())
    assert how(BEFORE, BEFORE.replace(*edit), call) == expected


def test_a_call_that_moved_into_a_loop_that_was_there_names_the_loop() -> None:
    after = BEFORE.replace("if rooms:\n    ctx.step(keys())\n", "").replace(
        "paint(room))", "paint(room))\n    ctx.step(keys())"
    )
    assert how(BEFORE, after, "keys") == "moved into the loop `for room in rooms` on line 2"


def test_a_long_header_is_cut() -> None:
    loop = f"for room in {'all_of_the_' * 9}rooms:"
    before = BEFORE.replace("for room in rooms:", loop)
    text = how(before, before.replace("    ctx.step(paint(room))", "ctx.step(paint(room))"), "paint")
    assert text.startswith("moved out of the loop `for room in all_of_the_")
    assert "…` on line 2" in text


def test_a_name_made_twice_is_on_no_line() -> None:
    assert line_of_call(source(BEFORE), range(1, 20), Side("STEP", name="inspect")) == 3
    assert line_of_call(source(BEFORE + "ctx.step(paint(1))"), range(1, 20), Side("STEP", name="paint")) is None
    assert line_of_call(source(BEFORE), range(1, 20), Side("STEP", name="nothing")) is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('ctx.step(paint(1), name="a")', 'ctx.step(paint(1), name="b")', True),
        ('ctx.step(paint(1), "a")', 'ctx.step(paint(1), "b")', True),
        ('ctx.step(paint(1), name="a")', 'ctx.step(paint(2), name="b")', False),
        ('ctx.step(paint(1), name="a")', 'ctx.step(clean(1), name="b")', False),
        ('ctx.step(paint(1), name="a")', 'ctx.step(paint(1), name=f"{b}")', False),
    ],
)
def test_a_renamed_call_is_the_same_apart_from_its_name(old: str, new: str, expected: bool) -> None:
    sides = Side("STEP", name="a"), Side("STEP", name="b")
    assert is_only_renamed(source(old).at(2), source(new).at(2), *sides) is expected
    assert not is_only_renamed(source(old).at(2), None, *sides)
