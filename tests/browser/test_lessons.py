"""The six lessons, taken to their end on a person's own run: each step opens, asks, and sees what is done there."""

from __future__ import annotations

import contextlib
import re

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser.driving import settle
from convscope.errors import ConvscopeError
from convscope.studio import jobs

STARTED, DONE = "○ to do", "✓ done"
pytestmark = pytest.mark.slow


class Taker:
    """A person who does what the steps ask."""

    def __init__(self, page, shots):
        self.page, self.shots = page, shots
        self.card = page.get_by_role("complementary", name="lesson")

    def is_done(self):
        return DONE in self.card.inner_text()

    def tried(self, act, times=40, wait=60):
        """Do it again and again until the step is done: places of a map, values on the way."""
        for turn in range(times):
            act(turn)
            self.page.wait_for_timeout(wait)
            if self.is_done():
                return

    def over_maps(self, act):
        """Places spread over the first map of the sheet."""
        sheet = self.page.get_by_role("group", name=re.compile("maps of ")).first
        box = sheet.bounding_box()
        self.tried(lambda n: act(box["x"] + 14 + n * 13 % 90, box["y"] + 40 + n * 29 % 70))

    def point(self):
        self.over_maps(self.page.mouse.move)

    def click_map(self):
        self.over_maps(self.page.mouse.click)

    def press(self, key):
        self.tried(lambda n: self.page.keyboard.press(key), times=14, wait=500)

    def click(self, name):
        self.page.get_by_role("button", name=re.compile(name)).first.click()

    def choose(self, label, **option):
        self.page.get_by_label(label).select_option(**option)

    def slide(self):
        self.page.keyboard.press("Space")  # the strip took the focus from the button that led here

    def set_filter(self):
        self.click("Change numbers")
        self.choose("set the whole filter to", value="upright edges")

    def to_the_inside(self):
        for key in ("ArrowRight", "ArrowDown"):
            self.page.keyboard.press(key)
            settle(self.page)

    def follow_the_winner(self):
        self.page.locator(".group .cell.chosen").first.click()

    def last_with_height(self):
        self.page.locator("td .enter", has_text="block2_pool").click()

    def open_a_mistake(self):
        wrong = self.page.locator(".wrong button")
        if wrong.count():
            wrong.first.click()
        else:
            self.click("Another picture")
            self.page.get_by_role("dialog").locator("li button").nth(1).click()
        settle(self.page)
        self.page.locator(".field select").first.select_option(index=1)

    def paint(self):
        self.click("Paint on it")
        box = self.page.locator(".frame canvas").first.bounding_box()
        self.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
        self.page.mouse.up()

    def take(self, title, *acts):
        """One lesson from its beginning to its end."""
        page = self.page
        page.evaluate("location.hash = '#/lessons'")
        page.get_by_role("button", name=f"Begin {title}").click()
        for number, act in enumerate(acts, 1):
            self.card.get_by_text(f"step {number} of {len(acts)}").wait_for(timeout=120_000)
            settle(page)
            assert STARTED in self.card.inner_text(), f"{title}, step {number}, is done before anything was done"
            act()
            self.card.get_by_text(DONE).wait_for(timeout=300_000)
            settle(page)
            page.screenshot(path=self.shots / f"lesson-{title.lower().replace(' ', '-')}-{number}.png")
            assert page.get_by_role("alert").count() == 0
            self.card.get_by_role("button", name="Finish" if number == len(acts) else "Next").click()
        page.wait_for_url(re.compile("#/lessons"))
        self.card.wait_for(state="detached")


def test_all_six_lessons_to_their_end(page, studio):
    link, run, _, shots = studio
    page.goto(link)
    settle(page)
    one = Taker(page, shots)
    kernels = page.locator(".kernels button")
    one.take("How Conv2D works", lambda: page.locator(".group .grid").nth(2).locator("button").nth(4).click(),
             one.slide, one.set_filter, one.point, lambda: kernels.nth(2).click())  # fmt: skip
    one.take("Stride, padding and pooling", one.to_the_inside, one.follow_the_winner, one.last_with_height)
    one.take("What activations do", one.click_map, one.point, lambda: one.press("ArrowRight"))
    one.take("What filters learn", lambda: one.click("Look through the pictures"), lambda: one.click("Grow it"),
             lambda: one.click("Accuracy without each filter"))  # fmt: skip
    one.take("Why the network fails", one.open_a_mistake, lambda: one.click("Judge these"), one.paint,
             lambda: page.locator("td .pick").last.click())  # fmt: skip
    try:
        one.take("Initialisation and vanishing gradients", lambda: one.choose("weights", value="small"),
                 lambda: one.choose("weights", value="he_normal"), lambda: one.click("Start training"),
                 lambda: one.click("Start training"), lambda: one.choose("beside", index=1))  # fmt: skip
    finally:
        for folder in run.parent.glob("*-pictures-*"):  # the two trainings outlive the studio
            with contextlib.suppress(ConvscopeError):
                jobs.stop(folder)
    assert {p.name.split("-")[0] for p in run.parent.glob("*-pictures-*")} == {"sigmoid", "relu"}
