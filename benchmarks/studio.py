"""How quick is the studio? First paint, 512 maps on screen, panning 4,096 tiles (also beside a training), a hover.

Two small networks are made for it: one with 512 maps of 56 x 56, one with 4,096 of 28 x 28. A real Chromium without
a GPU shows them; times are taken inside the page. Nothing else should run meanwhile: the page shares the processor.
The last row pans the same sheet while a training that the page began takes all that the page leaves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

RESULTS = Path(__file__).parent / "results" / "studio.md"
FRAMES, REPEATS = 240, 5
GOALS = {  # milliseconds
    "first paint": 1000,
    "512 maps of 56x56 on screen": 150,
    "all 512 laid out": 150,
    "panning": 20,
    "panning beside a training": 20,
    "hover": 50,
}

PAN = """async (frames) => {
  const scroller = document.querySelector('.scroller'), gaps = [], work = []
  const most = scroller.scrollHeight - scroller.clientHeight, wide = scroller.scrollWidth - scroller.clientWidth
  let last = await new Promise(requestAnimationFrame)
  for (let i = 1; i <= frames; i++) {
    const turn = (1 - Math.cos((i / frames) * 2 * Math.PI)) / 2
    const begun = performance.now()
    scroller.scrollTop = most * turn; scroller.scrollLeft = wide * turn
    const now = await new Promise(requestAnimationFrame)
    gaps.push(now - last); work.push(performance.now() - begun - (now - begun)); last = now
  }
  return { gaps, most }
}"""
DRAWN = """() => {
  const answer = performance.getEntriesByType('resource').find((r) => r.name.includes('api/maps'))
  return performance.getEntriesByName('sheet drawn')[0].startTime - answer.responseStart
}"""
EXACT = """async () => {
  const first = () => performance.getEntriesByType('resource').find((r) => r.name.includes('api/maps'))
  while (!performance.getEntriesByName('values there').length) await new Promise((done) => setTimeout(done, 5))
  return performance.getEntriesByName('values there')[0].startTime - first().responseStart
}"""
ALL = """async () => {
  const button = [...document.querySelectorAll('button')].find((b) => b.innerText.startsWith('show all'))
  const before = performance.getEntriesByName('sheet drawn').length, begun = performance.now()
  button.click()
  while (performance.getEntriesByName('sheet drawn').length === before) await new Promise((done) => setTimeout(done))
  return performance.now() - begun
}"""
TRAIN = """async () => {
  const headers = { 'x-convscope': '1', 'content-type': 'application/json' }
  const { places } = await (await fetch('api/places')).json(), data = places.find((p) => p.kind === 'data').id
  const plan = { model: 'simple-cnn', filters: [16], image_size: 32, epochs: 5000, patience: 0 }
  const body = JSON.stringify({ data, name: 'beside', options: plan })
  return (await fetch('api/runs', { method: 'POST', headers, body })).status
}"""
TRAINED = """async () => {
  const { id } = await (await fetch('api/begun/beside')).json()
  return id ? (await (await fetch(`api/runs/${id}`)).json()).history.length : 0
}"""
HALT = """async () => {
  const { id } = await (await fetch('api/begun/beside')).json()
  const headers = { 'x-convscope': '1', 'content-type': 'application/json' }
  await fetch(`api/runs/${id}/stop`, { method: 'POST', headers, body: '{}' })
  while ((await (await fetch('api/begun/beside')).json()).running) await new Promise((done) => setTimeout(done, 200))
}"""
HOVER = """async (times) => {
  const scroller = document.querySelector('.scroller'), box = scroller.getBoundingClientRect(), found = []
  for (let i = 0; i < times; i++) {
    const begun = performance.now()
    const at = { clientX: box.x + 40 + (i * 37) % (box.width - 80), clientY: box.y + 40 + (i * 23) % (box.height - 80) }
    scroller.dispatchEvent(new PointerEvent('pointermove', { ...at, bubbles: true, pointerType: 'mouse' }))
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)))
    found.push(performance.now() - begun)
  }
  return found
}"""


def make_bundle(folder: Path, channels: int, side: int) -> Path:
    """A network with one wide layer, and its bundle."""
    from convscope.backend.selection import load_keras
    from convscope.bundle.saving import save_bundle
    from convscope.records.card import Card
    from convscope.records.geometry import Preprocess

    keras = load_keras()
    keras.utils.set_random_seed(0)
    pixels = keras.Input((side, side, 3), name="pixels")
    maps = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name="wide")(pixels)
    out = keras.layers.Dense(2, activation="softmax", name="outputs")(keras.layers.GlobalAveragePooling2D()(maps))
    card = Card("classify", ("a", "b"), Preprocess(side, side, 3, scale=1 / 255), f"{channels} maps")
    save_bundle(folder / f"maps-{channels}", keras.Model(pixels, out), card)
    return folder / f"maps-{channels}"


def start(folder: Path, given: list[Path]) -> tuple[subprocess.Popen[str], str]:
    """The studio in a process of its own, and its link."""
    command = [sys.executable, "-m", "convscope", "studio", *map(str, given), "--no-open-browser"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    assert process.stdout is not None
    output = process.stdout
    threading.Thread(target=lambda: lines.extend(iter(output.readline, "")), daemon=True).start()
    for _ in range(1200):
        if found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", "".join(lines)):
            return process, found[0]
        time.sleep(0.1)
    raise SystemExit("the studio did not start:\n" + "".join(lines))


def drawn(page: object) -> None:
    """Wait for the first sheet; the page's policy forbids Playwright's own way, which evaluates words."""
    for _ in range(1800):
        if page.evaluate("performance.getEntriesByName('sheet drawn').length"):
            return
        page.wait_for_timeout(100)
    raise SystemExit("no maps were drawn in three minutes")


def measure(page: object, link: str) -> dict[str, tuple[float, str]]:
    """Name -> (milliseconds, what it is)."""
    found = {}
    page.goto(link + "#/maps")
    drawn(page)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    found["first paint"] = (paint, "first contentful paint after the link was opened")
    shown, exact = [], []
    for _ in range(REPEATS):
        page.reload()  # the server has the maps now
        drawn(page)
        exact.append(page.evaluate(EXACT))
        shown.append(page.evaluate(DRAWN))
    words = f"first byte of the answer to all coloured and the first 24 drawn; median of {REPEATS}"
    found["512 maps of 56x56 on screen"] = (float(np.median(shown)), words)
    words = "from the same byte to the exact values, which the pointer reads off; they follow the colours"
    found["their exact values"] = (float(np.median(exact)), words)
    every = page.evaluate(ALL)
    found["all 512 laid out"] = (every, "from the click on “show all 512” to the drawn sheet")
    page.wait_for_timeout(800)
    model = page.locator("header select")
    model.select_option(label="maps-4096")
    page.get_by_text(re.compile("4096 maps")).wait_for(timeout=180_000)
    page.wait_for_timeout(1500)
    for _ in range(3):
        page.get_by_label("smaller maps").click()
        page.wait_for_timeout(400)
    pan = page.evaluate(PAN, FRAMES)
    found["panning"] = (float(np.quantile(pan["gaps"], 0.95)), f"p95 between {FRAMES} frames over 4,096 tiles")
    hover = page.evaluate(HOVER, 60)
    found["hover"] = (float(np.quantile(hover, 0.95)), "p95 of 60, from the event to the frame with the value")
    epochs, gaps = beside_training(page)
    words = f"the same while a training that the page began runs (epoch {epochs[0]} to {epochs[1]})"
    found["panning beside a training"] = (float(np.quantile(gaps, 0.95)), words)
    return found


def beside_training(page: object) -> tuple[tuple[int, int], list[float]]:
    """Epochs that were done before and after, and the time between frames while a training runs."""
    if page.evaluate(TRAIN) != 200:
        raise SystemExit("the training did not begin")
    for _ in range(600):
        if (before := page.evaluate(TRAINED)) > 1:
            break
        page.wait_for_timeout(200)
    else:
        raise SystemExit("the training had no epoch in two minutes")
    gaps = page.evaluate(PAN, FRAMES)["gaps"]
    after = page.evaluate(TRAINED)
    page.evaluate(HALT)
    return (before, after), gaps


def processor() -> str:
    """The maker and family of the processor, as Linux names it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return found[1].strip() if found else "a processor that does not say its name"


