"""Wait for a long external job that reports heartbeats; notice within minutes if it dies."""

from datetime import timedelta

from pydantic import BaseModel

from durable_execution import CallbackConfig, DurableContext, StepContext, durable_execution, durable_step
from durable_execution.errors import CallbackHeartbeatError

PAYLOAD = {"video": "holiday.mov"}
RESULT = "holiday.mov: 1080 lines"
CALLBACKS = {"transcoding": '{"lines": 1080}'}


class Transcoded(BaseModel):
    """What the transcoder sends."""

    lines: int


@durable_step
async def start_transcoder(step: StepContext, video: str, callback_id: str) -> None:
    """Start the job. It calls `SendDurableExecutionCallbackHeartbeat` while it works, and `…Success` at its end."""


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    callback = await ctx.create_callback(
        "transcoding",
        config=CallbackConfig(
            timeout=timedelta(hours=6), heartbeat_timeout=timedelta(minutes=5), result_type=Transcoded
        ),
    )
    await ctx.step(start_transcoder(request["video"], callback.callback_id))
    try:
        done = await callback.result()
    except CallbackHeartbeatError:
        return f"{request['video']}: the transcoder died"
    return f"{request['video']}: {done.lines} lines"
