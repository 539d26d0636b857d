"""`convscope studio`: the local page on which to train, look inside and understand."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from convscope.cli.screen import say


def studio(paths: list[str] | None = None, /, *, port: int = 0, open_browser: bool = True) -> None:
    """Open the studio in the browser; it runs on this computer only, until Ctrl-C.

    Args:
        paths: runs, models (bundles, .keras files) and pictures to open; runs below runs/ are always open.
        port: of the address on this computer; 0 takes a free one.
        open_browser: open the page; the link is printed in any case.
    """
    from convscope.studio.start import serve

    def ready(link: str) -> None:
        say("The studio runs on this computer only. Its link, for this browser and for nobody else:")
        say(link)
        say("Ctrl-C stops it; a training that was begun goes on.")
        if open_browser:
            webbrowser.open(link)

    serve(paths or [], port=port, runs=Path("runs"), ready=ready)
