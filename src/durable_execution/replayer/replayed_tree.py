"""The calls of one replay as a tree that can be compared with the recorded one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from durable_execution.protocol import OperationStatus, OperationType
from durable_execution.replay.call_tree import BRANCH_OF, CallNode
from durable_execution.replay.detection import side_of_call
from durable_execution.replay.divergence import Side
from durable_execution.replayer.collector import Collected
from durable_execution.replayer.run import ReplayRun
from durable_execution.replayer.world import World


def tree_of_run(run: ReplayRun, world: World, name: str) -> CallNode:
    """What the code called in a replay.

    Args:
        run: The replay.
        world: The state it was given.
        name: Name of the handler.
    """
    results = {
        update["Id"]: update.get("Payload")
        for update in run.service.updates
        if update["Type"] == OperationType.CONTEXT and update["Action"] == "SUCCEED" and "ContextOptions" not in update
    }
    status = OperationStatus.SUCCEEDED if run.has_ended else OperationStatus.STARTED
    diverged = run.collector.diverged
    root = CallNode(
        Side(OperationType.EXECUTION.value, name=name, status=status.value),
        is_ended=run.has_ended and diverged is None and not run.is_timed_out,
    )
    nodes: dict[str | None, CallNode] = {None: root}
    for id_, collected in run.collector.calls.items():
        nodes[id_] = _node(collected, results)
    calls = [collected.call for collected in run.collector.calls.values()]
    if diverged is not None and diverged.call is not None and diverged.call.id not in nodes:
        nodes[diverged.call.id] = _node(Collected(diverged.call, is_recorded=True), results)
        calls.append(diverged.call)
    for call in calls:
        around = nodes.get(call.context_id, root)
        if around.children is None:
            around.children = []
        around.children.append(nodes[call.id])
    for node in nodes.values():
        if node.children:
            node.children.sort(key=_position)
    for node in reversed(nodes.values()):
        if node.children:
            node.children = list(_without_virtual(node.children))
    if diverged is not None and diverged.call is None:
        _mark_finished(diverged.divergence.recorded, world, nodes)
    return root


def _node(collected: Collected, results: Mapping[str, str | None]) -> CallNode:
    call = collected.call
    known: dict[str, Any] = dict(call.configuration or {})
    body = known.pop("body", None)
    if call.input is not None:
        known["input"] = call.input
    is_branch = call.subtype in BRANCH_OF.values() and call.path.endswith(f"#{call.position}")
    is_context = call.type == OperationType.CONTEXT
    return CallNode(
        side_of_call(call),
        children=[] if not is_context or collected.is_entered else None,
        is_ended=collected.has_left or not is_context,
        is_virtual=call.is_virtual,
        branch=call.position if is_branch else None,
        known=known,
        result=results.get(call.id) if is_context else None,
        body=body,
    )


def _without_virtual(nodes: list[CallNode]) -> Iterator[CallNode]:
    """The calls with those of contexts that leave no checkpoint in their place: that is how they are recorded."""
    for node in nodes:
        if not node.is_virtual or node.branch is not None:
            yield node
            continue
        for child in node.children or ():
            child.side = replace(child.side, position=None)
            yield child


def _mark_finished(missing: Side | None, world: World, nodes: Mapping[str | None, CallNode]) -> None:
    """A context whose body has returned without making recorded calls: what is missing there is really missing."""
    place = world.places.get(missing.id) if missing is not None and missing.id is not None else None
    node = nodes.get(place.prefix) if place is not None else None
    if node is not None:
        node.is_ended = True


def _position(node: CallNode) -> int:
    return node.side.position if node.side.position is not None else 0
