"""What every route needs: the desk of its application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from convscope.studio.desk import Desk


def the_desk(request: Request) -> Desk:
    """The desk that the application was built with."""
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(the_desk)]
