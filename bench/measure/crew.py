"""The workers of a block: they start together, then one is awake at a time, and all are ended."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from bench.machine.child import Child, ChildError, end_all, wait_for_any
from bench.machine.environ import without_person, worker_environment
from bench.measure.messages import Job, Ready, Refused, Setup

WORKER = "bench.measure.worker"
READY_DEADLINE_S = 120.0
REPLY_DEADLINE_S = 120.0


class Crew:
    """Workers by name. ``keep`` names variables to pass on, ``compiled`` the folder of torch.compile."""

    def __init__(
        self,
        *,
        compiled: str,
        keep: Collection[str] = (),
        ready_deadline_s: float = READY_DEADLINE_S,
        reply_deadline_s: float = REPLY_DEADLINE_S,
    ) -> None:
        self._compiled = compiled
        self._keep = keep
        self._ready_deadline_s = ready_deadline_s
        self._reply_deadline_s = reply_deadline_s
        self._setups: dict[str, Setup] = {}
        self._children: dict[str, Child] = {}

    def start(self, name: str, setup: Setup) -> None:
        """Start a worker, in place of another of that name; ``await_ready`` is to follow."""
        self._setups[name] = setup
        environment = worker_environment(setup.threads, keep=self._keep, compiled=self._compiled)
        self._children[name] = Child(
            WORKER,
            [msgspec.json.encode(setup).decode()],
            environment.variables,
            deadline_s=self._ready_deadline_s,
        )

    def await_ready(self, name: str) -> Ready:
        """Wait until the worker is ready, and let it sleep.

        Raises:
            ChildError: it does not get there; it is ended.
        """
        child = self._children[name]
        try:
            ready: Ready | Refused = child.receive(Ready | Refused)
            if isinstance(ready, Refused):
                raise ChildError("oom" if ready.status == "oom" else "crashed", ready.reason)
        except ChildError:
            child.stop()  # or it would stay awake beside the others
            raise
        child.deadline_s = self._reply_deadline_s
        child.pause()
        return ready

    def restart(self, name: str) -> Ready:
        """Put another worker in the place of one that has ended.

        Raises:
            ChildError: it does not get ready.
        """
        self.stop(name)
        self.start(name, self._setups[name])
        return self.await_ready(name)

    def ask(self, name: str, job: Job, expected: Any) -> Any:
        """Wake the worker for one job; one that fails at it is stopped.

        Raises:
            ChildError: it gave no usable reply.
        """
        child = self._children[name]
        child.resume()
        try:
            reply = child.ask(job, expected)
        except ChildError:
            child.stop()
            raise
        child.pause()
        return reply

    def has(self, name: str) -> bool:
        """Whether a worker of that name was started in this block."""
        return name in self._children

    def alive(self, name: str) -> bool:
        """Whether the worker is still there."""
        return self._children[name].alive

    def pid(self, name: str) -> int:
        """The worker's process id."""
        return self._children[name].pid

    def last_words(self, name: str) -> str:
        """The end of what the worker printed, without what is personal."""
        return without_person(self._children[name].last_words())

    def stop(self, name: str) -> None:
        """End a worker."""
        self._children[name].stop()

    def end(self) -> None:
        """End all workers, the stubborn ones together."""
        end_all(self._children.values())
        self._children = {}


def first_to_reply(waiting: Sequence[tuple[Crew, str]]) -> int:
    """Wait until one of these workers has sent something, has ended or is late; return which."""
    children = [crew._children[name] for crew, name in waiting]
    return children.index(wait_for_any(children)[0])
