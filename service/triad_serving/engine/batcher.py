"""Batcher: groups waiting examples, one run of a graph per batch, and nobody waits for ever.

A request's life: `accept` takes its place (or refuses), `prepare` lets a worker preprocess it, `enqueue`
hands over the preprocessed example, a worker runs it with its neighbours and resolves the future. Accepted
means: counted until answered.
A request may ask about several variants of its example (subsets of its media, say): rows of the same run.
"""

from __future__ import annotations

import functools
import itertools
import logging
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from triad_serving.contract.errors import (
    InferenceError,
    ModelLostError,
    OverloadedError,
    TriadError,
    UnavailableError,
)
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.occupancy import Occupancy
from triad_serving.media.example import ModelInputs
from triad_serving.media.registry import MEDIA

logger = logging.getLogger(__name__)

T = TypeVar("T")
Run: TypeAlias = Callable[[Sequence[ModelInputs], Wanted], Sequence[ModelOutputs]]

MEASURED = 32  # answers after which the time of each is known; the first ones warm up
GOOD_BATCH = 8  # jobs: they cost 0.7 of what they cost one by one, and more win little besides


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchResult:
    """A batch's answer to each row of one request, and how long it waited and ran, in seconds."""

    rows: Sequence[ModelOutputs]
    queue_s: float
    inference_s: float


Answer: TypeAlias = Future[BatchResult]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    answer: Answer
    run: Run
    rows: Sequence[ModelInputs]
    wanted: Wanted
    enqueued_s: float
    group: Hashable


