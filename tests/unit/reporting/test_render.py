"""The page: one file, nothing from outside, no script, sound structure, hostile names as words."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from convscope.errors import DataError
from convscope.records.figure import Figure
from convscope.records.report import Report, Section, Table
from convscope.reporting.render import render_report
from unit.reporting.made import full_report

VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=\"alert(1)",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    "<!-- --><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    "<a href=\"https://example.org\">x</a>",
    "<link rel=stylesheet href=//example.org/x.css>",
    "<meta http-equiv=refresh content='0;url=//example.org'>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "url(https://example.org/x.png)",
    "expression(alert(1))",
    "&lt;script&gt;",
    "<base href='//example.org/'>",
    "photo\u202egpj.exe",
    "a\x00b\x1b[31m",
    "lone\udcff",
    "../../etc/passwd",
    "<math><mtext></p><script>alert(1)</script>",
    "ａ" * 300,
]  # fmt: skip


class Page(HTMLParser):
    """Collects tags with attributes and text, and checks that tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [a for t, a in self.tags if t == name]


@pytest.fixture(scope="module")
def html():
    return render_report(full_report())


def check_safe(html):
    """No script, no handler, no address but anchors inside and data: pictures."""
    page = Page(html)
    names = {t for t, _ in page.tags}
    assert names.isdisjoint({"script", "iframe", "link", "base", "object", "embed", "form", "math", "foreignobject"})
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:image/", "#")), (tag, value[:60])
            if name == "style":
                assert "url(" not in value and "expression" not in value
    assert [m for m in page.all("meta") if m.get("http-equiv")] == [
        {
            "http-equiv": "Content-Security-Policy",
            "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        }
    ]
    return page


def test_one_file_that_needs_nothing_else(html):
    check_safe(html)
    outside = set(re.findall(r"https?://[^\"' )<]+", html)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()
    assert len(html.encode()) < 3_000_000


def test_structure_for_people_who_listen(html):
    page = Page(html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for a in page.all("a"):
        assert a["href"][1:] in ids
    for _, a in page.tags:
        if "aria-labelledby" in a:
            assert a["aria-labelledby"] in ids
    assert [len(page.all(t)) for t in ("h1", "main", "nav", "header", "footer")] == [1] * 5
    assert page.all("html")[0]["lang"] == "en"
    pictures = page.all("img")
    assert len(pictures) > 60
    assert all(p["alt"].strip() and p["width"] and p["height"] for p in pictures)
    drawings = page.all("svg")
    assert len(drawings) >= 8 and all(s["role"] == "img" and s["aria-label"] for s in drawings)
    assert all(t["scope"] in ("row", "col") for t in page.all("th"))


def test_every_picture_opens_and_maps_are_shown_in_whole_factors(html):
    for picture in Page(html).all("img"):
        kind, _, data = picture["src"].partition(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert kind == f"data:image/{image.format.lower()}"
            if picture.get("class") == "map":
                assert int(picture["width"]) % image.width == 0
                assert int(picture["height"]) == image.height * (int(picture["width"]) // image.width)


def test_contents_lists_every_section_in_order(html):
    report = full_report()
    links = [a["href"] for a in Page(html).all("a") if a["href"] not in ("#main", "#facts")]
    assert links == [f"#{s.name}" for s in report.sections]


def test_the_same_report_gives_the_same_page(html):
    assert render_report(full_report()) == html


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_words_in_all_places(payload):
    html = render_report(full_report(names=(payload, "other"), title=payload))
    html.encode("utf-8")
    page = check_safe(html)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    assert payload != "{{ 7*7 }}" or "{{ 7*7 }}" in page.text
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert page.all("svg") and page.all("img")


def test_a_scan_alone_makes_a_page():
    report = full_report()
    page = check_safe(render_report(replace(report, sections=report.sections[:1], facts=report.facts[:2])))
    assert "Identical files" in "".join(page.text)


def test_an_empty_report_and_an_empty_table_are_still_pages():
    check_safe(render_report(Report("nothing")))
    table = Section("a", "A", blocks=(Table("None", ("x",), ()), Figure("png", b"\x89PNG", 1, 1, "t", "alt")))
    check_safe(render_report(Report("nothing", sections=(table,))))


def test_two_sections_of_one_name_are_refused():
    with pytest.raises(DataError, match="several named data"):
        render_report(Report("twice", sections=(Section("data", "A"), Section("data", "B"))))
