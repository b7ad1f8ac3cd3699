"""The lint rules and their findings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        code: The code to write in ignore comments.
        name: The rule in a few words.
        fix: The code to write instead.
    """

    code: str
    name: str
    fix: str


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.code: rule for rule in rules}


RULES = _rules(
    Rule("DUR101", "clock outside a step", "use `await ctx.now()`, or read the clock in a step"),
    Rule("DUR102", "random numbers outside a step", "use `ctx.random()`, or draw the number in a step"),
    Rule("DUR103", "uuid outside a step", "use `ctx.uuid()`, or make it in a step"),
    Rule("DUR104", "environment decides which operation is called", "read it in a step, or pass it in the payload"),
    Rule("DUR105", "network outside a step", "call it in a step: outside, it happens again on every replay"),
    Rule("DUR106", "files outside a step", "read and write files in a step"),
    Rule("DUR107", "sleeping outside a step", "use `await ctx.wait(...)`"),
    Rule("DUR108", "threads or processes outside a step", "start them in a step"),
    Rule("DUR109", "iteration over a set", "iterate over sorted(...): the order of a set differs between processes"),
    Rule("DUR110", "depends on which task finishes first", "use ctx.race() or ctx.any(), which record the winner"),
    Rule("DUR201", "durable operation inside a step", "call it from the handler, or make the step a child context"),
    Rule("DUR202", "step changes an outer variable", "return the value from the step: a replay does not run its body"),
    Rule("DUR203", "several unnamed steps", "name the steps, so that a replay can tell them apart"),
    Rule("DUR204", "suspension is caught", "write `except Exception`"),
    Rule("DUR205", "operation is not awaited", "await it, or pass it to asyncio.gather or a task"),
    Rule("DUR901", "syntax error", "fix the syntax"),
)


@dataclass(frozen=True, slots=True, order=True)
class LintFinding:
    """One line that may break a replay.

    Attributes:
        file: Path as given.
        line: Line, counted from 1.
        column: Column, counted from 1.
        rule: Code of the rule.
        what: The code that was found, for example `datetime.now()`.
        function: Qualified name of the function that contains it.
        reached: Call chain from a handler to the function, the handler first.
    """

    file: str
    line: int
    column: int
    rule: str
    what: str
    function: str = ""
    reached: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The problem and its fix, in one line."""
        rule = RULES[self.rule]
        way = f", reached by {' → '.join(self.reached)}" if len(self.reached) > 1 else ""
        return f"{rule.name}: {self.what} in {self.function}{way}; {rule.fix}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.rule} {self.message}"
