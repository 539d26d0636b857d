"""The list of commands, the options that all share, and errors as one line.

Exit codes: 0 done, 2 a mistake that the message explains, 130 stopped by Ctrl-C, 143 by a termination request.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convscope.cli.front_page import asks_for_front_page, front_page
from convscope.errors import ConvscopeError

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

HELP = """Train a convolutional network on your pictures,
and see why it says what it says.

Start here:
convscope scan pictures/       what is in there, what is wrong with it
convscope train pictures/      train, and write a run folder with a report
convscope look last photo.jpg  the maps, filters and heat behind one answer

RUN is a run folder, or `last` for the newest one below runs/.
Every command also takes --backend tensorflow|jax|torch, and --debug."""

COMMANDS = {
    "scan": ("convscope.cli.data:scan", "What is in a folder or table of pictures, and what is wrong."),
    "train": ("convscope.cli.train:train", "Train a network and write a run folder."),
    "tune": ("convscope.cli.tune:tune", "Try many plans on your pictures and report the best."),
    "plan": ("convscope.cli.train:plan", "A commented plan with every option: convscope plan > plan.toml"),
    "evaluate": ("convscope.cli.results:evaluate", "How right a trained network is, on its test pictures or on DATA."),
    "predict": ("convscope.cli.results:predict", "What a trained network says of FILES, as CSV and JSON."),
    "report": ("convscope.cli.results:report", "Write the report of a run: one HTML file."),
    "keep": ("convscope.cli.results:keep", "Put a picture with words into the report of a run."),
    "look": ("convscope.cli.inside:look", "Feature maps, filters and Grad-CAM for FILES."),
    "explain": ("convscope.cli.explain:explain", "Why the network says so: heat maps by many methods, and one page."),
    "judge": ("convscope.cli.believe:judge", "Which explanations can be believed: measures and sanity checks."),
    "survey": ("convscope.cli.believe:survey", "Heat over a whole data set: right for the wrong reason comes first."),
    "visualise": ("convscope.cli.imagine:visualise", "Pictures that fire a class, a channel or a whole layer most."),
    "dream": ("convscope.cli.imagine:dream", "Deep dream: pictures changed so that a layer answers more strongly."),
    "layers": ("convscope.cli.scope:layers", "Every layer: shape, receptive field, parameters, multiply-adds, memory."),
    "arithmetic": ("convscope.cli.scope:arithmetic", "The sum behind one value, down to the single multiplication."),
    "change": ("convscope.cli.scope:change", "A copy of a network with numbers of your own; look what follows."),
    "field": ("convscope.cli.scope:field", "Which pixels a layer or one value can see, exactly."),
    "units": ("convscope.cli.scope:units", "What the filters of a layer do over a data set."),
    "store": ("convscope.cli.scope:store", "Write the feature maps of a whole data set; bounded memory, resumable."),
    "compare": (
        "convscope.cli.scope:compare",
        "The same pictures through two models, two epochs or two back ends, layer by layer.",
    ),
    "embed": ("convscope.cli.scope:embed", "Every picture as a point, as one layer sees it, coloured by class."),
    "studio": ("convscope.cli.studio:studio", "See and do all of it in the browser, on this computer only."),
    "models": ("convscope.cli.machine:models", "Which networks can be trained, and which weights are here."),
    "doctor": ("convscope.cli.machine:doctor", "Which back ends and devices work here, and how fast."),
    "demo": ("convscope.cli.demo:demo", "The whole way on real pictures from pip: convscope demo cells, or brain"),
}


HEADINGS = {"scan": "From pictures to a network", "explain": "Why it says so", "layers": "Inside it", "studio": "More"}


def build_app() -> App:
    """Make the application; no command is imported yet."""
    from cyclopts import App, Parameter
    from rich.console import Console

    from convscope import __version__
    from convscope.cli.help_panels import FlowingHelp

    console = Console(highlight=False, emoji=False)
    app = App(
        name="convscope",
        help=HELP,
        version=__version__,
        console=console,
        help_format="plaintext",
        help_formatter=FlowingHelp(),
        default_parameter=Parameter(negative_iterable=()),  # no --empty-filters and the like
        suppress_keyboard_interrupt=False,  # `run` says where a stopped training can go on
    )
    for place, (name, (target, words)) in enumerate(COMMANDS.items()):
        app.command(target, name=name, help=words, sort_key=place)
    return app


def _shared_options(tokens: list[str]) -> tuple[list[str], bool, str | None]:
    """Take --debug and --backend out, wherever they stand before a bare `--`."""
    kept: list[str] = []
    debug, backend = False, None
    rest = iter(tokens)
    for token in rest:
        if token == "--":
            kept += [token, *rest]
        elif token == "--debug":
            debug = True
        elif token == "--backend":
            backend = next(rest, "")
        elif token.startswith("--backend="):
            backend = token.partition("=")[2]
        else:
            kept.append(token)
    return kept, debug, backend


def one_line(text: str) -> str:
    """Make a message one printable line: control characters (file names may hold them) are escaped."""
    flat = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in flat)


def _reason(error: CycloptsError) -> str:
    """The message; where our own check refused a value, ours and not the frames around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConvscopeError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    words = str(error)
    if words.startswith("Unused Tokens"):
        unused = " ".join(getattr(error, "unused_tokens", None) or ())
        return f"did not expect {unused}; see --help. Commas join the values of an option: --image-size 96,128"
    return words.rpartition("Value error, ")[2].partition(" [type=")[0] if "Value error, " in words else words


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    # TensorFlow's notes on tracing and memory are for authors, not for users; its errors still come through
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    tokens, debug, backend = _shared_options(list(sys.argv[1:] if argv is None else argv))
    try:
        if backend is not None:
            from convscope.backend.selection import set_backend

            set_backend(backend)
        if asks_for_front_page(tokens):
            sys.stdout.write(front_page(HELP, COMMANDS, HEADINGS))
            return 0
        return _command(tokens, debug)
    except ConvscopeError as error:
        if debug:
            raise
        return _say(str(error), 2)
    except KeyboardInterrupt as stop:
        # a training run stops with a checkpoint and its own code
        return _say(str(stop) or "stopped", int(getattr(stop, "exit_code", 130)))
    except BrokenPipeError:  # the reader of a pipe has enough (`| head`)
        return 0
    except Exception as error:  # the last resort: a fault of ours is one line too
        if debug:
            raise
        kind = type(error).__name__
        return _say(f"a fault in convscope ({kind}: {one_line(str(error))[:300]}); run again with --debug", 1)


def _command(tokens: list[str], debug: bool) -> int:
    from cyclopts import CycloptsError

    try:
        code = build_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        if debug:
            raise
        return _say(_reason(error), 2)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    """Write a message as one line on standard error; return the exit code."""
    sys.stderr.write(f"convscope: {one_line(message)}\n")
    return code
