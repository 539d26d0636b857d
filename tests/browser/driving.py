"""What the tests do on the page again and again."""

from __future__ import annotations

import re
import time


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


def begin_training(page, name, fields):
    """Fill the form as a person does, from "a first look" on, and start; the page of the run is open then."""
    page.evaluate("location.hash = '#/train?new=1'")
    page.get_by_label("name of the run").fill(name)
    page.get_by_label("begin with").select_option("a first look, from scratch")
    for title, value in fields.items():
        field = page.locator("form label").filter(has_text=re.compile(f"^{title}\\b")).locator("input").first
        page.evaluate("e => e.closest('details')?.setAttribute('open', '')", field.element_handle())
        field.fill(value)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile("run="), timeout=120_000)
