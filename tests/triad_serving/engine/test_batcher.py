"""Batches, bounds and failures, with fakes whose progress the tests hold in their hands: no sleeping."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest

from triad_serving.contract.errors import InferenceError, OverloadedError, UnavailableError
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine import batcher as batcher_module
from triad_serving.engine.batcher import GOOD_BATCH, MEASURED, Answer, Batcher, padding_class
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs
from triad_serving.media.text.spec import TextInput

LIMIT_S = 10.0  # past it a test fails instead of hanging
PLAIN = Wanted()


class FakeRun:
    """Records its batches; answers each example with its first token id; blocks while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.wanted: list[Wanted] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.guilty: set[int] = set()
        self.error: BaseException = ValueError("cannot run this")

    def __call__(self, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        ids = [first_id(inputs) for inputs in batch]
        self.batches.append(ids)
        self.wanted.append(wanted)
        self.entered.release()
        assert self.gate.wait(LIMIT_S)
        if self.guilty.intersection(ids):
            raise self.error
        return [ModelOutputs(logits_K={"id": np.array([i], dtype=np.float32)}) for i in ids]

    def wait_until_entered(self) -> None:
        assert self.entered.acquire(timeout=LIMIT_S)


def first_id(inputs: ModelInputs) -> int:
    assert inputs.text
    return int(inputs.text.ids_L[0])


def example(first: int, *, tokens: int = 1, samples: int = 0) -> ModelInputs:
    text = TextInput(text="x", ids_L=np.full(tokens, first), spans=((0, 1),) * tokens, truncated=False)
    audio = AudioInput(
        samples_T=np.zeros(samples, dtype=np.int16),
        format="WAV",
        seconds=1.0,
        sample_rate_hz=8000,
        truncated=False,
        peak=1.0,
    )
    return ModelInputs(text=text, audio=audio if samples else None)


@pytest.fixture
def make_batcher() -> Iterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def make(
        *,
        workers: int = 1,
        runners: int = 0,
        max_batch: int = 32,
        max_queue: int = 128,
        max_queue_s: float = 60.0,
    ) -> Batcher:
        batcher = Batcher(
            workers=workers,
            runners=runners or workers,
            max_batch=max_batch,
            max_queue=max_queue,
            max_queue_s=max_queue_s,
        )
        made.append(batcher)
        return batcher

    yield make
    for batcher in made:
        batcher.close()


def test_an_idle_worker_starts_at_once(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    ran = batcher.submit(run, example(7), PLAIN).result(LIMIT_S)
    assert ran.rows[0].logits_K["id"] == [7]
    assert run.batches == [[7]]
    assert ran.queue_s >= 0
    assert ran.inference_s > 0


def test_what_arrives_while_the_worker_is_busy_runs_as_one_batch(
    make_batcher: Callable[..., Batcher],
) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers += [batcher.submit(run, example(i), PLAIN) for i in (2, 3, 4)]
    run.gate.set()
    assert [answer.result(LIMIT_S).rows[0].logits_K["id"][0] for answer in answers] == [1, 2, 3, 4]
    assert run.batches == [[1], [2, 3, 4]]


def test_a_batch_is_capped(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(max_batch=2)
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers += [batcher.submit(run, example(i), PLAIN) for i in (2, 3, 4)]
    run.gate.set()
    wait(answers, LIMIT_S)
    assert run.batches == [[1], [2, 3], [4]]


def test_workers_share_a_queue_instead_of_one_taking_it_all(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(workers=2)
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers.append(batcher.submit(run, example(2), PLAIN))
    run.wait_until_entered()
    answers += [batcher.submit(run, example(i), PLAIN) for i in (3, 4, 5, 6)]
    run.gate.set()
    wait(answers, LIMIT_S)
    assert run.batches[2] == [3, 4]


def test_long_and_short_examples_do_not_pad_each_other(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    sizes = {2: 1000, 3: 40_000, 4: 2000, 5: 39_000}
    answers += [batcher.submit(run, example(i, samples=samples), PLAIN) for i, samples in sizes.items()]
    run.gate.set()
    wait(answers, LIMIT_S)
    assert run.batches == [[1], [2, 4], [3, 5]]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (example(1), example(1, tokens=16), True),
        (example(1), example(1, tokens=17), False),
        (example(1), example(1, samples=8192), True),
        (example(1, samples=8192), example(1, samples=8193), False),
        (example(1, samples=8193), example(1, samples=16384), True),
    ],
)
def test_padding_classes_are_powers_of_two(one: ModelInputs, other: ModelInputs, same: bool) -> None:
    assert (padding_class(one) == padding_class(other)) is same


def test_examples_of_two_models_never_share_a_batch(make_batcher: Callable[..., Batcher]) -> None:
    first, second, batcher = FakeRun(), FakeRun(), make_batcher()
    first.gate.clear()
    answers = [batcher.submit(first, example(1), PLAIN)]
    first.wait_until_entered()
    answers += [batcher.submit(run, example(i), PLAIN) for i, run in ((2, second), (3, first), (4, second))]
    first.gate.set()
    wait(answers, LIMIT_S)
    assert (first.batches, second.batches) == ([[1], [3]], [[2, 4]])


def test_a_batch_computes_what_any_of_its_examples_wants(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers += [
        batcher.submit(run, example(2), PLAIN),
        batcher.submit(run, example(3), Wanted(attention=True)),
    ]
    run.gate.set()
    wait(answers, LIMIT_S)
    assert run.wanted == [PLAIN, Wanted(attention=True)]


def test_only_the_guilty_example_of_a_failed_batch_fails(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.guilty = {3}
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers += [batcher.submit(run, example(i), PLAIN) for i in (2, 3, 4)]
    run.gate.set()
    with pytest.raises(InferenceError) as caught:
        answers[2].result(LIMIT_S)
    assert caught.value.__cause__ is run.error
    assert [answers[i].result(LIMIT_S).rows[0].logits_K["id"][0] for i in (0, 1, 3)] == [1, 2, 4]
    assert run.batches == [[1], [2, 3, 4], [2], [3], [4]]
    assert batcher.ready
    assert batcher.submit(run, example(5), PLAIN).result(LIMIT_S)


def test_a_run_that_loses_rows_fails_instead_of_mixing_answers_up(
    make_batcher: Callable[..., Batcher],
) -> None:
    batcher = make_batcher()
    answer = batcher.submit(lambda batch, wanted: [], example(1), PLAIN)
    with pytest.raises(InferenceError):
        answer.result(LIMIT_S)


def test_a_cancelled_example_is_never_run(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.gate.clear()
    first = batcher.submit(run, example(1), PLAIN)
    run.wait_until_entered()
    dropped, kept = (batcher.submit(run, example(i), PLAIN) for i in (2, 3))
    assert dropped.cancel()
    run.gate.set()
    wait([first, kept], LIMIT_S)
    assert run.batches == [[1], [3]]
    with pytest.raises(CancelledError):
        dropped.result(LIMIT_S)


def test_past_the_bound_examples_are_refused_until_one_is_answered(
    make_batcher: Callable[..., Batcher],
) -> None:
    run, batcher = FakeRun(), make_batcher(max_queue=2)
    run.gate.clear()
    first = batcher.submit(run, example(1), PLAIN)
    run.wait_until_entered()
    second = batcher.submit(run, example(2), PLAIN)
    with pytest.raises(OverloadedError) as caught:
        batcher.submit(run, example(3), PLAIN)
    assert caught.value.limit == 2
    with pytest.raises(OverloadedError):
        batcher.check()
    run.gate.set()
    wait([first, second], LIMIT_S)
    assert batcher.submit(run, example(4), PLAIN).result(LIMIT_S)


def test_who_waits_for_a_place_is_told_once_there_is_one(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(max_queue=2)
    told: list[str] = []
    batcher.when_free(lambda: told.append("at once"))
    assert told == ["at once"]
    run.gate.clear()
    answers = [batcher.submit(run, example(i), PLAIN) for i in range(2)]
    batcher.when_free(lambda: told.append("one"))
    batcher.when_free(lambda: told.append("other"))
    assert told == ["at once"]
    run.gate.set()
    wait(answers, LIMIT_S)
    batcher.close()
    assert told == ["at once", "one", "other"]


def test_who_waits_for_a_place_is_told_when_there_will_be_none(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(max_queue=1)
    run.gate.clear()
    batcher.submit(run, example(1), PLAIN)
    told = threading.Event()
    batcher.when_free(told.set)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    assert told.wait(LIMIT_S)
    with pytest.raises(UnavailableError):
        batcher.accept()
    run.gate.set()
    closing.join(LIMIT_S)


def test_what_would_wait_too_long_is_refused_at_once(
    make_batcher: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(batcher_module.time, "perf_counter", lambda: now_s)
    batcher = make_batcher(max_queue=128, max_queue_s=10.0)

    def answer(times: int, each_s: float) -> None:
        nonlocal now_s
        for _ in range(times):
            now_s += 100  # of rest, which does not count
            taken = batcher.accept()
            now_s += each_s
            taken.cancel()

    answer(MEASURED - 1, 1.0)
    assert batcher.capacity == 128  # the first ones warm up
    answer(1, 1.0)
    assert batcher.capacity == 10
    waiting = [batcher.accept() for _ in range(10)]
    with pytest.raises(OverloadedError, match="10 requests are waiting"):
        batcher.accept()
    for each in waiting:
        each.cancel()
    answer(1000, 0.001)
    assert batcher.capacity == 128
    answer(1000, 60.0)
    assert batcher.capacity == 2  # one that runs and one that is prepared


def test_a_cancelled_example_gives_its_place_back(make_batcher: Callable[..., Batcher]) -> None:
    batcher = make_batcher(max_queue=1)
    batcher.accept().cancel()
    batcher.accept().cancel()


def test_an_example_that_waited_too_long_is_refused_unrun(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(max_queue_s=1e-9)
    with pytest.raises(OverloadedError):
        batcher.submit(run, example(1), PLAIN).result(LIMIT_S)
    assert run.batches == []


def test_a_dead_worker_fails_every_waiter_and_refuses_new_ones(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.guilty, run.error = {1}, SystemExit("the worker is gone")
    run.gate.clear()
    running = batcher.submit(run, example(1), PLAIN)
    run.wait_until_entered()
    queued, unprepared = batcher.submit(run, example(2), PLAIN), batcher.accept()
    assert batcher.ready
    run.gate.set()
    for answer in (running, queued, unprepared):
        with pytest.raises(UnavailableError):
            answer.result(LIMIT_S)
    assert not batcher.ready
    with pytest.raises(UnavailableError):
        batcher.accept()


def test_when_one_of_two_workers_dies_the_other_one_ends_too(make_batcher: Callable[..., Batcher]) -> None:
    healthy, deadly = FakeRun(), FakeRun()
    batcher = make_batcher(workers=2)
    healthy.gate.clear()
    deadly.guilty, deadly.error = {2}, SystemExit("gone")
    running = batcher.submit(healthy, example(1), PLAIN)
    healthy.wait_until_entered()
    doomed = batcher.submit(deadly, example(2), PLAIN)
    for answer in (doomed, running):
        with pytest.raises(UnavailableError):
            answer.result(LIMIT_S)
    healthy.gate.set()
    batcher.close()  # joins both: the late answer of the healthy one is dropped


def test_a_worker_runs_what_it_has_prepared(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(workers=3)
    threads: list[threading.Thread] = []

    def prepare() -> None:
        threads.append(threading.current_thread())
        batcher.enqueue(answer, observed, [example(1)], PLAIN)

    def observed(batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        threads.append(threading.current_thread())
        return run(batch, wanted)

    for _ in range(20):
        answer = batcher.accept()
        batcher.prepare(prepare)
        answer.result(LIMIT_S)
    assert threads[::2] == threads[1::2]


def test_others_prepare_while_one_runs(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher(workers=2, runners=1)
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    prepared = threading.Semaphore(0)

    def prepare(n: int, answer: Answer) -> None:
        batcher.enqueue(answer, run, [example(n)], PLAIN)
        prepared.release()

    for n in (2, 3, 4):
        answers.append(batcher.accept())
        batcher.prepare(functools.partial(prepare, n, answers[-1]))
    for _ in range(3):
        assert prepared.acquire(timeout=LIMIT_S)
    run.gate.set()
    wait(answers, LIMIT_S)
    assert run.batches == [[1], [2, 3, 4]]


def test_a_busy_worker_prepares_a_good_batch_before_it_runs(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher, gate = FakeRun(), make_batcher(), threading.Event()
    busy = batcher.call(lambda: gate.wait(LIMIT_S))
    answers = [batcher.accept() for _ in range(GOOD_BATCH + 3)]
    for n, answer in enumerate(answers):
        batcher.prepare(functools.partial(batcher.enqueue, answer, run, [example(n)], PLAIN))
    gate.set()
    wait([busy, *answers], LIMIT_S)
    assert run.batches == [[*range(GOOD_BATCH)], [GOOD_BATCH, GOOD_BATCH + 1, GOOD_BATCH + 2]]


def test_a_worker_does_more_for_an_answered_request(make_batcher: Callable[..., Batcher]) -> None:
    batcher = make_batcher()
    name = batcher.call(lambda: threading.current_thread().name).result(LIMIT_S)
    assert name == "triad-worker-0"


def test_more_work_counts_until_it_is_done_and_is_not_begun_when_cancelled(
    make_batcher: Callable[..., Batcher],
) -> None:
    batcher, gate = make_batcher(max_queue=2), threading.Event()
    busy = batcher.call(lambda: gate.wait(LIMIT_S))
    begun: list[int] = []
    waiting = batcher.call(lambda: begun.append(1))
    with pytest.raises(OverloadedError):
        batcher.check()
    assert waiting.cancel()
    batcher.check()
    gate.set()
    assert busy.result(LIMIT_S)
    batcher.close()
    assert begun == []
    with pytest.raises(UnavailableError, match="shutting down"):
        batcher.call(lambda: None)


def test_more_work_that_fails_is_told_to_who_waits_and_ends_no_worker(
    make_batcher: Callable[..., Batcher], caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret")

    batcher = make_batcher()
    with pytest.raises(InferenceError, match="could not be shown"):
        batcher.call(broken).result(LIMIT_S)
    assert "secret" in caplog.text

    def refused() -> None:
        raise UnavailableError("as it is")

    with pytest.raises(UnavailableError, match="as it is"):
        batcher.call(refused).result(LIMIT_S)
    assert batcher.call(lambda: 7).result(LIMIT_S) == 7


def test_a_request_of_many_rows_runs_in_batches_and_gets_all_of_them(
    make_batcher: Callable[..., Batcher],
) -> None:
    run, batcher = FakeRun(), make_batcher(max_batch=2)
    answer = batcher.accept()
    batcher.enqueue(answer, run, [example(n) for n in range(1, 6)], PLAIN)
    rows = answer.result(LIMIT_S).rows
    assert [row.logits_K["id"][0] for row in rows] == [1, 2, 3, 4, 5]
    assert run.batches == [[1, 2], [3, 4], [5]]


def test_closing_answers_what_was_accepted(make_batcher: Callable[..., Batcher]) -> None:
    run, batcher = FakeRun(), make_batcher()
    run.gate.clear()
    answers = [batcher.submit(run, example(1), PLAIN)]
    run.wait_until_entered()
    answers.append(batcher.submit(run, example(2), PLAIN))
    unprepared = batcher.accept()
    closing = threading.Thread(target=batcher.close)
    closing.start()
    run.gate.set()
    wait(answers, LIMIT_S)
    assert closing.is_alive()
    batcher.enqueue(unprepared, run, [example(3)], PLAIN)
    assert unprepared.result(LIMIT_S).rows[0].logits_K["id"] == [3]
    closing.join(LIMIT_S)
    assert not closing.is_alive()
    assert not batcher.ready
    with pytest.raises(UnavailableError):
        batcher.accept()


def test_a_batcher_closes_twice_and_idle(make_batcher: Callable[..., Batcher]) -> None:
    with make_batcher(workers=3) as batcher:
        pass
    batcher.close()
    assert not batcher.ready
