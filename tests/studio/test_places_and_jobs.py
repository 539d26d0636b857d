"""What may be opened, and trainings that live on their own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("fastapi")

from convscope.errors import ConvscopeError, DataError, PlanError, RunError
from convscope.files.journal import JOURNAL, JournalFile
from convscope.files.lock import LOCK
from convscope.studio import jobs, routes_places, start
from convscope.studio.desk import Desk
from convscope.studio.places import Places, UnknownPlaceError
from convscope.studio.start import page_folder, serve
from studio.made import HOST, TOKEN, client_of, make_pictures


def test_runs_that_begin_later_are_found(tmp_path):
    places = Places([], tmp_path / "runs")
    assert places.all() == []
    JournalFile(tmp_path / "runs" / "new").write("start")
    assert [p.name for p in places.all()] == ["new"]


def test_a_run_linked_from_elsewhere_is_not_open(tmp_path):
    JournalFile(tmp_path / "elsewhere").write("start")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    assert Places([], tmp_path / "runs").all() == []


def test_a_picture_linked_from_outside_the_folder_is_not_shown(tmp_path):
    data = make_pictures(tmp_path / "data", each=3)
    secret = make_pictures(tmp_path / "other", each=1) / "left" / "00.png"
    (data / "right" / "zz.png").symlink_to(secret)
    desk = Desk(Places([data], tmp_path / "runs"))
    id = desk.places.first
    keys = list(desk.samples(id).pictures.keys)
    assert desk.decoded(id, 0, 3, None).values.ndim == 3
    if "right/zz.png" in keys:
        with pytest.raises(DataError, match="outside the opened folder"):
            desk.decoded(id, keys.index("right/zz.png"), 3, None)
    desk.close()


def test_heavy_imports_begin_when_the_page_has_asked_its_first_question(tmp_path, monkeypatch):
    """Seconds of importing beside the page's own files would keep these waiting."""
    desk, imported = Desk(Places([], tmp_path / "runs")), []
    monkeypatch.setattr(start.importlib, "import_module", imported.append)
    warm = threading.Thread(target=start._warm, args=(desk.asked,))
    warm.start()
    warm.join(0.2)
    assert warm.is_alive() and not imported
    routes_places.places(desk)
    warm.join(5)
    assert "convscope.studio.maps" in imported
    desk.close()


@pytest.mark.parametrize("name", ["../up", "a/b", "/etc", "..", ".hidden", "a b", "", "x" * 65, "a\nb", "a\\b", "~"])
def test_a_run_gets_a_plain_name_or_none(tmp_path, name):
    with pytest.raises(PlanError, match="name"):
        jobs.begin(tmp_path, name, {}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_plan_that_cannot_work_starts_nothing(tmp_path):
    with pytest.raises(PlanError, match="epochs"):
        jobs.begin(tmp_path, "a", {"epochs": -1}, tmp_path / "runs")
    with pytest.raises(PlanError, match="did you mean epochs"):
        jobs.begin(tmp_path, "a", {"epoch": 1}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_lock_file_from_a_stranger_stops_no_process(tmp_path):
    """The number in a lock file is only text; a live process of that number must not be hit."""
    import socket

    folder = tmp_path / "sent"
    JournalFile(folder).write("start")
    (tmp_path / "convscope").mkdir()  # people clone into a folder of this name
    (tmp_path / "convscope" / "other.py").write_text("import time; time.sleep(60)")
    victim = subprocess.Popen([sys.executable, tmp_path / "convscope" / "other.py", "convscope"])
    try:
        (folder / LOCK).write_text(json.dumps({"host": socket.gethostname(), "pid": victim.pid}))
        with pytest.raises(RunError, match="nothing is being trained"):
            jobs.stop(folder)
        assert jobs._holder(folder) is None
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    own = ("/x/python3.11 -m convscope.actions.worker", "/x/python /x/convscope train", "convscope train")
    assert all(jobs._runs_convscope(command.split()) for command in own)


@pytest.mark.slow
def test_a_training_begun_here_is_stopped_with_a_checkpoint_goes_on_and_is_finished_early(tmp_path):
    from convscope.actions.run_folder import RunFolder

    data = make_pictures(tmp_path / "data", each=10)
    options = {"model": "simple-cnn", "filters": [4], "image_size": 16, "epochs": 500, "batch_size": 4, "patience": 0}
    folder = jobs.begin(data, "long", options, tmp_path / "runs")
    with pytest.raises(RunError, match="already there"):
        jobs.begin(data, "long", options, tmp_path / "runs")

    def epochs():
        return len(RunFolder(folder).history.epochs) if (folder / JOURNAL).is_file() else 0

    try:
        wait(lambda: epochs() >= 2)
        assert jobs.is_running(folder)
        assert os.getsid(jobs._STARTED[folder].pid) != os.getsid(0)  # closing the studio does not reach it
        jobs.stop(folder)
        wait(lambda: not jobs.is_running(folder))
        assert jobs.last_words(folder) == "", "a pause is no mistake"
        done = epochs()
        assert 2 <= done < 500 and any((folder / "checkpoints").iterdir())
        jobs.go_on(folder, None)
        wait(lambda: epochs() > done)
        jobs.finish(folder)  # the best of the epochs that there are becomes the model
        wait(lambda: (folder / "model.cvs").is_dir() and not jobs.is_running(folder))
        assert not RunFolder(folder).stopped and done < epochs() < 500
        with pytest.raises(RunError, match="finished already"):
            jobs.finish(folder)
    finally:
        process = jobs._STARTED[folder]
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def wait(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def test_why_a_training_did_not_begin_is_told(tmp_path):
    from convscope.studio.app import build_app

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("no pictures")
    places = Places([tmp_path / "empty"], tmp_path / "runs")
    client = client_of(build_app(places, token=TOKEN, hosts=[HOST]))
    headers = {"x-convscope": "1"}
    answer = client.post("/api/runs", json={"data": places.first, "name": "none"}, headers=headers)
    assert answer.json() == {"name": "none"}
    wait(lambda: not client.get("/api/begun/none").json()["running"])
    assert "pictures" in client.get("/api/begun/none").json()["said"]


def test_without_a_page_the_command_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr("convscope.studio.start.page_folder", lambda: None)
    with pytest.raises(ConvscopeError, match="make studio"):
        serve([], runs=tmp_path)


def test_ids_of_nothing_are_refused(tmp_path):
    with pytest.raises(UnknownPlaceError, match="convscope studio PATH"):
        Places([], tmp_path).get("0" * 16)


def test_the_page_lies_in_the_checkout_or_the_package():
    found = page_folder()
    assert found is None or (found / "index.html").is_file()
