"""What a difference says about its fix."""

from dataclasses import replace

import pytest

from durable_execution.call_site import CallSite
from durable_execution.comparison.wording import (
    ACCEPT,
    EFFECTS,
    FIXES,
    KEEP_NAME,
    LIKELY,
    OLD,
    READ_IN_STEP,
    change_id,
    effect_of,
    exchanged,
    fix_of,
    fix_of_cause,
    fix_of_changed_call,
    fix_of_computed_name,
    fix_of_edit,
    is_generic,
    likely_of,
    place,
    replaced,
    times,
)
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side

SITE = CallSite("orders.py", 12, "handler")


def divergence(kind: DivergenceKind, fix: str, *, replayed: Side | None = None) -> Divergence:
    recorded = Side("STEP", "Step", "charge", position=2, path="flow/charge")
    return Divergence(
        kind=kind,
        severity=Severity.ERROR,
        handler="flow",
        path="flow/charge",
        context_path="flow",
        position=2,
        recorded=recorded,
        replayed=replayed,
        likely="",
        effect="",
        fix=fix,
    )


def bill(site: CallSite | None = SITE) -> Side:
    return Side("STEP", "Step", "bill", position=2, path="flow/bill", call_site=site)


def test_an_edit_keeps_the_part_of_the_fix_that_is_about_a_change() -> None:
    fix = "read it in a step; if you changed it, make the call again"
    assert fix_of_edit(divergence(DivergenceKind.SKIPPED, fix), 12) == "make the call again"


@pytest.mark.parametrize(
    "clause", ["if you did not change it, look", "if the order varies, sort", "if the name is computed, x"]
)
def test_an_edit_drops_the_part_that_is_about_values_that_vary(clause: str) -> None:
    fix = f"make the call again; {clause}"
    assert fix_of_edit(divergence(DivergenceKind.SKIPPED, fix), 12) == "make the call again"


def test_a_name_that_was_edited_at_its_call_keeps_its_fix() -> None:
    found = divergence(DivergenceKind.RENAMED, "keep the name", replayed=bill())
    assert fix_of_edit(found, 12) == "keep the name"
    assert fix_of_edit(found, 12, is_computed=True).startswith("undo the edit until running executions have finished")


@pytest.mark.parametrize(("site", "line"), [(SITE, 13), (None, 12)])
def test_a_name_that_was_edited_elsewhere_needs_a_guard(site: CallSite | None, line: int) -> None:
    found = divergence(DivergenceKind.RENAMED, "keep the name", replayed=bill(site))
    assert fix_of_edit(found, line).startswith('make the change only `if ctx.patched("bill"):`')


def test_an_outcome_that_was_edited_waits_for_running_executions() -> None:
    found = divergence(DivergenceKind.OUTCOME, "return it; if you changed it, undo it")
    assert fix_of_edit(found, 12).startswith("let running executions finish")


def test_an_outcome_that_was_edited_at_a_known_line_is_corrected_there() -> None:
    found = divergence(DivergenceKind.OUTCOME, "return it", replayed=bill())
    assert fix_of_edit(found, 12).startswith("correct orders.py:12, where today's code raises")


CHARGE = Side("STEP", "Step", "charge", position=2)
BILL = Side("STEP", "Step", "bill", position=2)
UNNAMED = Side("WAIT", "Wait", position=2)
FLAT = Side("CONTEXT", "MapIteration", position=0, detail="virtual branch, without a record of its own")
RAISED = Side("EXECUTION", name="flow", call_site=SITE, detail="raised ValueError: no")
STRICT = Side("STEP", "Step", "charge", detail="raised PayloadError: the event does not fit")


