"""The studio in a real browser: from the link to a sum that the scope confirms; nothing faulty, nothing leaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from playwright.sync_api import sync_playwright

from convscope.studio.start import page_folder
from studio.made import make_run

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("data", "train", "network", "maps", "number", "filters", "explain", "lessons")


@pytest.fixture(scope="module")
def browser():
    """Chromium; the tests are skipped, saying so, where it or the built page is absent."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: install chromium")
    if page_folder() is None:
        pytest.skip("the studio's page is not built: make studio")
    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
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


def settle(page, seconds=120):
    """Wait until nothing is being loaded; asked from outside, since the page's policy forbids to evaluate words."""
    calm, end = 0, time.monotonic() + seconds
    while calm < 3:
        busy = page.evaluate("document.querySelectorAll('[role=status] .dot, [aria-busy=true]').length")
        calm = (
            0 if busy or not page.evaluate("document.querySelectorAll('main section, main aside').length") else calm + 1
        )
        assert time.monotonic() < end, "still loading: " + page.inner_text("main")[:400]
        page.wait_for_timeout(120)


def wait_for_says(page, other_than=None, equal_to=None):
    """Wait until the prediction is another one, or one that is known."""
    end = time.monotonic() + 60
    while True:
        now = page.locator(".says").inner_text()
        if now != other_than and equal_to in (None, now):
            return
        assert time.monotonic() < end, now
        page.wait_for_timeout(100)


def test_from_a_map_to_the_sum_that_the_scope_confirms(page, studio):
    import convscope

    link, run, _, shots = studio
    page.goto(link)
    assert "token" not in page.url  # the address is clean, the cookie is out of scripts' reach
    assert page.evaluate("document.cookie") == ""
    settle(page)
    page.locator(".tree button", has_text="relu1").last.click()
    settle(page)
    sheet = page.get_by_role("group", name=re.compile("maps of block2_relu1"))
    sheet.wait_for()
    box = sheet.bounding_box()
    page.mouse.click(box["x"] + 12 + 60, box["y"] + 12 + 40)
    page.wait_for_url(re.compile(r"at=\d"))
    page.screenshot(path=shots / "maps.png")
    page.get_by_role("link", name=re.compile("Open the arithmetic")).click()
    page.locator("[data-value]").wait_for()
    settle(page)
    page.screenshot(path=shots / "number.png")
    params = dict(part.split("=") for part in page.url.split("?")[1].split("&"))
    at = tuple(int(v) for v in params["at"].split("%2C"))
    shown = float(page.locator("[data-value]").get_attribute("data-value"))
    scope = convscope.Scope(run)
    from convscope.actions.keepsakes import kept

    number = int(params["picture"].split(".")[1])
    image = kept(run).images[number][None].astype(np.float32)
    own = scope.arithmetic(image, "block2_conv1", at=at, channel=int(params["channel"]))
    after = next(s.after for s in own.following if s.layer == "block2_relu1")
    assert shown == pytest.approx(after, rel=1e-9, abs=1e-12)
    seen = scope.feature_maps(image, "block2_relu1")[0].maps[0][(*at, int(params["channel"]))]
    assert shown == pytest.approx(float(seen), abs=1e-5)


def test_a_factor_leads_to_where_it_came_from_down_to_the_pixels(page, studio):
    page.goto(studio[0] + "#/number?layer=block2_relu1&at=3,3&channel=0")
    page.locator("[data-value]").wait_for()
    settle(page)
    page.locator(".group .grid").first.locator("button").nth(4).click()
    page.wait_for_url(re.compile("layer=block1_pool"))
    settle(page)
    page.locator(".group button").first.click()
    page.wait_for_url(re.compile("layer=block1_relu1"))
    settle(page)
    page.locator(".group .grid").first.locator("button").nth(4).click()
    page.wait_for_url(re.compile("layer=scale_pixels"))
    settle(page)
    page.go_back()
    page.wait_for_url(re.compile("layer=block1_relu1"))
    pixel = page.locator(".group .grid").first.locator("button:not(:disabled) small").first.inner_text()
    assert 0 <= int(pixel) <= 255


def test_the_keys_move_the_value_and_the_slide_plays(page, studio):
    page.goto(studio[0] + "#/number?layer=block1_relu1&at=5,5&channel=1")
    page.locator("[data-value]").wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("at=5%2C6"))
    page.keyboard.press("]")
    page.wait_for_url(re.compile("channel=2"))
    page.get_by_role("button", name="Play the slide").click()
    page.wait_for_url(re.compile("at=5%2C(8|9|1.)"), timeout=20_000)
    page.get_by_role("button", name="Stop the slide").click()
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("#/maps"))


def test_painting_on_the_picture_moves_the_prediction(page, studio):
    page.goto(studio[0] + "#/maps")
    settle(page)
    first = page.locator(".says").inner_text()
    page.get_by_role("button", name="Paint on it").click()
    page.get_by_label("size of the brush").fill("30")
    box = page.locator(".frame canvas").bounding_box()
    for share in (0.2, 0.4, 0.6, 0.8):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.8 * box["height"], steps=6)
        page.mouse.up()
    page.wait_for_url(re.compile(r"picture=up\."))
    settle(page)
    wait_for_says(page, other_than=first)
    page.get_by_role("button", name="Undo").click()
    wait_for_says(page, equal_to=first)


