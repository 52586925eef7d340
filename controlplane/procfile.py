"""The Procfile as argument lists: no shell starts our processes."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from honcho.environ import parse_procfile


def commands(path: Path, values: Mapping[str, str]) -> dict[str, list[str]]:
    """Process name -> argv, with `$NAME` filled in and `python` meaning the interpreter that runs this."""
    found = {}
    for name, line in parse_procfile(path.read_text()).processes.items():
        words = [Template(word).substitute(values) for word in shlex.split(line)]
        found[name] = [sys.executable if word == "python" else word for word in words[:1]] + words[1:]
    return found
