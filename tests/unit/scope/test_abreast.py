"""Two results at a time, in order, and no more."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from convscope.scope.abreast import in_order


@pytest.mark.parametrize("abreast", [False, True])
def test_results_come_in_the_order_of_the_items(abreast: bool) -> None:
    assert list(in_order(lambda x: x * x, range(7), abreast=abreast)) == [x * x for x in range(7)]


def test_two_run_at_a_time_and_items_are_read_by_the_caller() -> None:
    both, readers = threading.Barrier(2, timeout=10), set()

    def items() -> Iterator[int]:
        for i in range(4):
            readers.add(threading.get_ident())
            yield i

    def run(item: int) -> int:
        both.wait()  # passes only when another one runs beside it
        return item

    assert list(in_order(run, items(), abreast=True)) == [0, 1, 2, 3]
    assert readers == {threading.get_ident()}


def test_no_more_than_two_are_made_ahead() -> None:
    made: list[int] = []
    results = in_order(lambda x: made.append(x) or x, range(10), abreast=True)
    assert next(results) == 0
    assert set(made) <= {0, 1}


def test_an_error_comes_in_its_place() -> None:
    results = in_order(lambda x: 1 // x, [1, 0, 1], abreast=True)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
