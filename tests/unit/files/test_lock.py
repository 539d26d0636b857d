"""Who holds a folder: asking does not take the lock, so that askers meet neither each other nor a writer."""

import json
import threading
import time

import pytest

from convscope.errors import RunLockedError
from convscope.files.lock import LOCK, FolderLock, is_held


def test_a_folder_that_nobody_holds(tmp_path):
    assert not is_held(tmp_path)
    with FolderLock(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_asking_leaves_the_file_as_it_is(tmp_path):
    with FolderLock(tmp_path):
        before = json.loads((tmp_path / LOCK).read_text())
        assert is_held(tmp_path) and json.loads((tmp_path / LOCK).read_text()) == before
    (tmp_path / LOCK).write_text(json.dumps({**before, "pid": 2**22 + 1}))  # ended without releasing it
    assert not is_held(tmp_path)
    with FolderLock(tmp_path) as lock:
        assert "ended without releasing it" in lock.taken_over


def test_many_who_ask_at_once_see_no_writer_and_stop_none(tmp_path):
    """Each used to take the lock for an instant: two at once saw a training where there was none."""
    with FolderLock(tmp_path):
        pass
    seen, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            seen.append(is_held(tmp_path))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for one in askers:
        one.start()
    while len(seen) < 400:
        time.sleep(0.01)
    ended.set()
    for one in askers:
        one.join()
    assert not any(seen)


def test_a_writer_gets_in_while_others_ask(tmp_path):
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            is_held(tmp_path)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        with FolderLock(tmp_path), pytest.raises(RunLockedError, match="another process writes this run"):
            FolderLock(tmp_path).__enter__()
        for _ in range(50):
            with FolderLock(tmp_path):
                pass
    finally:
        ended.set()
        asker.join()