@pytest.mark.slow
def test_a_training_begun_on_the_page_runs_to_its_end_and_opens(page, studio):
    import convscope

    link, run, _, shots = studio
    page.goto(link)
    settle(page)
    page.evaluate("location.hash = '#/train?new=1'")
    page.get_by_label("name of the run").fill("from-the-page")
    page.get_by_label("begin with").select_option("a first look, from scratch")
    for name, value in (("epochs", "3"), ("image size", "32"), ("filters", "8, 8"), ("keep checkpoints", "3")):
        field = page.locator("form label").filter(has_text=re.compile(f"^{name}\\b")).locator("input").first
        page.evaluate("e => e.closest('details')?.setAttribute('open', '')", field.element_handle())
        field.fill(value)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile("run="), timeout=120_000)
    page.locator("[role=status]", has_text="finished").wait_for(timeout=240_000)
    settle(page)
    page.screenshot(path=shots / "trained.png")
    made = convscope.open_run(run.parent / "from-the-page")
    assert made.card.classes == ("left", "right") and len(made.history.epochs) == 3
    assert made.plan.filters == (8, 8) and made.plan.image_size == 32
    film = page.get_by_role("group", name="film strip, scrolls")
    assert film.locator("canvas[aria-label*='after epoch 3']").count(), "the same pictures move from epoch to epoch"
    page.get_by_role("link", name="Look inside").click()
    page.wait_for_url(re.compile("#/maps"))
    settle(page)
    assert page.get_by_role("group", name=re.compile("maps of ")).count() == 1


def test_a_kernel_changed_on_the_page_changes_the_sum_and_the_model_stays(page, studio):
    import convscope

    link, run, _, shots = studio
    page.goto(link + "#/number?layer=block1_conv1&at=5,6&channel=1")
    value = page.locator("[data-value]")
    value.wait_for()
    settle(page)
    saved = float(value.get_attribute("data-value"))
    page.get_by_role("button", name="Change numbers").click()
    page.get_by_label("set the whole filter to").select_option("zeros")
    page.wait_for_url(re.compile("edits="))
    settle(page)
    end = time.monotonic() + 60
    while float(value.get_attribute("data-value")) == saved and time.monotonic() < end:
        page.wait_for_timeout(100)
    assert float(value.get_attribute("data-value")) == 0, "no kernel and no bias, before batch normalisation"
    assert page.get_by_text("Not the saved model").count() == 1
    assert page.get_by_label("prediction before and now").locator("li").count() == 2
    page.screenshot(path=shots / "changed.png")
    page.get_by_role("button", name="Back to the saved model").click()
    settle(page)
    while float(value.get_attribute("data-value")) != saved and time.monotonic() < end:
        page.wait_for_timeout(100)
    assert float(value.get_attribute("data-value")) == saved
    kernel = convscope.open_run(run).model.get_layer("block1_conv1").kernel
    assert np.abs(np.asarray(kernel)[..., 1]).max() > 0, "what was saved is as it was"


def test_a_lesson_sees_what_was_done(page, studio):
    page.goto(studio[0])
    settle(page)
    page.evaluate("location.hash = '#/lessons'")
    page.get_by_role("button", name="Begin").first.click()
    card = page.get_by_role("complementary", name="lesson")
    page.locator("[data-value]").wait_for()
    settle(page)
    assert "to do" in card.inner_text()
    page.locator(".group .grid").nth(2).locator("button").nth(4).click()
    card.get_by_text("done", exact=False).first.wait_for()
    card.get_by_role("button", name="Next").click()
    assert "step 2 of" in card.inner_text() and "to do" in card.inner_text()
    card.get_by_role("button", name="leave the lesson").click()
    card.wait_for(state="detached")


def test_a_decision_is_kept_and_taken_back(page, studio):
    page.goto(studio[0])
    settle(page)
    page.evaluate("location.hash = '#/data'")
    settle(page)
    page.locator("select[aria-label=data]").select_option(index=0)
    settle(page)
    box = page.locator(".groups input[type=checkbox]").first
    if not box.count():
        page.locator("td .pick").last.click()
    box.wait_for()
    box.check()
    page.get_by_role("heading", name="Decisions").wait_for()
    page.reload()
    settle(page)
    page.get_by_role("button", name="take back all").click()
    page.get_by_role("heading", name="Decisions").wait_for(state="detached")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_every_view_fits_and_axe_finds_no_serious_fault(browser, studio, width, scheme):
    link, _, _, shots = studio
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    faults, grave = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.goto(link)
    for view in VIEWS:
        page.evaluate(f"location.hash = '#/{view}'")
        settle(page)
        page.screenshot(path=shots / f"{view}-{width}-{scheme}.png")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{view} is {wide} px too wide"
        if AXE.is_file():
            # run outside the page's policy, as an extension would
            found = page.evaluate(f"{AXE.read_text()}; axe.run(document, {{resultTypes: ['violations']}})")
            grave += [
                (view, v["id"], v["help"], [n["html"][:160] for n in v["nodes"][:3]])
                for v in found["violations"]
                if v["impact"] in ("serious", "critical")
            ]
    assert grave == [], json.dumps(grave, indent=1)
    assert faults == []
    context.close()


def test_nothing_opens_without_the_link(browser, studio):
    address = studio[0].split("?")[0]
    context = browser.new_context()
    answer = context.new_page().goto(address)
    assert answer.status == 401 and "convscope studio" in answer.text()
    context.close()
