"""A world whose clock moves only as a test decides, with a device in it that is a number."""

from collections.abc import Callable

US, MS = 1_000, 1_000_000


class World:
    """A virtual clock in nanoseconds, and a device that works through a queue while the host goes on."""

    def __init__(self, *, reading: float = 0, latency: float = 0) -> None:
        self.now, self.busy_until = 0.0, 0.0
        self.reading = reading  # what looking at the clock costs
        self.latency = latency  # of a wait for the device
        self.events: list[str] = []

    def clock(self) -> int:
        self.now += self.reading
        self.events.append("clock")
        return int(self.now)

    def spend(self, host: float, device: float = 0) -> None:
        """Keep the host busy, and queue work on the device."""
        self.now += host
        self.busy_until = max(self.busy_until, self.now) + device

    def call(self, host: float, device: float = 0) -> Callable[[], None]:
        """Return a call that takes so long."""

        def call() -> None:
            self.events.append("call")
            self.spend(host, device)

        return call

    def synchronise(self) -> None:
        self.events.append("wait")
        self.now = max(self.now, self.busy_until) + self.latency
