"""Run an AI agent: each model call and each tool call is a step, so a crash never repeats a paid call."""

from collections.abc import Callable
from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"question": "How warm is it in Hamburg, in Fahrenheit?"}
RESULT = "It is 53.6 °F in Hamburg."

Message = dict[str, Any]


def weather(city: str) -> float:
    """A tool: the temperature of a city in °C."""
    return {"Hamburg": 12.0}.get(city, 20.0)


def to_fahrenheit(celsius: float) -> float:
    """A tool: convert a temperature."""
    return celsius * 9 / 5 + 32


TOOLS: dict[str, Callable[..., Any]] = {"weather": weather, "to_fahrenheit": to_fahrenheit}


@durable_step
async def ask_model(step: StepContext, messages: list[Message]) -> Message:
    """Stands for the call of a language model, for example with Bedrock's `converse`.

    To stream tokens to a browser, publish them inside the step, with `step.idempotency_key` as the key of the stream: a
    retried attempt starts the stream again under the same key.
    """
    results = [message["content"] for message in messages if message["role"] == "tool"]
    if not results:
        return {"role": "assistant", "tool": "weather", "arguments": {"city": "Hamburg"}}
    if len(results) == 1:
        return {"role": "assistant", "tool": "to_fahrenheit", "arguments": {"celsius": results[0]}}
    return {"role": "assistant", "content": f"It is {results[-1]} °F in Hamburg."}


@durable_step
async def use_tool(step: StepContext, name: str, arguments: dict[str, float | str]) -> float:
    return float(TOOLS[name](**arguments))


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    messages: list[Message] = [{"role": "user", "content": request["question"]}]
    for turn in range(1, 11):  # a limit, so that a confused model cannot run forever
        answer = await ctx.step(ask_model(messages), name=f"model {turn}")
        if "tool" not in answer:
            return str(answer["content"])
        found = await ctx.step(use_tool(answer["tool"], answer["arguments"]), name=str(answer["tool"]))
        messages += [answer, {"role": "tool", "content": found}]
    return "no answer in 10 turns"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