def main() -> None:
    """Measure and write the table."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no browser: install chromium")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        values = np.random.default_rng(0).integers(0, 256, (200, 56, 56, 3), np.uint8)
        for number, picture in enumerate(values):
            (folder / "pictures" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / "pictures" / "ab"[number % 2] / f"noise-{number:03d}.png")
        given = [make_bundle(folder, 512, 56), make_bundle(folder, 4096, 28), folder / "pictures"]
        process, link = start(folder, given)
        try:
            with sync_playwright() as play:
                chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
                page = chromium.new_page(viewport={"width": 1280, "height": 800})
                found = measure(page, link)
                chromium.close()
        finally:
            process.terminate()
            process.wait(timeout=60)
    lines = ["# The studio", "", "| | ms | goal | |", "|---|---|---|---|"]
    lines += [f"| {name} | {ms:.0f} | {GOALS.get(name, '–')} | {words} |" for name, (ms, words) in found.items()]
    note = "" if load < 1.5 else " The machine was busy with other work: read the times as upper bounds."
    where = f"Chromium without a GPU, {os.cpu_count()} cores of {processor()}, load {load:.1f} when it began"
    where += f", at nice {os.nice(0)}" if os.nice(0) else ""
    lines += ["", f"{where}, {date.today().isoformat()}.{note}", ""]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
