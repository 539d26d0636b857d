"""Names of files and classes from strangers: a hundred payloads travel as text and come back as the same text."""

import json

import pytest

pytest.importorskip("fastapi")

from convscope.data.naming import shown
from convscope.files.journal import JournalFile
from convscope.studio.places import Places
from studio.made import HOST, TOKEN, client_of

PARTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "'-alert(1)-'",
    "javascript:alert(1)", "{{7*7}}", "${alert(1)}", "<iframe srcdoc=a>", "</title><script>alert(1)</script>",
    "\u202egnp.exe", "a\r\nSet-Cookie: x=1", "%3Cscript%3E", "\x1b[2Jowned", "<style>*{}</style>", "&lt;b&gt;",
    "=cmd|' /C calc'!A0", "<!--", "]]>", "<math><mi//xlink:href=a>", "\u0000null",
)  # fmt: skip
PAYLOADS = [
    f"{before}{part}{after}"
    for part in PARTS
    for before, after in (("", ""), ("a", "b"), (" ", ""), ("-", "é"), ("", "/.."))
]


def test_a_hundred_names_come_back_as_text(tmp_path):
    """In the answers: JSON that says so, with every control character escaped. The page sets text nodes only."""
    from convscope.studio.app import build_app

    assert len(PAYLOADS) == 100
    run = tmp_path / "runs" / "sent"
    journal = JournalFile(run)
    journal.write("start", data="sent", classes=PAYLOADS, network=PAYLOADS[0])
    for payload in PAYLOADS:
        journal.write("verdict", kind="x", title=payload, detail=payload)
    places = Places([], tmp_path / "runs")
    client = client_of(build_app(places, token=TOKEN, hosts=[HOST]))
    answer = client.get(f"/api/runs/{places.all()[0].id}")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = answer.json()
    assert [v["title"] for v in found["verdicts"]] == PAYLOADS and found["start"]["classes"] == PAYLOADS
    assert not any(ord(c) < 32 for c in answer.text.replace("\n", ""))


def test_names_of_files_are_one_printable_line():
    for payload in PAYLOADS:
        assert shown(payload).isprintable()


def test_the_pages_sources_set_no_html():
    """Svelte escapes text; only {@html} and innerHTML would not."""
    from pathlib import Path

    sources = list((Path(__file__).resolve().parents[2] / "web" / "src").rglob("*.*"))
    assert len(sources) > 25
    for source in sources:
        text = source.read_text(encoding="utf-8")
        for word in (
            "{@html",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in text, (source.name, word)


def test_the_stream_of_a_journal_can_not_be_broken_out_of(tmp_path):
    """One line of the journal is one event: line breaks in names are escaped by JSON."""
    folder = tmp_path / "run"
    JournalFile(folder).write("note", text="a\n\nevent: running\ndata: true\r\rb")
    line = (folder / "journal.jsonl").read_text().split("\n")[0]
    assert "\r" not in line and json.loads(line)["text"].startswith("a\n\nevent")
