"""The report in a real browser: nothing overflows, every picture decodes, light and dark, no request leaves."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from convscope.reporting.render import render_report
from unit.reporting.made import full_report

# runs inside the page and tells the frame around it what it measured
PROBE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *, aside *, header *")].filter(e => {
    const inScroller = e.closest(".scroll, .strip, nav");
    return !inScroller && e.getBoundingClientRect().right > innerWidth + 0.5;
  });
  const broken = [...document.images].filter(i => !i.complete || i.naturalWidth === 0);
  const small = [...document.querySelectorAll("summary, nav a")].filter(e => e.getBoundingClientRect().height < 44);
  const found = [document.documentElement.scrollWidth, innerWidth, wide.length, document.images.length,
    broken.length, small.length];
  parent.postMessage(found.join(" "), "*");
});</script>"""
# a frame, since a browser window can't be as narrow as a phone
FRAME = """<!doctype html><title>none</title><script>onmessage = e => { document.title = "probe " + e.data; };</script>
<iframe src="report.html" width="WIDTH" height="1500" style="border:0"></iframe>"""


@pytest.fixture(scope="module")
def chromium():
    """The browser's path; the test is skipped, saying so, where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: install chromium")
    return path


@pytest.fixture(scope="module")
def html():
    names = ("no", "yes, and a class name that is rather long")
    return render_report(full_report(names=names))


def browse(chromium, page, width, *options):
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--window-size={width},2000", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.decode()


@pytest.mark.parametrize("width", [1280, 900, 390])
def test_nothing_overflows_and_every_picture_decodes(chromium, html, tmp_path, width):
    without_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', PROBE, html)
    (tmp_path / "report.html").write_text(without_policy, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    found = browse(chromium, frame, 1400, "--dump-dom", "--virtual-time-budget=5000")
    title = re.search(r"<title>probe ([\d. ]+)</title>", found)
    scroll, inner, wide, pictures, broken, small = map(float, title.group(1).split())
    assert inner == width and scroll <= width and wide == 0
    assert pictures > 60 and broken == 0
    if width == 390:
        assert small == 0


@pytest.mark.parametrize(("scheme", "panel"), [(1, (255, 255, 255)), (0, (26, 29, 33))])
def test_light_and_dark_follow_the_reader(chromium, html, tmp_path, scheme, panel):
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    page.write_text(html, encoding="utf-8")
    browse(chromium, page, 1280, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
    pixels = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("RGB"))
    assert tuple(pixels[4, 4]) == panel
    assert pixels.reshape(-1, 3).std() > 10


def test_the_policy_stops_a_script_that_slipped_in(chromium, html, tmp_path):
    (tmp_path / "report.html").write_text(html.replace("<main", PROBE + "<main", 1), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", "1280"), encoding="utf-8")
    assert "<title>none</title>" in browse(chromium, frame, 1400, "--dump-dom", "--virtual-time-budget=5000")
