"""kill -9 at any instant, then the same command again: the end is, bit for bit, that of a run left alone.

The quick tests kill a handful of times; the slow ones 200 times at random instants and 200 times inside a save. They
take over an hour, so they remember how far they are in $CONVSCOPE_RELIABILITY (a folder) and go on from there.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convscope.files.journal import read_journal
from reliability.killing import Victims, assert_same, kinds_of_leftovers, left_behind

pytestmark = pytest.mark.backend

Orders = Callable[[random.Random, float], dict[str, Any]]


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    made = Victims(ahead=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(victims: Victims, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """What a run left alone leaves, and its processor seconds."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = victims.send(folder)
    seconds, words = process.communicate(timeout=180)
    assert process.returncode == 0, words
    return left_behind(folder), float(seconds)


def any_instant(chance: random.Random, seconds: float) -> dict[str, Any]:
    return {"kill_after_cpu_s": chance.uniform(0.0, seconds)}


def inside_a_save(chance: random.Random, seconds: float) -> dict[str, Any]:
    return {"kill_in_save": [chance.randint(1, 8), chance.random()]}


def before_a_call(chance: random.Random, seconds: float) -> dict[str, Any]:
    return {"kill_at_call": chance.randint(1, 150)}


def kill_until_done(victims: Victims, folder: Path, orders: list[dict[str, Any]]) -> int:
    """Start the same run again and again, each time with the next orders, at last with none; returns the kills."""
    kills = 0
    for order in [*orders, {}]:
        before = _place(folder)
        code, words = victims.run(folder, **order)
        assert code in (0, -9), words
        kills += code == -9
        assert _place(folder) >= before, "a checkpoint that was complete is gone"
        if code == 0:
            return kills
    raise AssertionError("the last run has no orders to die")


def _place(folder: Path) -> tuple[int, ...]:
    """Epoch and batch of the newest complete checkpoint; the journal must be readable at any time."""
    if (folder / "journal.jsonl").exists():
        assert read_journal(folder)[0]["event"] == "start"
    names = [p.name.split("-") for p in (folder / "checkpoints").glob("epoch-*") if (p / "manifest.json").exists()]
    return max((tuple(int(part) for part in name if part.isdigit()) for name in names), default=())


@pytest.mark.parametrize(
    "orders",
    [
        inside_a_save,
        pytest.param(any_instant, marks=pytest.mark.slow),
        pytest.param(before_a_call, marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_thrice_ends_like_one_left_alone(
    victims: Victims, whole: tuple[dict[str, Any], float], tmp_path: Path, orders: Orders
) -> None:
    expected, seconds = whole
    chance = random.Random(f"{orders.__name__} 1")
    kill_until_done(victims, tmp_path / "run", [orders(chance, seconds) for _ in range(3)])
    assert_same(left_behind(tmp_path / "run"), expected)
    assert kinds_of_leftovers(tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.hours
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("orders", [any_instant, inside_a_save])
def test_two_hundred_kills(
    victims: Victims, whole: tuple[dict[str, Any], float], tmp_path: Path, orders: Orders
) -> None:
    expected, seconds = whole
    remembered = Path(os.environ.get("CONVSCOPE_RELIABILITY", tmp_path))
    remembered.mkdir(parents=True, exist_ok=True)
    notes = remembered / f"{os.environ.get('KERAS_BACKEND', 'tensorflow')}-{orders.__name__}.json"
    done = json.loads(notes.read_text()) if notes.exists() else {"kills": 0, "runs": 0}
    while done["kills"] < 200:
        chance = random.Random(f"{orders.__name__} {done['runs']}")
        folder = tmp_path / f"run-{done['runs']}"
        done["kills"] += kill_until_done(victims, folder, [orders(chance, seconds) for _ in range(5)])
        assert_same(left_behind(folder), expected)
        assert kinds_of_leftovers(folder) == []
        done["runs"] += 1
        notes.write_text(json.dumps(done))
