"""Steps that work at the same time, each in its thread, with short queues between them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_ROOM = 4  # items that wait between two steps: as many as a step may give at once
_ROOM_OF_CAMERA = 1  # after a live source, of which only the newest is of use
_KEPT_TIMES = 10_000
_PATIENCE_S = 10.0  # with a source that does not answer; its thread dies with the program


@dataclass
class Times:
    """How long a step took for each of the last items, seconds."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_TIMES))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - start)

    @property
    def mean_ms(self) -> float:
        """Mean in milliseconds; 0 before the first item."""
        return 1000 * sum(self.seconds) / len(self.seconds) if self.seconds else 0.0


def _nothing() -> Iterable[Any]:
    return ()


@dataclass(frozen=True)
class PipelineStep:
    """Work on one item after the other; an item may give none, one or several."""

    name: str
    work: Callable[[Any], Iterable[Any]]
    finish: Callable[[], Iterable[Any]] = _nothing  # what is left after the last item


class Pipeline:
    """Reads a source and passes its items through steps; iterate within ``with`` for what the last step gives.

    From a live source a slow step is given the newest items and older ones are dropped; from a file none is, and the source
    waits. An error of the source or a step is raised after the items that came before it.
    """

    def __init__(self, source: Iterable[Any], steps: Iterable[PipelineStep], live: bool = False) -> None:
        self._source, self._steps = source, list(steps)
        rooms = [_ROOM_OF_CAMERA if live else _ROOM] + [_ROOM] * len(self._steps)
        self._channels = [_Channel(room, live) for room in rooms]
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.times = {"read": Times(), **{step.name: Times() for step in self._steps}}

    def __enter__(self) -> Iterator[Any]:
        """Start the threads."""
        works: list[Callable[[], None]] = [self._read]
        works += [lambda place=place: self._run(place) for place in range(len(self._steps))]  # type: ignore[misc]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()
        return iter(self._channels[-1])

    def __exit__(self, *_: object) -> None:
        """End the threads, whatever they are at."""
        self.stop()
        for channel in self._channels:
            channel.abandon()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    @property
    def dropped(self) -> int:
        """Items that no step has seen, or not all of them."""
        return sum(channel.dropped for channel in self._channels)

    def stop(self) -> None:
        """Read no further; what was read goes through."""
        self._stopping.set()

    def _read(self) -> None:
        def items() -> Iterator[Any]:
            source = iter(self._source)
            while not self._stopping.is_set():
                with self.times["read"].taken():
                    item = next(source, self)
                if item is self:
                    return
                yield item

        self._deliver(items(), self._channels[0])

    def _run(self, place: int) -> None:
        step, before = self._steps[place], self._channels[place]

        def items() -> Iterator[Any]:
            for item in before:
                with self.times[step.name].taken():
                    given = list(step.work(item))
                yield from given
            for channel in self._channels[place + 1 :]:
                channel.keep()  # nothing comes after it that would be late
            yield from step.finish()

        self._deliver(items(), self._channels[place + 1])
        before.abandon()

    @staticmethod
    def _deliver(items: Iterator[Any], channel: _Channel) -> None:
        """Put items into a channel until they end, fail, or nobody wants them any more."""
        try:
            for item in items:
                if not channel.put(item):
                    break
        except BaseException as error:
            channel.close(error)
        else:
            channel.close()


class _Channel:
    """A queue of ``room`` items between two threads."""

    def __init__(self, room: int, drop: bool) -> None:
        self._room, self._drop = room, drop
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed = self._abandoned = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: Any) -> bool:
        """Add ``item``: in place of the oldest, or as soon as there is room. False: the other side has gone."""
        with self._changed:
            while len(self._items) >= self._room and not self._abandoned:
                if self._drop:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            self._items.append(item)
            self._changed.notify_all()
            return not self._abandoned

    def keep(self) -> None:
        """Drop no more items: let the other side wait for room."""
        with self._changed:
            self._drop = False

    def close(self, error: BaseException | None = None) -> None:
        """Say that no more items come."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that no more items are taken."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                while not self._items and not self._closed and not self._abandoned:
                    self._changed.wait()
                if not self._items or self._abandoned:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None and not self._abandoned:
            raise self._error
