"""The web process with one more region: a kilobyte that is another at each render. For `fanout.py` alone."""

import itertools

from controlplane import asgi

application = asgi.application  # which sets Django up

# Only now: these read models.
from apps.console.catalogue import REGIONS  # noqa: E402
from apps.console.moment import Moment  # noqa: E402
from apps.console.regions import Fragment, Region, View  # noqa: E402

SIZE = 1_000
turns = itertools.count()


def render(view: View, moment: Moment) -> Fragment:
    text = f"{next(turns):010}"
    return Fragment.simple(f"<div {view.attributes}>{text * (SIZE // len(text))}</div>")


REGIONS["bench"] = Region("bench", render)