@pytest.mark.parametrize("kind", DivergenceKind)
@pytest.mark.parametrize(("recorded", "replayed"), [(CHARGE, BILL), (None, BILL), (CHARGE, None), (UNNAMED, None)])
def test_every_sentence_is_complete(kind: DivergenceKind, recorded: Side | None, replayed: Side | None) -> None:
    texts = [
        likely_of(kind, recorded, replayed),
        effect_of(kind, recorded, replayed),
        fix_of(kind, recorded, replayed),
        fix_of_cause(kind, recorded, replayed),
    ]
    assert all(text and not {"{", "}"} & set(text) for text in texts)


def test_sentences_name_the_calls() -> None:
    assert likely_of(DivergenceKind.SKIPPED, CHARGE, None).startswith('"charge" was removed from the code')
    assert likely_of(DivergenceKind.INSERTED, None, BILL).startswith('"bill" was added')
    assert likely_of(DivergenceKind.RENAMED, CHARGE, BILL).startswith('"charge" was renamed to "bill"')
    assert likely_of(DivergenceKind.SKIPPED, UNNAMED, None).startswith("the wait was removed")
    assert likely_of(DivergenceKind.SKIPPED, None, None).startswith("the call was removed")


def test_a_name_on_the_same_function_was_only_renamed() -> None:
    said = likely_of(DivergenceKind.RENAMED, CHARGE, BILL, is_same_function=True)
    assert said == 'the same function runs under a different name: "bill" instead of "charge"'
    fix = fix_of(DivergenceKind.RENAMED, CHARGE, BILL, is_same_function=True)
    assert fix == KEEP_NAME.format(name='name="charge"')
    for kind in (DivergenceKind.SKIPPED, DivergenceKind.INSERTED):
        assert likely_of(kind, CHARGE, BILL, is_same_function=True) == likely_of(kind, CHARGE, BILL)
        assert fix_of(kind, CHARGE, BILL, is_same_function=True) == fix_of(kind, CHARGE, BILL)


def test_a_call_without_a_name_keeps_none() -> None:
    assert "keep `name=None` until" in fix_of(DivergenceKind.RENAMED, UNNAMED, BILL)
    assert "keep `name=None` until" in fix_of(DivergenceKind.RENAMED, None, BILL)
    assert 'keep `name="charge"` until' in fix_of(DivergenceKind.RENAMED, CHARGE, BILL)


def test_a_virtual_branch_is_another_nesting() -> None:
    changed = DivergenceKind.CHANGED_KIND
    assert likely_of(changed, CHARGE, FLAT) == "the nesting of the branches changed"
    assert fix_of(changed, CHARGE, FLAT).startswith("keep the recorded nesting")
    for kind, side in ((changed, BILL), (changed, RAISED), (changed, None), (DivergenceKind.RENAMED, FLAT)):
        assert likely_of(kind, CHARGE, side) == LIKELY[kind].format(
            recorded='"charge"', replayed=side.short_name if side else "the call"
        )
        assert "nesting" not in fix_of(kind, CHARGE, side)


def test_an_error_where_the_recording_went_on_is_named_with_its_line() -> None:
    kind = DivergenceKind.UNFINISHED
    assert likely_of(kind, CHARGE, RAISED) == "orders.py:12 raises ValueError: no, where the recording went on"
    assert effect_of(kind, CHARGE, RAISED) == (
        'the execution fails here and never reaches "charge", which the recording made'
    )
    assert fix_of(kind, CHARGE, RAISED) == (
        f'accept at orders.py:12 what the recorded code accepted, or raise only `if ctx.patched("flow"):`, {OLD}'
    )
    assert '`if ctx.patched("charge"):`' in fix_of(kind, CHARGE, replace(RAISED, name=None)), "the change has a name"
    nowhere = Side("EXECUTION", name="flow", detail="raised ValueError: no")
    assert likely_of(kind, CHARGE, nowhere).startswith("the code raises ValueError: no")
    for side in (None, BILL, Side("STEP", detail="was never called")):
        assert likely_of(kind, CHARGE, side) == LIKELY[kind]
        assert effect_of(kind, CHARGE, side) == EFFECTS[kind]
        assert fix_of(kind, CHARGE, side) == FIXES[kind]
    assert likely_of(DivergenceKind.OUTCOME, CHARGE, RAISED) == LIKELY[DivergenceKind.OUTCOME]
    assert effect_of(DivergenceKind.OUTCOME, CHARGE, RAISED) == EFFECTS[DivergenceKind.OUTCOME]
    assert fix_of(DivergenceKind.OUTCOME, CHARGE, RAISED) == FIXES[DivergenceKind.OUTCOME]


