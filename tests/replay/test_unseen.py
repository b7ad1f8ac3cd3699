"""Programs that no mechanism was tuned on: every difference is found at its call, and nothing else is reported."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.replay import unseen_programs as unseen
from tests.replay.fixes_of_programs import MARKED, fixed_text

pytestmark = pytest.mark.acceptance

BY_NAME = {program.name: program for program in unseen.programs()}
LATER = unseen.REPLAYED_IN


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs, recorded in one process."""
    folder = tmp_path_factory.mktemp("unseen") / "programs"
    unseen.write(folder)
    unseen.run("--record", folder, unseen.RECORDED_IN)
    return folder


@pytest.fixture(scope="module")
def replays(recordings: Path) -> dict[str, dict[str, Any]]:
    """What a replay of each in one process reports, without causes."""
    lines = unseen.run("--replay", recordings, LATER).splitlines()
    return {found["name"]: found for found in map(json.loads, lines)}


@pytest.mark.timeout(180)
def test_differences_are_found_at_their_calls_and_nothing_else_is(replays: dict[str, dict[str, Any]]) -> None:
    assert replays.keys() == BY_NAME.keys()
    wrong = {name: (unseen.judged(BY_NAME[name], found), found) for name, found in replays.items()}
    assert {name: found for name, found in wrong.items() if found[0]} == {}
    varying = [found for name, found in replays.items() if BY_NAME[name].group in unseen.VARYING and found["text"]]
    assert len(varying) > 100
    kept = [found for found in varying if "keep `name=" in found["text"]["fix"]]
    assert kept == [], "the fix would give the recorded result of one call to another"
    assert "was added to the code" in replays["race_gains_first"]["text"]["likely"]


CHECKED = {
    "behind exceptions, tasks, libraries and skipped functions": (
        "error_address",
        "task_name",
        "import_batch",
        "chained_settings",
        "child_fills_list",
    ),
    "in contexts, at import and behind errors": (
        "import_flags",
        "token_prefix",
        "raises_by_clock",
        "closure_counter",
        "effect_then_insert",
    ),
    "in constructors and in state that shows later": (
        "throttled_by_decorator",
        "nested_comprehension",
        "living_leases",
        "chained_state",
    ),
    "nowhere: threads that only compute": (
        "pool_kept_open",
        "pool_used_at_import",
        "executor_of_ones_own",
        "plain_thread_sums",
        "thread_pool_of_multiprocessing",
    ),
    "in fields, attributes, members of enums and iterators": (
        "pause_from_own_dice",
        "ulid_in_the_payload",
        "attributes_in_set_order",
        "callback_until_cutoff",
        "words_consumed_once",
        "enum_numbered_from_set",
        "resource_of_the_package",
        "plan_by_weekday",
    ),
    "in threads, closures and patterns": (
        "pooled_answers",
        "future_of_a_pool",
        "thread_fills_a_list",
        "thread_of_asyncio",
        "group_by_environment",
    ),
    "before a finally, in used up generators, partials and bodies of steps": (
        "bay_by_hash_of_frozen_dataclass",
        "most_wanted_of_a_counter",
        "labels_after_a_limit",
        "quota_in_a_partial",
        "allergies_collected_in_a_step",
    ),
    "beside clocks that decide nothing": (
        "basket_checksum_of_repr",
        "checksum_of_a_repr",
        "queue_number_in_a_field",
        "bound_counter_in_a_field",
        "dice_after_a_ticket_on_one_line",
        "lane_beside_a_clock",
        "ties_of_a_sorted_set",
        "waits_between_polls",
        "created_time_of_a_log_record",
        "factory_bound_to_an_instance",
        "sorted_by_a_random_attribute",
    ),
    "behind the cause of an error and at import": (
        "cause_behind_a_cause",
        "carrier_classes_of_a_metaclass",
        "shuffled_when_imported",
        "drawn_in_a_class_decorator",
    ),
    "in properties, generators and hashes": (
        "counter_in_a_property_setter",
        "reads_a_flag_in_a_generator",
        "identity_as_a_key_of_slots",
    ),
    "in factories of fields, dates as text and lists of classes": (
        "factory_of_seats",
        "mail_hour",
        "appended_by_alias",
    ),
}
"""Programs that are checked in processes of their own, by where the causes of their differences are."""


@pytest.mark.timeout(180)
def test_causes_are_named_wherever_they_are(recordings: Path) -> None:
    names = [name for group in CHECKED.values() for name in group]
    lines = unseen.run("--check", recordings, LATER, "--warm", *names).splitlines()
    wrong = {found["name"]: unseen.judged(BY_NAME[found["name"]], found) for found in map(json.loads, lines)}
    assert wrong == {name: [] for name in names}, lines


def test_code_with_a_guard_goes_as_recorded_in_any_order(recordings: Path) -> None:
    lines = unseen.run("--check", recordings, LATER, "--warm", "--perturb", "patched_change").splitlines()
    assert [unseen.judged(BY_NAME["patched_change"], found) for found in map(json.loads, lines)] == [[]], lines


@pytest.mark.timeout(240)
def test_the_fix_restores_the_recorded_path(
    recordings: Path, replays: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    after = tmp_path / "after"
    shutil.copytree(recordings, after)
    written: list[str] = []
    for name, program in BY_NAME.items():
        if program.group != "edited" or not replays[name]["text"]:
            continue
        marked = [module for module, text in program.modules.items() if any(map(MARKED.search, text.splitlines()))]
        texts = {module: fixed_text(program, module, replays[name]) for module in marked}
        if not texts or None in texts.values():
            continue
        for module, text in texts.items():
            (after / "replayed" / name / f"{module}.py").write_text(text or "", encoding="utf-8")
        written.append(name)
    assert len(written) > 40
    lines = unseen.run("--replay", after, LATER, *written).splitlines()
    wrong = [(one, replays[one["name"]]["text"]) for one in map(json.loads, lines) if one["verdict"] != "same"]
    assert wrong == []
