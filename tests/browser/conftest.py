"""The browser, a small run, and the real studio command in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from convscope.files.journal import JournalFile
from convscope.studio.start import page_folder
from studio.made import make_run
from studio.test_names import PAYLOADS


@pytest.fixture(scope="module")
def browser():
    """Chromium; the tests are skipped, saying so, where it or the built page is absent."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: install chromium")
    if page_folder() is None:
        pytest.skip("the studio's page is not built: make studio")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--use-fake-device-for-media-stream",  # a camera that shows a test picture
        "--use-fake-ui-for-media-stream",
    ]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=path, args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def studio(made, tmp_path_factory):
    """(link, run folder, data folder, folder of the screenshots); the real command in a process of its own."""
    run, data = made
    journal = JournalFile(
        run.parent / PAYLOADS[5].replace("/", ":")
    )  # a run that somebody sent: every name is an attack
    journal.write("start", data=PAYLOADS[0], classes=PAYLOADS, network=PAYLOADS[1])
    for number, payload in enumerate(PAYLOADS):
        journal.write("verdict", kind=str(number), title=payload, detail=payload)
    shots = Path(os.environ.get("CONVSCOPE_SHOTS", tmp_path_factory.mktemp("shots")))
    shots.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "convscope", "studio", str(run), str(data), "--no-open-browser"],
        cwd=run.parents[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    end = time.monotonic() + 120
    while not (link := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", "".join(lines))):
        assert process.poll() is None and time.monotonic() < end, "".join(lines)
        time.sleep(0.1)
    yield link[0], run, data, shots
    process.terminate()
    process.wait(timeout=60)
    reader.join(timeout=10)
    process.stdout.close()


@pytest.fixture
def page(browser, studio):
    """A fresh page that fails the test for any error in it, and for any request that leaves this computer."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    found = context.new_page()
    faults, away = [], []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    here = re.compile(r"(http://127\.0\.0\.1:|data:|blob:)")
    found.on("request", lambda r: None if here.match(r.url) else away.append(r.url))
    found.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    found.on("dialog", lambda d: faults.append(f"a dialog opened: {d.message}"))
    yield found
    context.close()
    assert faults == [] and away == []
