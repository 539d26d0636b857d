"""What to think of a run, in plain words, with the numbers each sentence rests on.

Every rule is a comparison of a few numbers of the history, written out below; nothing is learned or hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from convscope.records.audit import Audit
from convscope.records.run import History, Verdict
from convscope.training.plan import Plan

FEW_PICTURES = 50  # training pictures below which little can be said
OVER_GAP, OVER_RISE = 0.10, 1.15  # accuracy gap; validation loss against its best
UNDER_SHARE = 0.35  # share of the loss of a guess that training should have removed
LEAK_ACCURACY, LEAK_EPOCHS, LEAK_PICTURES = 0.985, 2, 20  # near perfect, at once, on enough pictures
GIVEAWAY_AUC = 0.97  # share of pairs that a trivial feature must put in order to explain such a start
GIVEAWAYS = ("shortcut-size", "shortcut-edge")  # what no task should be told by; brightness may well be the task
WAVERING = 0.05  # rises of the training loss, added up, as a share of a guess's loss
THROWN_UP, STILL_FALLS = 3.0, 0.02  # first loss, and fall of the last epoch, as shares of a guess's loss
RISING_SHARE = 0.03  # gain over the last quarter that says a run is not yet done


@dataclass(frozen=True)
class Giveaway:
    """A trivial feature of the pictures that tells class `label` from the rest in a share `auc` of pairs."""

    feature: str
    label: str
    auc: float


def giveaways(audit: Audit | None) -> tuple[Giveaway, ...]:
    """What the scan found that gives the answer away without looking at what the picture shows, clearest first."""
    found = [f.facts for f in audit.findings if f.kind in GIVEAWAYS] if audit is not None else []
    told = [Giveaway(name, str(n["class"]), float(n["auc"])) for facts in found for name, n in facts.items()]
    return tuple(sorted((g for g in told if g.auc >= GIVEAWAY_AUC), key=lambda g: -g.auc))


@dataclass(frozen=True)
class _Facts:
    """The numbers that the rules read.

    Attributes:
        loss, val_loss: per epoch of the last phase; val_loss may be empty.
        accuracy, val_accuracy: the same; empty for regression.
        guess_loss: cross-entropy of a uniform guess, or None.
        n_train, n_val: pictures; shared: pictures that are on both sides of a split, found by the scan.
        given_away: trivial features that tell the classes, found by the scan.
        ran_all: whether all planned epochs were run.
    """

    loss: list[float]
    val_loss: list[float]
    accuracy: list[float]
    val_accuracy: list[float]
    guess_loss: float | None
    n_train: int
    n_val: int
    shared: int
    given_away: tuple[Giveaway, ...]
    ran_all: bool

    @property
    def early(self) -> float | None:
        """Validation accuracy of the first epochs where it is near perfect, else None."""
        first = self.val_accuracy[:LEAK_EPOCHS]
        return max(first) if first and self.n_val >= LEAK_PICTURES and max(first) >= LEAK_ACCURACY else None


def verdicts(
    history: History,
    plan: Plan,
    *,
    n_train: int,
    n_val: int,
    n_classes: int | None = None,
    shared: int = 0,
    given_away: tuple[Giveaway, ...] = (),
    diverged: bool = False,
) -> tuple[Verdict, ...]:
    """Judge a run.

    Args:
        history: all epochs.
        plan: as it was run.
        n_train: training pictures.
        n_val: validation pictures.
        n_classes: for the loss of a guess, ln(classes); None leaves the rules out that need it.
        shared: pictures that the scan found both in training and in validation or test.
        given_away: see `giveaways`.
        diverged: whether training ended with a loss that is no number.

    Returns:
        What is wrong, gravest first; or one "healthy"; few pictures are always said.
    """
    facts = replace(
        _read(history, plan, n_train=n_train, n_val=n_val, n_classes=n_classes), shared=shared, given_away=given_away
    )
    if diverged or not facts.loss or not all(map(math.isfinite, facts.loss)):
        return (_diverged(facts), *_few(facts))
    found = [v for rule in _RULES for v in rule(facts)]
    if not any(v.kind != "few-pictures" for v in found):
        found.insert(0, _healthy(facts))
    return tuple(found)


def _column(history: History, name: str) -> list[float]:
    return [float(v) for v in history.column(name) if v is not None]


def _read(history: History, plan: Plan, *, n_train: int, n_val: int, n_classes: int | None) -> _Facts:
    last = history.epochs[-1]["phase"] if history.epochs else ""
    rows = History(tuple(row for row in history.epochs if row["phase"] == last))
    planned = plan.head_epochs if last == "head" else plan.epochs
    return _Facts(
        loss=_column(rows, "loss"),
        val_loss=_column(rows, "val_loss"),
        accuracy=_column(rows, "accuracy"),
        val_accuracy=_column(rows, "val_accuracy"),
        guess_loss=math.log(n_classes) if n_classes and n_classes > 1 else None,
        n_train=n_train,
        n_val=n_val,
        shared=0,
        given_away=(),
        ran_all=len(rows.epochs) >= planned,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _diverged(f: _Facts) -> Verdict:
    done = sum(1 for v in f.loss if math.isfinite(v))
    return Verdict(
        "diverged",
        "Training blew up: the loss is no number any more.",
        f"It was finite for {done} epochs. Lower the learning rate or set clipnorm, and look for pictures with NaN.",
        {"finite_epochs": float(done)},
    )


def _leak(f: _Facts) -> list[Verdict]:
    """Copies across the split, or validation near perfect at once and a trivial feature that explains it.

    Near perfect at once alone is no evidence: easy tasks exist, and their curves look the same.
    """
    if f.shared:
        detail = f"{f.shared} pictures are both in training and in validation or test; the scores flatter."
        return [Verdict("leak-suspected", "The same pictures are on both sides.", detail, {"shared": float(f.shared)})]
    if f.early is None or not f.given_away:
        return []
    best = f.given_away[0]
    detail = (
        f"{_percent(f.early)} of {f.n_val} validation pictures were right within {LEAK_EPOCHS} epochs, and the "
        f"{best.feature} alone tells {best.label} from the rest in {_percent(best.auc)} of pairs. Such pictures teach "
        "nothing else: look where the heat lies, and remove the cause (crop, mask, or new pictures)."
    )
    numbers = {"val_accuracy": f.early, "n_val": float(f.n_val), "auc": best.auc}
    return [Verdict("leak-suspected", "The pictures seem to give the answer away.", detail, numbers)]


def _rate_too_high(f: _Facts) -> list[Verdict]:
    """The training loss ends above a guess, jumps by more than it falls, or was thrown up and stays near a guess."""
    if len(f.loss) < 3:
        return []
    best, end = min(f.loss), f.loss[-1]
    jumps = [b - a for a, b in zip(f.loss, f.loss[1:]) if b > a]
    fall = f.loss[0] - end
    above_guess = f.guess_loss is not None and end > 1.15 * f.guess_loss
    wild = sum(jumps) > 0.5 * max(fall, 0.0) and max(jumps, default=0.0) > 0.25 * max(best, 1e-3) and end > 1.2 * best
    if _has_just_begun(f, jumps) or not (above_guess or wild or _is_stuck(f, jumps)):
        return []
    guess = "" if f.guess_loss is None else f" A guess would have {f.guess_loss:.3g}."
    detail = (
        f"The training loss ends at {end:.3g}, its lowest was {best:.3g}, and it rose in {len(jumps)} of "
        f"{len(f.loss) - 1} steps from epoch to epoch.{guess} Divide the learning rate by 10."
    )
    numbers = {"end_loss": end, "best_loss": best, "rises": float(len(jumps))}
    return [Verdict("learning-rate-too-high", "The learning rate is too high.", detail, numbers)]


def _has_just_begun(f: _Facts, jumps: list[float]) -> bool:
    """The loss started not far above a guess, fell at every step, and falls still: stopped too early to say."""
    if f.guess_loss is None or jumps:
        return False
    return f.loss[0] < THROWN_UP * f.guess_loss and f.loss[-2] - f.loss[-1] > STILL_FALLS * f.guess_loss


def _is_stuck(f: _Facts, jumps: list[float]) -> bool:
    """Near a guess after a first epoch far above it, or after visible jumps in a third of the steps: dead units.

    A milder throw leaves some units alive: the loss then wavers far from zero, or ends above a guess.
    """
    if f.guess_loss is None:
        return False
    left, thrown = f.loss[-1] / f.guess_loss, f.loss[0] / f.guess_loss
    jumpy = len(jumps) >= 0.3 * (len(f.loss) - 1) and max(jumps, default=0.0) > 0.05 * f.guess_loss
    wavers = sum(jumps) > WAVERING * f.guess_loss
    return (left >= 1 - UNDER_SHARE and (thrown > 1.5 or jumpy)) or (
        left >= 0.45 and thrown > 1.1 and (wavers or left > 1)
    )


def _over(f: _Facts) -> list[Verdict]:
    """Validation loss well above its best while training loss still falls, and a gap in accuracy where there is one."""
    if len(f.val_loss) < 4:
        return []
    best = min(f.val_loss)
    place = f.val_loss.index(best)
    tail = f.val_loss[-max(1, len(f.val_loss) // 4) :]
    recent = sum(tail) / len(tail)
    has_risen = recent > OVER_RISE * best and place < len(f.val_loss) - 2
    still_falls = f.loss[-1] < f.loss[place] * 0.9
    gap = f.accuracy[-1] - f.val_accuracy[-1] if f.accuracy and f.val_accuracy else None
    if not (has_risen and still_falls and (gap is None or gap > OVER_GAP)):
        return []
    numbers = {"best_val_loss": best, "best_epoch": float(place + 1), "recent_val_loss": recent, "end_loss": f.loss[-1]}
    words = "" if gap is None else f" Accuracy: {_percent(f.accuracy[-1])} trained, {_percent(f.val_accuracy[-1])} not."
    if gap is not None:
        numbers["accuracy_gap"] = gap
    now = "now" if len(tail) == 1 else f"in the mean of the last {len(tail)} epochs"
    detail = (
        f"Validation loss was best ({best:.3g}) in epoch {place + 1} and is {recent:.3g} {now}, while training loss "
        f"went on to {f.loss[-1]:.3g}.{words} Use more augmentation, dropout or weight decay, or more pictures."
    )
    return [Verdict("over-fitting", "The network learns the training pictures by heart.", detail, numbers)]


def _under(f: _Facts) -> list[Verdict]:
    """Training itself stays near a guess, and no longer falls."""
    if f.guess_loss is None or len(f.loss) < 3 or _rate_too_high(f):
        return []
    removed = 1 - f.loss[-1] / f.guess_loss
    if removed >= UNDER_SHARE:
        return []
    detail = (
        f"The training loss ends at {f.loss[-1]:.3g}; a guess has {f.guess_loss:.3g}. Train longer, with a larger "
        "network or a higher learning rate, or with less regularisation."
    )
    numbers = {"end_loss": f.loss[-1], "guess_loss": f.guess_loss, "removed": removed}
    return [Verdict("under-fitting", "The network has learned little, even of its training pictures.", detail, numbers)]


def _not_done(f: _Facts) -> list[Verdict]:
    """All planned epochs were run and validation loss still falls at the end."""
    if not f.ran_all or len(f.val_loss) < 8 or _under(f) or _over(f) or _rate_too_high(f):
        return []
    quarter = len(f.val_loss) // 4
    before, after = min(f.val_loss[:-quarter]), min(f.val_loss[-quarter:])
    gain = (before - after) / max(before, 1e-9)
    worth = f.guess_loss is None or (before - after) > RISING_SHARE * f.guess_loss
    if gain <= RISING_SHARE or not worth:
        return []
    detail = f"Validation loss fell from {before:.3g} to {after:.3g} in the last {quarter} epochs. Go on with --resume."
    numbers = {"before": before, "after": after, "epochs": float(quarter)}
    return [Verdict("not-yet-done", "The run is not yet done.", detail, numbers)]


def _few(f: _Facts) -> list[Verdict]:
    if f.n_train >= FEW_PICTURES:
        return []
    detail = f"{f.n_train} training and {f.n_val} validation pictures; one picture more changes the scores a lot."
    return [Verdict("few-pictures", "There are few pictures.", detail, {"n_train": float(f.n_train)})]


def _healthy(f: _Facts) -> Verdict:
    val = f" and validation loss from {f.val_loss[0]:.3g} to {min(f.val_loss):.3g}" if f.val_loss else ""
    has_fallen = f.loss[-1] < f.loss[0]
    went = "fell" if has_fallen else "went"
    detail = f"Training loss {went} from {f.loss[0]:.3g} to {f.loss[-1]:.3g}{val} in {len(f.loss)} epochs."
    if f.early is not None:
        detail += (
            f" Validation was near perfect at once ({_percent(f.early)}): the task is easy, or something besides what "
            "is meant tells the classes apart; look at the heat maps before you trust it."
        )
    title = "Nothing is wrong with these curves." if has_fallen else "These curves say nothing yet."
    return Verdict("healthy", title, detail, {"end_loss": f.loss[-1]})


_RULES: tuple[Callable[[_Facts], list[Verdict]], ...] = (_leak, _rate_too_high, _over, _under, _not_done, _few)
