"""What several processes say of each other."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

from triad_serving.engine.occupancy import PLACES, Occupancy


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_copies_of_a_process_share_it() -> None:
    occupancy = Occupancy()
    occupancy.set(1)

    def work() -> None:
        occupancy.take_place(1)
        occupancy.set(2)

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join()

    assert occupancy.total == 3
    occupancy.keep([0])
    assert occupancy.total == 1


def test_a_process_that_begins_has_nothing_under_way() -> None:
    occupancy = Occupancy()
    occupancy.take_place(3)
    occupancy.set(5)

    occupancy.take_place(3 + PLACES)

    assert occupancy.total == 0
