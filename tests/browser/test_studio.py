"""The studio in a real browser: from the link to a sum that the scope confirms; nothing faulty, nothing leaks."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser.driving import begin_training, settle, wait_for_says
from convscope.errors import ConvscopeError
from convscope.studio import jobs
from studio.test_names import PAYLOADS

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("data", "train", "network", "maps", "number", "filters", "explain", "lessons")


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


def test_a_hundred_names_from_strangers_stay_text(page, studio):
    page.goto(studio[0])
    settle(page)
    page.evaluate("location.hash = '#/train'")
    page.get_by_label("runs", exact=True).get_by_role("button").filter(has_text="onerror=").first.click()
    settle(page)
    page.get_by_text(PAYLOADS[0], exact=True).first.wait_for()
    told = page.locator("main").text_content()
    assert all(payload.strip() in told for payload in PAYLOADS if payload.isprintable())
    assert (
        page.evaluate("document.querySelectorAll('main iframe, main math, main style, img[src=x], [onload]').length")
        == 0
    )
    page.wait_for_timeout(300)  # a dialog that a script opened would have failed the test by now


def test_the_camera_takes_a_picture(page, studio):
    page.goto(studio[0] + "#/maps")
    settle(page)
    first = page.locator(".says").inner_text()
    page.get_by_role("button", name="Picture", exact=True).click()
    page.get_by_role("button", name="Camera").click()
    page.get_by_label("camera", exact=True).wait_for()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Take this picture").click()
    page.wait_for_url(re.compile(r"picture=up\."))
    settle(page)
    wait_for_says(page, other_than=first)
    assert page.get_by_text("your picture").count()


def test_what_is_kept_opens_again_and_its_python_lines_give_the_same_value(page, studio, monkeypatch):
    link, run, data, _ = studio
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(link + "#/number?layer=block1_relu1&at=5,6&channel=1&edits=block1_conv1~1~4~2")
    page.locator("[data-value]").wait_for()
    settle(page)
    shown = float(page.locator("[data-value]").get_attribute("data-value"))
    page.get_by_role("button", name="Keep", exact=True).click()
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        saved[kind] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename == f"number-block1_relu1.{kind.lower()}"
    assert saved["PNG"].startswith(b"\x89PNG") and saved["SVG"].startswith(b"<svg")
    assert (
        saved["CSV"].startswith(b"input channel,place,patch,kernel,product,padding\n")
        and len(saved["CSV"].splitlines()) == 28
    )
    page.get_by_role("button", name="Into the report").click()
    page.get_by_text("in the report of this run").wait_for()
    assert list((run / "views").glob("*.png")), "the view lies in the run folder"
    page.get_by_role("button", name="Copy address").click()
    page.get_by_text("Address copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.get_by_role("button", name="Python lines").click()
    page.get_by_text("Python lines copied").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()")
    label = re.search(r'picture = "(.*?)"', lines)[1]
    assert "KernelValue(" in lines and (data / label).is_file()
    monkeypatch.chdir(run.parents[1])
    found = {}
    exec(lines.replace(json.dumps(label), repr(str(data / label))).replace("print(", "found = ("), found)
    assert shown == pytest.approx(
        found["found"].shown, rel=1e-4, abs=1e-5
    )  # the file is resized anew, to the same pixels


def test_pinned_maps_come_first_and_two_epochs_lie_side_by_side(page, studio):
    page.goto(studio[0] + "#/maps?layer=block1_relu1&channel=5&at=3,4&pins=5")
    settle(page)
    page.get_by_role("button", name="Unpin ch 5").wait_for()
    sheet = page.get_by_role("group", name=re.compile("maps of block1_relu1"))
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.locator(".readout", has_text="ch 5, activation").wait_for()
    options = page.get_by_label("beside", exact=True).locator("option").all_inner_texts()
    epoch = next(o for o in options if o.startswith("epoch"))
    page.get_by_label("beside", exact=True).select_option(label=epoch)
    page.get_by_text(f"the same place in {epoch}").wait_for()
    assert page.get_by_role("group", name=re.compile("maps of block1_relu1")).count() == 2


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
    chosen = {"epochs": "3", "image size": "32", "filters": "8, 8", "keep checkpoints": "3"}
    begin_training(page, "from-the-page", chosen)
    page.locator("[role=status]", has_text="finished").wait_for(timeout=240_000)
    settle(page)
    page.screenshot(path=shots / "trained.png")
    made = convscope.open_run(run.parent / "from-the-page")
    assert made.card.classes == ("left", "right") and len(made.history.epochs) == 3
    assert made.plan.filters == (8, 8) and made.plan.image_size == 32
    film = page.get_by_role("group", name="film strip, scrolls")
    assert film.locator("canvas[aria-label*='after epoch 3']").count(), "the same pictures move from epoch to epoch"
    page.get_by_label("beside").select_option(label=run.name)
    table = page.get_by_label("two runs side by side")
    table.get_by_text("lowest validation loss").wait_for()
    assert "epochs\t3\t6" in table.inner_text() and "better" in table.inner_text()
    page.get_by_role("link", name="Look inside").click()
    page.wait_for_url(re.compile("#/maps"))
    settle(page)
    assert page.get_by_role("group", name=re.compile("maps of ")).count() == 1


@pytest.mark.slow
def test_a_training_is_paused_goes_on_and_is_stopped_early_with_its_best(page, studio):
    import convscope

    link, run, _, _ = studio
    page.goto(link)
    settle(page)
    begin_training(page, "ended-early", {"epochs": "400", "image size": "32", "filters": "4"})
    status = page.get_by_role("status")
    folder = run.parent / "ended-early"
    try:
        page.get_by_text(re.compile(r"epoch [2-9]\d* of 400")).wait_for(timeout=120_000)
        page.get_by_role("button", name="Pause", exact=True).click()
        status.filter(has_text="paused").wait_for(timeout=120_000)
        assert page.get_by_role("alert").count() == 0, "a pause is no mistake"
        page.get_by_role("button", name="Go on", exact=True).click()
        status.filter(has_text="running").wait_for(timeout=120_000)
        page.get_by_role("button", name="Stop, keep best", exact=True).click(timeout=120_000)
        status.filter(has_text="finished").wait_for(timeout=240_000)
    finally:
        with contextlib.suppress(ConvscopeError):  # it outlives the studio, and would outlive a test that failed
            jobs.stop(folder)
    made = convscope.open_run(folder)
    assert 2 <= len(made.history.epochs) < 400 and made.card.classes == ("left", "right")


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


def grave_faults(page, view, rules=None):
    """What axe-core finds serious or critical; `rules` alone, where only these can have changed."""
    only = f", runOnly: {{type: 'rule', values: {json.dumps(rules)}}}" if rules else ""
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{only}}})")
    return [
        (view, v["id"], v["help"], [n["html"][:160] for n in v["nodes"][:3]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def in_four_ways(page, view, shots):
    """The screen as it stands at 1280 and 390 px, in light and dark: it fits, and axe finds nothing grave."""
    grave, scheme = [], "light"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(60)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{view} is {wide} px too wide at {width}"
        for rules in (None, ["color-contrast"]):  # another theme is only other colours
            if rules:
                scheme = "dark" if scheme == "light" else "light"
                page.evaluate("document.querySelector('.tools .theme').click()")  # also behind a dialog
                page.wait_for_timeout(60)
            page.screenshot(path=shots / f"{view}-{width}-{scheme}.png")
            if AXE.is_file():
                grave += [(width, scheme, *fault) for fault in grave_faults(page, view, rules)]
    page.set_viewport_size({"width": 1280, "height": 844})
    return grave


def test_every_view_fits_and_axe_finds_no_serious_fault(page, studio):
    link, _, _, shots = studio
    if AXE.is_file():
        page.add_init_script(AXE.read_text())  # outside the page's policy, as an extension would be
    page.goto(link)
    again = page.context.new_page()
    grave = []
    for view in VIEWS:
        page.evaluate(f"location.hash = '#/{view}'")
        settle(page)
        again.goto(page.url)  # the address alone opens the same view
        grave += in_four_ways(page, view, shots)
        settle(again)
        assert again.url == page.url and again.title() == page.title()
        assert again.inner_text("main h1, main h2") == page.inner_text("main h1, main h2")
    page.evaluate("location.hash = '#/maps'")
    settle(page)
    page.get_by_role("button", name="Picture", exact=True).click()
    page.get_by_role("dialog").locator("img").first.wait_for()
    grave += in_four_ways(page, "picture", shots)
    assert grave == [], json.dumps(grave, indent=1)


def test_nothing_opens_without_the_link(browser, studio):
    address = studio[0].split("?")[0]
    context = browser.new_context()
    answer = context.new_page().goto(address)
    assert answer.status == 401 and "convscope studio" in answer.text()
    context.close()
