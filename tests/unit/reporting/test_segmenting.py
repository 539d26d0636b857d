"""The chapters on masks say what the scores say, show the worst first, and what they are not."""

import numpy as np

from convscope.metrics.segment import score_segment, segment_cases
from convscope.records.masks import ArrayMask, Segmentations
from convscope.records.report import Report, Table
from convscope.reporting.render import render_report
from convscope.reporting.segmenting import (
    NOT_A_DEVICE,
    case_table,
    overlays_section,
    segment_scores_section,
    volume_section,
    worst_masks,
)


def made():
    truth = np.zeros((5, 20, 20), np.uint8)
    truth[:4, 5:15, 5:15] = 1
    truth[3, :3] = 2
    found = truth.copy()
    found[1] = np.roll(truth[1], 4, axis=0)
    found[2] = 0
    found[3, 15:] = 2
    keys = tuple(f"cases/<b>{i}.png" for i in range(5))
    return Segmentations(keys, tuple(found), ("background", "cell", "rim"), tuple(map(ArrayMask, truth)))


def test_scores_and_cases():
    found = made()
    cases, scores = segment_cases(found), score_segment(found)
    section = segment_scores_section(scores, cases, is_medical=True, which="that training never saw")
    assert section.words[0][0].startswith("Dice ") and "95 % interval" in section.words[0][1]
    assert "5 pictures, 5 cases that training never saw" in section.words[0][1]
    assert section.words[1][0].startswith("Hardest class: rim") and NOT_A_DEVICE in section.words
    tables = {b.title: b for b in section.blocks if isinstance(b, Table)}
    by_class = dict(zip(tables["By class"].header, tables["By class"].rows[1]))
    assert by_class["Class"] == "cell" and by_class["Cases"] == "4" and by_class["Missed"] == "1"
    assert NOT_A_DEVICE not in segment_scores_section(scores, cases, is_medical=False).words
    rows = case_table(cases, found.classes).rows
    assert [r[0] for r in rows] == ["<b>2.png", "<b>1.png", "<b>3.png", "<b>0.png", "<b>4.png"]
    assert [rows[i][1].replace("\N{NO-BREAK SPACE}", " ") for i in (0, -1, 3)] == ["0 %", "–", "100 %"]
    assert len(case_table(cases, found.classes, most=2).rows) == 2


def test_worst_and_page():
    found = made()
    assert worst_masks(found, top=2) == [2, 1]
    pictures = {key: np.full((20, 20, 3), 90, np.uint8) for key in found.keys[:3]}
    section = overlays_section(found, pictures)
    tiles = section.blocks[0].tiles
    assert [t.head for t in tiles] == ["<b>2.png", "<b>1.png", "<b>0.png"] and tiles[1].lines[0].startswith("cell 60")
    assert section.blocks[0].caption.startswith("Colours: blue cell, orange rim")
    scores = segment_scores_section(score_segment(found), segment_cases(found), is_medical=True)
    page = render_report(Report("x", sections=(scores, section, volume_section({}))))
    assert "Not a medical device." in page and "<b>2.png" not in page and "&lt;b&gt;2.png" in page


def test_without_truth_there_is_no_worst():
    found = made()
    bare = Segmentations(found.keys, found.masks, found.classes)
    assert worst_masks(bare) == []
    pictures = {key: np.zeros((20, 20), np.uint8) for key in found.keys}
    assert len(overlays_section(bare, pictures, indices=[0, 3]).blocks[0].tiles) == 2
