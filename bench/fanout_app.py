"""The web process with one more region: a kilobyte that is another at each render. For `fanout.py` alone."""

import itertools

# Only now: the line above sets Django up.
from apps.console.catalogue import REGIONS
from apps.console.moment import Moment
from apps.console.regions import Fragment, Region, View
from controlplane.asgi import application

__all__ = ["application"]

SIZE = 1_000
turns = itertools.count()


def render(view: View, moment: Moment) -> Fragment:
    text = f"{next(turns):010}"
    return Fragment.simple(f"<div {view.attributes}>{text * (SIZE // len(text))}</div>")


REGIONS["bench"] = Region("bench", render)