def test_a_type_that_became_stricter_is_the_likely_cause() -> None:
    for kind in (DivergenceKind.UNFINISHED, DivergenceKind.OUTCOME, DivergenceKind.RESULT):
        assert likely_of(kind, CHARGE, STRICT) == (
            "the type of the handler's event does not accept the recorded event any more"
        )
        assert fix_of(kind, CHARGE, STRICT) == ACCEPT
    assert effect_of(DivergenceKind.OUTCOME, CHARGE, STRICT) == (
        "running executions would fail here, although the recorded one did not"
    )
    assert effect_of(DivergenceKind.RESULT, CHARGE, STRICT) == EFFECTS[DivergenceKind.RESULT]


@pytest.mark.parametrize(
    ("recorded", "replayed", "shifted", "by", "said"),
    [
        (CHARGE, BILL, 0, 1, '"bill" would take the recorded result of "charge"'),
        (CHARGE, BILL, 1, 1, '"bill" would take the recorded result of "charge"; 1 later call shifts by 1'),
        (CHARGE, BILL, 3, 2, '"bill" would take the recorded result of "charge"; 3 later calls shift by 2'),
        (CHARGE, BILL, 3, None, '"bill" would take the recorded result of "charge"; 3 later calls shift'),
        (CHARGE, None, 0, 1, '"charge" has already run, but its result is no longer used'),
        (CHARGE, None, 1, 1, '"charge" has already run, but its result is no longer used; the same for 1 later call'),
        (None, BILL, 2, 1, '"bill" would run although the recording went on without it'),
        (None, None, 0, 1, "recorded results would go to other calls"),
        (CHARGE, CHARGE, 0, 1, 'the step "charge" would take the recorded result of the step "charge"'),
    ],
)
def test_what_becomes_of_recorded_results(
    recorded: Side | None, replayed: Side | None, shifted: int, by: int | None, said: str
) -> None:
    assert effect_of(DivergenceKind.SKIPPED, recorded, replayed, shifted=shifted, by=by) == said


def test_later_calls_shift_by_one_unless_it_is_said() -> None:
    assert effect_of(DivergenceKind.SKIPPED, CHARGE, BILL, shifted=2).endswith("2 later calls shift by 1")
    assert ";" not in effect_of(DivergenceKind.SKIPPED, CHARGE, BILL)


def test_a_started_wait_and_a_started_timer_keep_their_times() -> None:
    kind = DivergenceKind.CONFIGURATION
    assert effect_of(kind, CHARGE, CHARGE, word="wait_seconds").startswith("the wait keeps its recorded end")
    for word, said in (("timeout_seconds", "timeout"), ("heartbeat_timeout_seconds", "heartbeat timeout")):
        assert effect_of(kind, CHARGE, CHARGE, word=word) == f"a call that has started keeps its recorded {said}"
    assert effect_of(kind, CHARGE, CHARGE, word="function_name") == EFFECTS[kind]


def test_a_fix_names_the_argument() -> None:
    assert fix_of(DivergenceKind.CONFIGURATION, CHARGE, CHARGE, word="tenant_id").startswith("compute the tenant id in")
    assert fix_of(DivergenceKind.INPUT, CHARGE, CHARGE).startswith("compute the argument in a step")


