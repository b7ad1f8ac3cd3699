"""Explains an execution: what it does, why it does not continue, why it failed, and what you can do.

One set of rules over facts of a recorded execution, for `durable-debug explain`, coding assistants and tests. The rules
are pure, and they state facts only: what they infer is marked as inferred.
"""

from durable_execution.explain.explanation import Advice, Chained, Explanation, OpenCall, Place, StateKind, Warning_
from durable_execution.explain.states import STUCK, explain_execution

__all__ = [
    "STUCK",
    "Advice",
    "Chained",
    "Explanation",
    "OpenCall",
    "Place",
    "StateKind",
    "Warning_",
    "explain_execution",
]
