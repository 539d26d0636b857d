"""Findings about single files: unreadable, misnamed, odd inside, too small, or without content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from convscope.data.audit_copies import MOST_SHOWN, named
from convscope.data.audit_facts import Facts, Unreadable
from convscope.data.files_source import FilesSource
from convscope.data.formats import suffix_fits
from convscope.data.naming import shown, some
from convscope.data.perceptual import MIN_CONTRAST
from convscope.records.audit import Finding
from convscope.records.samples import Samples


def file_findings(
    samples: Samples, facts: Sequence[Facts], bad: Sequence[Unreadable], network_hw: tuple[int, int] | None
) -> list[Finding]:
    """All findings of this module."""
    findings = [
        _unreadable(samples, bad),
        _left_out(samples),
        _misnamed(samples, facts),
        _mixed_colour(samples, facts),
        _constant(samples, facts),
        _small(samples, facts, network_hw),
        *(_odd(samples, facts, *words) for words in _ODD),
        *_notes(samples, facts),
    ]
    return [f for f in findings if f is not None]


def _unreadable(samples: Samples, bad: Sequence[Unreadable]) -> Finding | None:
    if not bad:
        return None
    keys = samples.pictures.keys
    first = "; ".join(f"{shown(keys[b.index])}: {b.reason}" for b in bad[:3])
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    reasons = {shown(keys[b.index]): b.reason for b in bad[:MOST_SHOWN]}
    what = f"{len(bad)} can't be read. {first}{more}."
    does = "leaves them out and names them; --strict stops"
    return Finding(
        "unreadable",
        "Unreadable files",
        "look",
        len(bad),
        what,
        does,
        named(samples, [[b.index] for b in bad]),
        reasons,
    )


def _left_out(samples: Samples) -> Finding | None:
    """What the reader left out before anything was decoded."""
    left = samples.set_aside
    if not left:
        return None
    reasons = Counter(s.reason.split(" (")[0] for s in left)
    words = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common(4))
    keys = tuple((s.key,) for s in left[:MOST_SHOWN])
    what = f"{words}: {some([s.key for s in left])}."
    return Finding("left-out", "Files left out", "note", len(left), what, "does not use them", keys, dict(reasons))


def _misnamed(samples: Samples, facts: Sequence[Facts]) -> Finding | None:
    """Files whose ending promises another format than their content has."""
    if not isinstance(samples.pictures, FilesSource):
        return None
    keys = samples.pictures.keys
    wrong = [f for f in facts if not suffix_fits(keys[f.index], f.format)]
    if not wrong:
        return None
    examples = ", ".join(f"{shown(keys[f.index])} is a {f.hw[1]}×{f.hw[0]} {f.format} ({f.mode})" for f in wrong[:3])
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Finding(
        "wrong-extension",
        "Named as another format",
        "note",
        len(wrong),
        f"{examples}{more}.",
        "reads by content, not by name",
        named(samples, [[f.index] for f in wrong]),
        {shown(keys[f.index]): f.format for f in wrong[:MOST_SHOWN]},
    )


def _mixed_colour(samples: Samples, facts: Sequence[Facts]) -> Finding | None:
    stored_grey = [f for f in facts if "grey" in f.mode or f.mode == "black and white"]
    grey_inside = [f for f in facts if f not in stored_grey and not f.is_tinted]
    coloured = [f for f in facts if f.is_tinted]
    kinds = [k for k in (stored_grey, grey_inside, coloured) if k]
    if len(kinds) < 2:
        return None
    what = (
        f"{len(stored_grey)} stored as grey, {len(grey_inside)} stored as colour but grey, "
        f"{len(coloured)} with a tint or coloured parts."
    )
    rarer = min((stored_grey, grey_inside + coloured), key=len) or min(kinds, key=len)
    return Finding(
        "mixed-colour",
        "Grey and colour mixed",
        "note",
        len(facts),
        what,
        "reads all with the same number of channels; 1 channel hides the difference",
        named(samples, [[f.index] for f in rarer]),
        {"stored grey": len(stored_grey), "colour but grey": len(grey_inside), "coloured": len(coloured)},
    )


def _constant(samples: Samples, facts: Sequence[Facts]) -> Finding | None:
    flat = [f for f in facts if f.spread < MIN_CONTRAST]
    if not flat:
        return None
    keys = [samples.pictures.keys[f.index] for f in flat]
    what = f"{len(flat)} are one even tone (standard deviation below {MIN_CONTRAST:g} grey levels): {some(keys)}."
    groups = named(samples, [[f.index] for f in flat])
    return Finding(
        "constant", "Pictures without content", "look", len(flat), what, "trains on them all the same", groups
    )


def _small(samples: Samples, facts: Sequence[Facts], network_hw: tuple[int, int] | None) -> Finding | None:
    if network_hw is None:
        return None
    small = [f for f in facts if f.hw[0] < network_hw[0] or f.hw[1] < network_hw[1]]
    if not small:
        return None
    least = min(min(f.hw) for f in small)
    frame = f"{network_hw[0]}×{network_hw[1]}"
    what = (
        f"A side is shorter than the network's {frame} px, the shortest {least} px: these would be enlarged or padded."
    )
    groups = named(samples, [[f.index] for f in sorted(small, key=lambda f: min(f.hw))])
    does = f"allows it; an input of {max(32, least // 32 * 32)} px would enlarge none"
    return Finding("small", "Smaller than the input", "note", len(small), what, does, groups, {"shortest_px": least})


_Test = Callable[[Facts], bool]
_ODD: tuple[tuple[str, str, str, str, _Test], ...] = (
    ("alpha", "With transparency", "have an alpha channel", "composites on black", lambda f: "alpha" in f.mode),
    ("deep", "More than 8 bits", "hold more than 8 bits", "keeps every level, as 0..255", lambda f: "bit" in f.mode),
    ("cmyk", "Printing colours", "are CMYK", "turns them into RGB without a profile", lambda f: f.mode == "CMYK"),
    ("palette", "Palette pictures", "store a colour table", "reads the colours", lambda f: f.mode == "palette"),
    ("rotated", "Turned by EXIF", "are stored turned or mirrored", "stands them upright", lambda f: f.orientation != 1),
)


def _odd(samples: Samples, facts: Sequence[Facts], *words: object) -> Finding | None:
    kind, title, verb, does, test = words
    hits = [f for f in facts if test(f)]  # type: ignore[operator]  # the fifth of _ODD's tuples
    if not hits:
        return None
    keys = samples.pictures.keys
    sizes = ", ".join(f"{shown(keys[f.index])} ({f.hw[1]}×{f.hw[0]} {f.format}, {f.mode})" for f in hits[:3])
    more = f" and {len(hits) - 3} more" if len(hits) > 3 else ""
    what = f"{len(hits)} {verb}: {sizes}{more}."
    return Finding(str(kind), str(title), "note", len(hits), what, str(does), named(samples, [[f.index] for f in hits]))


def _notes(samples: Samples, facts: Sequence[Facts]) -> Iterable[Finding]:
    """Further notes of the decoders: frames, broken EXIF, tolerated damage."""
    by_note: dict[str, list[int]] = {}
    for f in facts:
        for note in f.notes:
            if not note.startswith(("alpha", "CMYK", "range")):
                topic = "first of several frames" if "frame" in note else note.split(":")[0]
                by_note.setdefault(topic, []).append(f.index)
    for note, indices in by_note.items():
        names = some([samples.pictures.keys[i] for i in indices])
        groups = named(samples, [[i] for i in indices])
        what = f"{len(indices)}: {note} ({names})."
        yield Finding("decoder-note", "Read with a remark", "note", len(indices), what, "uses them", groups)
