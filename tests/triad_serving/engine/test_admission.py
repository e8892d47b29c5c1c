"""Who gets a place: whoever comes while there is one, and fairly, who holds few."""

from __future__ import annotations

from triad_serving.engine.admission import Admission


def enter(admission: Admission, client: str, times: int) -> int:
    """How many of so many requests get a place."""
    return sum(admission.enter(client) for _ in range(times))


def test_there_are_as_many_places_as_the_batcher_takes_now() -> None:
    capacity = 3
    admission = Admission(lambda: capacity, fair=False)
    assert enter(admission, "a", 5) == 3
    admission.leave("a")
    assert enter(admission, "b", 5) == 1
    capacity = 5
    assert enter(admission, "a", 5) == 2


def test_a_client_that_floods_leaves_places_for_those_who_hold_few() -> None:
    admission = Admission(lambda: 16, fair=True)
    assert enter(admission, "flood", 100) == 12
    assert enter(admission, "calm", 3) == 3
    assert enter(admission, "flood", 100) == 0
    assert enter(admission, "third", 9) == 1  # all are taken


def test_shares_are_equal_once_a_client_has_left_as_often_as_it_came() -> None:
    admission = Admission(lambda: 8, fair=True)
    assert enter(admission, "a", 3) == 3
    assert enter(admission, "b", 20) == 4
    for _ in range(3):
        admission.leave("a")
    assert enter(admission, "b", 20) == 2  # of 8, where nobody else is there any more


def test_who_rests_is_woken_two_by_two_while_there_is_room_and_all_where_nobody_is_left() -> None:
    admission = Admission(lambda: 8, fair=False)
    woken: list[int] = []
    for n in range(9):
        admission.resting[n] = lambda n=n: (woken.append(n), admission.resting.pop(n))
    enter(admission, "a", 4)
    admission.leave("a")
    assert woken == []  # 3 of 8 places are taken
    admission.leave("a")
    admission.leave("a")
    assert woken == [0, 1, 2, 3]
    admission.leave("a")
    assert woken == list(range(9))
