"""Following a running execution: reading new events and staying at its end."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from durable_debugger.screens.handlers import handles
from durable_debugger.sources.found import Loaded
from durable_execution.clock import Clock, SystemClock
from durable_execution.errors import DurableError

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen


class Follower:
    """Keeps the session of a screen up to date with its source.

    Args:
        screen: The screen.
        loaded: Source of the execution.
        clock: Source of the current time.

    Attributes:
        is_following: Whether the cursor stays at the latest change.
        unseen: Operations added since following stopped.
    """

    def __init__(self, screen: "MainScreen", loaded: Loaded, *, clock: Clock | None = None) -> None:
        self._screen = screen
        self._reload: Callable[[], Loaded | None] | None = loaded.reload
        self._poll_seconds = loaded.poll_seconds
        self._is_reading = False
        self._clock = clock or SystemClock()
        self.is_following = loaded.reload is not None
        self.unseen = 0
        self.problem = ""

    @property
    def is_live(self) -> bool:
        """Whether the execution can still change."""
        return self._reload is not None

    @property
    def words(self) -> str:
        """Text for the status line."""
        if not self.is_live:
            return ""
        if self.problem:
            return f"◌ reconnecting: {self.problem}"
        if self.is_following:
            return "● following"
        return f"○ follow off · {self.unseen} new" if self.unseen else "○ follow off"

    def start(self) -> None:
        """Start polling for changes."""
        if self.is_live:
            self._screen.set_interval(self._poll_seconds, self._poll)
            self._go_to_latest()

    def leave(self) -> None:
        """Stop following."""
        self.is_following = False

    def join(self) -> None:
        """Go to the end and follow."""
        self.is_following, self.unseen = True, 0
        self._go_to_latest()

    def _poll(self) -> None:
        if self._reload is not None and not self._is_reading:
            self._is_reading = True
            self._screen.run_worker(self._read, thread=True, group="follow", exit_on_error=False)

    def _read(self) -> None:
        worker = get_current_worker()
        news: Loaded | None = None
        problem = ""
        try:
            news = self._reload() if self._reload else None
        except (DurableError, OSError) as error:
            problem = str(error)
        if not worker.is_cancelled:
            self._screen.app.call_from_thread(self._take, news, problem)

    def _take(self, news: Loaded | None, problem: str) -> None:
        self._is_reading = False
        if problem != self.problem:
            self.problem = problem
            self._screen.show()
        if news is None:
            self._tick()
            return
        before = self._screen.session
        session = before.grown(news.execution, news.as_of)
        self.unseen += len(session.operations) - len(before.operations)
        self._reload = news.reload
        self._screen.session = session
        if self.is_following:
            self.unseen = 0
            self._go_to_latest()
        if not self.is_live:
            self._screen.say(f"{session.title} {news.execution.status.lower().replace('_', ' ')}")
        self._screen.show()

    def _tick(self) -> None:
        """Advance the clock of waiting operations once a second."""
        session, now = self._screen.session, self._clock.now()
        if session.as_of is None or (now - session.as_of).total_seconds() >= 1:
            session.as_of = now
            self._screen.show()

    def _go_to_latest(self) -> None:
        session = self._screen.session
        if not session.is_travelling:
            session.select(session.latest())


@handles("follow")
def follow(screen: "MainScreen") -> None:
    """Toggle following."""
    follower = screen.follower
    if follower is None or not follower.is_live:
        screen.say("this recording cannot change: the execution has ended, or comes from a file")
        return
    if follower.is_following:
        follower.leave()
    else:
        screen.session.leave_travel()
        follower.join()
    screen.show()