@pytest.mark.parametrize("kind", DivergenceKind)
def test_a_change_is_guarded_under_the_name_of_the_new_call(kind: DivergenceKind) -> None:
    fix = fix_of(kind, CHARGE, BILL)
    expected = "charge" if kind is DivergenceKind.SKIPPED else "bill"
    assert "patched" not in fix or f'ctx.patched("{expected}")' in fix
    if kind in (DivergenceKind.SKIPPED, DivergenceKind.CONFIGURATION):
        assert 'ctx.patched("charge")' in fix_of(kind, CHARGE, None)


def test_only_a_change_of_calls_needs_a_guard_beside_the_cause() -> None:
    assert (
        fix_of_cause(DivergenceKind.RESULT, CHARGE, BILL)
        == f"{READ_IN_STEP}, so that every replay sees the recorded value"
    )
    assert fix_of_cause(DivergenceKind.RENAMED, CHARGE, BILL).endswith(f'with `if ctx.patched("bill"):`, {OLD}')


def test_a_computed_name_is_computed_from_recorded_values() -> None:
    compute = f"compute the name from recorded values only: {READ_IN_STEP}"
    assert fix_of_computed_name(CHARGE, BILL, is_same_function=True) == compute
    changed = fix_of_computed_name(CHARGE, BILL, is_same_function=False)
    assert changed.startswith(compute)
    assert 'ctx.patched("bill")' in changed


def test_a_call_that_a_different_function_replaced_says_both() -> None:
    likely, fix = replaced(CHARGE, BILL)
    assert likely.startswith('"bill" took the place of "charge" and runs a different function')
    assert 'ctx.patched("bill")' in fix


def test_branches_that_changed_places_name_their_functions_if_both_are_known() -> None:
    likely, fix = exchanged(1, "ship", "bill", CHARGE)
    assert likely == "the branches changed places: branch 1 runs `bill` in place of `ship`"
    assert 'ctx.patched("charge")' in fix
    for before, after in (("ship", None), (None, "bill"), (None, None)):
        assert exchanged(1, before, after, CHARGE)[0] == "the branches changed places"


def test_a_call_that_an_edit_changed_is_put_back_or_keeps_its_name() -> None:
    found = divergence(DivergenceKind.SKIPPED, "", replayed=BILL)
    moved = fix_of_changed_call(found, is_moved=True)
    assert moved == f'make the call where it was, or move it only `if ctx.patched("charge"):`, {OLD}'
    kept = "until running executions have finished"
    assert fix_of_changed_call(found, is_moved=False) == f'keep `name="charge"` {kept}'
    for unnamed in (Side("STEP", "Step"), None):
        assert fix_of_changed_call(replace(found, recorded=unnamed), is_moved=False) == f"keep `name=None` {kept}"


def test_what_could_be_said_of_any_call_is_generic() -> None:
    found = divergence(DivergenceKind.RENAMED, "", replayed=BILL)
    for same in (True, False):
        said = likely_of(DivergenceKind.RENAMED, found.recorded, BILL, is_same_function=same)
        assert is_generic(replace(found, likely=said))
    assert not is_generic(replace(found, likely="line 7 reads the clock"))
    strict = replace(found, kind=DivergenceKind.OUTCOME, replayed=STRICT)
    assert not is_generic(replace(strict, likely=likely_of(strict.kind, strict.recorded, STRICT)))


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("charge", "charge"), ("charge_card", "charge-card"), ("  charge  the card ", "charge-the-card"),
        (None, "my-change"), ("", "my-change"), ("x" * 61, "x" * 60), ("x" * 60, "x" * 60),
    ],
)  # fmt: skip
def test_the_id_of_a_change_is_the_name_of_its_call(name: str | None, id_: str) -> None:
    assert change_id(Side("STEP", name=name)) == f'"{id_}"'


def test_a_place_has_no_folders_and_small_numbers_are_words() -> None:
    assert (
        place(CallSite("/srv/app/orders.py", 3, "f")) == place(CallSite("C:\\app\\orders.py", 3, "f")) == "orders.py:3"
    )
    assert [times(number) for number in (0, 1, 2, 3)] == ["0 times", "once", "twice", "3 times"]