class Batcher:
    """Worker threads over two queues; close it, or use it in a `with` block.

    A worker that finds work prepares what has come in until a good batch is ready or nothing is left to
    prepare, then runs it, where fewer than `runners` do. So a request that comes alone runs at once, and a
    busy service runs batches; nobody ever waits for a batch to fill.
    """

    def __init__(
        self,
        *,
        workers: int,
        runners: int,
        max_batch: int,
        max_queue: int,
        max_queue_s: float,
        occupancy: Occupancy | None = None,
    ) -> None:
        """runners: most workers that run a graph at once. max_batch: rows. occupancy: told its depth.

        max_queue: most examples accepted and not yet answered; fewer where the last of them would wait more
        than max_queue_s.
        """
        self._runners = runners
        self._good_batch = GOOD_BATCH * runners
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_queue_s = max_queue_s
        self._occupancy = occupancy or Occupancy()
        lock = threading.Lock()  # guards everything below
        self._arrived = threading.Condition(lock)
        self._drained = threading.Condition(lock)
        self._accepted: set[Future[Any]] = set()
        self._waiting: list[Callable[[], object]] = []  # for a place
        self._unprepared: deque[Callable[[], None]] = deque()
        self._queue: deque[_Job] = deque()
        self._running = 0
        self._answered = 0
        self._answered_s = 0.0  # when, or when the first was accepted after a rest
        self._service_s = 0.0  # from one answer to the next while there is work, a moving mean
        self._closing = False
        self._dead = False
        self._workers = [
            threading.Thread(target=self._work, name=f"triad-worker-{i}", daemon=True) for i in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> bool:
        """Whether it accepts examples and every worker lives."""
        return not (self._closing or self._dead)

    @property
    def dead(self) -> bool:
        """Whether a worker died; it stays so."""
        return self._dead

    @property
    def depth(self) -> int:
        """Examples accepted and not yet answered."""
        return len(self._accepted)

    def check(self) -> None:
        """Raises what `accept` would raise now."""
        self._check_open()
        if len(self._accepted) >= (capacity := self.capacity):
            raise OverloadedError(f"{capacity} requests are waiting already; try again soon.", limit=capacity)

    @property
    def capacity(self) -> int:
        """Most examples accepted and not yet answered: as many as max_queue_s is enough for, as of late."""
        if self._answered < MEASURED:
            return self._max_queue
        in_time = int(self._max_queue_s / self._service_s)
        return max(min(self._max_queue, in_time), 2 * self._runners)  # one that runs and one that is prepared

    def _check_open(self) -> None:
        if self._dead:
            raise UnavailableError("The batch worker died; try again soon.")
        if self._closing:
            raise UnavailableError("The service is shutting down.")

    def accept(self) -> Answer:
        """A place among the accepted, held until the future is done, whoever resolves or cancels it.

        Raises OverloadedError where all places are taken, UnavailableError when closing or dead.
        """
        with self._arrived:
            self.check()
            if not self._accepted:
                self._answered_s = time.perf_counter()
            answer: Answer = Future()
            self._accepted.add(answer)
            self._occupancy.set(len(self._accepted))
        answer.add_done_callback(self._release)
        return answer

    def when_free(self, tell: Callable[[], object]) -> None:
        """Calls `tell` once, from any thread, when `accept` may have a place; at once where it has one."""
        with self._arrived:
            if len(self._accepted) >= self.capacity and self.ready:
                self._waiting.append(tell)
                return
        tell()

    def prepare(self, task: Callable[[], None]) -> None:
        """Lets a worker call this; it shall end in `enqueue`, or resolve its answer, and raise nothing."""
        with self._arrived:
            self._unprepared.append(task)
            self._arrived.notify()

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Lets a worker do something more for a request that was answered; until then it counts as accepted.

        Raises UnavailableError when closing or dead.
        """
        done: Future[T] = Future()
        with self._arrived:
            self._check_open()
            self._accepted.add(done)
            self._occupancy.set(len(self._accepted))
        done.add_done_callback(self._release)
        self.prepare(functools.partial(_do, done, work))
        return done

    def enqueue(self, answer: Answer, run: Run, rows: Sequence[ModelInputs], wanted: Wanted) -> None:
        """Lets an accepted request run; it batches with others of the same `run` and padding class.

        rows: variants of one example, none longer than the first. More than the largest batch run in several.
        """
        job = _Job(
            answer=answer,
            run=run,
            rows=rows,
            wanted=wanted,
            enqueued_s=time.perf_counter(),
            group=(run, padding_class(rows[0])),
        )
        with self._arrived:
            self._queue.append(job)
            if threading.current_thread() not in self._workers:  # a worker looks for work itself now
                self._arrived.notify()

    def submit(self, run: Run, inputs: ModelInputs, wanted: Wanted) -> Answer:
        """`accept` and `enqueue` in one, of an example as it is."""
        answer = self.accept()
        self.enqueue(answer, run, [inputs], wanted)
        return answer

    def close(self) -> None:
        """Refuses new examples, answers every accepted one, then ends the workers."""
        with self._drained:
            self._closing = True
            waiting = self._take_waiting()
        for tell in waiting:
            tell()
        with self._drained:
            self._drained.wait_for(lambda: not self._accepted)
            self._arrived.notify_all()
        for worker in self._workers:
            worker.join()

    def _release(self, answer: Future[Any]) -> None:
        now_s = time.perf_counter()
        with self._drained:
            self._answered = min(self._answered + 1, MEASURED)
            self._service_s += (now_s - self._answered_s - self._service_s) / self._answered
            self._answered_s = now_s
            self._accepted.discard(answer)
            self._occupancy.set(len(self._accepted))
            if not self._accepted:
                self._drained.notify_all()
            waiting = self._take_waiting()
        for tell in waiting:
            tell()

    def _take_waiting(self) -> Sequence[Callable[[], object]]:
        """All of them: whoever finds no place waits again."""
        if not self._waiting or (len(self._accepted) >= self.capacity and self.ready):
            return ()
        waiting, self._waiting = self._waiting, []
        return waiting

    def _work(self) -> None:
        try:
            while work := self._take_work():
                if callable(work):
                    work()
                else:
                    self._run_batch(work)
        except BaseException as error:  # nobody above: without this, waiters would wait for ever
            logger.critical("A batch worker died.", exc_info=error)
            self._die()

    def _take_work(self) -> Callable[[], None] | list[_Job] | None:
        """A batch to run or a task to prepare; waits while there is neither. None when closed."""
        with self._arrived:
            self._arrived.wait_for(self._has_news)
            if self._dead:
                return None
            if self._can_run() and (len(self._queue) >= self._good_batch or not self._unprepared):
                self._running += 1
                batch = self._take_batch()
                if self._can_run():  # somebody else's share
                    self._arrived.notify()
                return batch
            return self._unprepared.popleft() if self._unprepared else None

    def _can_run(self) -> bool:
        return bool(self._queue) and self._running < self._runners

    def _has_news(self) -> bool:
        return (
            self._dead
            or self._can_run()
            or bool(self._unprepared)
            or (self._closing and not self._accepted and not self._queue)
        )

    def _take_batch(self) -> list[_Job]:
        """The oldest job and those that may run with it.

        At most a fair share of them, so that one worker does not idle while another runs everything.
        """
        group = self._queue[0].group
        alike = [job for job in self._queue if job.group == group]
        share = -(-len(alike) // self._runners)
        total_rows = itertools.accumulate(len(job.rows) for job in alike)
        fitting = sum(rows <= self._max_batch for rows in total_rows)
        batch = alike[: max(min(share, fitting), 1)]
        taken = set(map(id, batch))
        self._queue = deque(job for job in self._queue if id(job) not in taken)
        return batch

    def _run_batch(self, batch: Sequence[_Job]) -> None:
        start_s = time.perf_counter()
        live: list[_Job] = []
        for job in batch:
            if not _start(job.answer):
                continue
            waited_s = start_s - job.enqueued_s
            if waited_s > self._max_queue_s:
                late = OverloadedError(f"The request waited more than {self._max_queue_s:g} s in the queue.")
                fail(job.answer, late)
            else:
                live.append(job)
        if live:
            self._run_isolated(live, start_s)
        with self._arrived:
            self._running -= 1

    def _run_isolated(self, batch: Sequence[_Job], start_s: float) -> None:
        """One run for all; where it fails, one run each, so that only the guilty request fails."""
        wanted = functools.reduce(operator.or_, (job.wanted for job in batch))
        asked = [row for job in batch for row in job.rows]
        try:
            answered: list[ModelOutputs] = []
            for first in range(0, len(asked), self._max_batch):
                answered += batch[0].run(asked[first : first + self._max_batch], wanted)
            if len(answered) != len(asked):
                raise ValueError(f"{len(asked)} rows got {len(answered)} answers")
        except ModelLostError:
            raise  # it will not run anything else either
        except Exception as error:  # whatever the runtime raises is delivered to whoever waits
            if len(batch) > 1:
                logger.warning("A batch of %d failed; running its requests one by one.", len(batch))
                for job in batch:
                    self._run_isolated([job], start_s)
                return
            logger.exception("The graph failed on one example.")
            failed: TriadError = InferenceError("The model failed on this example.")
            if isinstance(error, MemoryError):
                failed = OverloadedError(
                    "There is not enough memory for this example now; try a smaller one."
                )
            failed.__cause__ = error
            fail(batch[0].answer, failed)
            return
        inference_s = time.perf_counter() - start_s
        rows = iter(answered)
        for job in batch:
            own = list(itertools.islice(rows, len(job.rows)))
            result = BatchResult(rows=own, queue_s=start_s - job.enqueued_s, inference_s=inference_s)
            _succeed(job.answer, result)

    def _die(self) -> None:
        with self._arrived:
            self._dead = True
            self._queue.clear()
            self._unprepared.clear()
            waiting = list(self._accepted)
            self._arrived.notify_all()
        for answer in waiting:
            fail(answer, UnavailableError("The batch worker died; try again soon."))


def padding_class(inputs: ModelInputs) -> tuple[int, ...]:
    """Examples of one class pad each other to at most twice their length; an absent medium has none."""
    return tuple(
        0 if (item := inputs.of(medium.name)) is None else medium.length_class(item) for medium in MEDIA
    )


def _start(answer: Future[Any]) -> bool:
    """Whether the example is still wanted; from here on it can no longer be cancelled."""
    return not answer.done() and answer.set_running_or_notify_cancel()


def _do(done: Future[T], work: Callable[[], T]) -> None:
    if not _start(done):
        return
    try:
        result = work()
    except TriadError as error:
        fail(done, error)
    except Exception as error:  # a defect of ours must reach whoever waits, not end the worker
        logger.exception("Work on an answer failed unexpectedly.")
        failed = InferenceError("The answer could not be shown.")
        failed.__cause__ = error
        fail(done, failed)
    else:
        _succeed(done, result)


def _succeed(answer: Future[T], result: T) -> None:
    try:
        answer.set_result(result)
    except InvalidStateError:
        logger.debug("Nobody waits for this answer any more.")


def fail(answer: Future[Any], error: TriadError) -> None:
    """Delivers an error, unless the answer was resolved or cancelled meanwhile."""
    try:
        answer.set_exception(error.without_tracebacks())
    except InvalidStateError:
        logger.debug("Nobody waits for this failure any more.")
