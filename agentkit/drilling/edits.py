"""Edits that leave a file as valid as it was. Bytes in, bytes out.

An edit adds a small function (a list item in text) or, where the agent's function of that slot exists,
changes the numbers in it. Files therefore stop growing after SLOTS edits of an agent, however long it runs.
"""

from __future__ import annotations

SLOTS = 8
LARGEST = {"python": 128 * 1024, "rust": 512 * 1024, "text": 512 * 1024}
_SUFFIXES = {
    ".py": "python",
    ".rs": "rust",
    ".md": "text",
    ".markdown": "text",
    ".txt": "text",
    ".rst": "text",
}
# Text that programs read, and directories whose files are data or belong to somebody else.
_READ_BY_PROGRAMS = ("requirements", "constraints", "cmakelists", "robots", "license", "copying", "version")
_NOT_OURS = frozenset(
    (
        "fixtures",
        "fixture",
        "testdata",
        "test_data",
        "snapshots",
        "golden",
        "vendor",
        "third_party",
        "node_modules",
    )
)


class NotEditable(Exception):
    """This file is left alone; the text says why."""


def language_of(path: str) -> str:
    """python, rust, text, or nothing for a file that isn't ours to edit."""
    *directories, name = path.split("/")
    stem, dot, suffix = name.rpartition(".")
    language = _SUFFIXES.get((dot + suffix).lower(), "") if stem else ""
    if any(part in _NOT_OURS or part.startswith(".") for part in directories) or name.startswith("."):
        return ""
    if language == "rust" and "src" not in directories and name != "build.rs":
        return ""  # tests and examples that other files include can be less than a module
    if language == "text" and name.lower().startswith(_READ_BY_PROGRAMS):
        return ""
    return language


def edit(content: bytes, language: str, *, agent: str, slot: int, factor: int, number: int) -> bytes:
    """The edited content, never equal to the old. Raises NotEditable."""
    if b"\0" in content:
        raise NotEditable("binary")
    if len(content) > LARGEST[language]:
        raise NotEditable("too large")
    if language == "rust":
        require_rust_module(content)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    head, changing, tail, gap = _shape(language, agent, slot, factor, number)
    edited = _replaced(content, head, changing, newline) or _added(
        content, head + changing + tail, gap, newline
    )
    if edited == content:  # a drill that was started again repeats itself
        return edit(content, language, agent=agent, slot=slot, factor=factor, number=number + 1)
    if language == "python":
        require_python(edited)
    return edited


def slug_of(agent: str) -> str:
    """The agent's name as part of an identifier."""
    short = agent.lower()[-48:]
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in short) or "solo"


def require_python(content: bytes) -> None:
    import warnings  # what the file's own code is warned about isn't ours to print

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, "<edited>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise NotEditable(f"not valid Python: {error}") from error


def require_rust_module(content: bytes) -> None:
    """A file that other code includes can be an expression; only where items stand, a function may follow."""
    lines = [line.strip() for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    code = [line for line in lines if line and not line.startswith(b"//")]
    if not code:
        return
    if code[0][:1] in b"{[(\"'&" or code[0][:1].isdigit():
        raise NotEditable("not a Rust module")
    last = code[-1].partition(b"//")[0].rstrip()
    if not (last.endswith((b"}", b";", b"*/")) or last.startswith(b"#![")):
        raise NotEditable("not a Rust module")


def _shape(language: str, agent: str, slot: int, factor: int, number: int) -> tuple[bytes, bytes, bytes, int]:
    """The line that names the slot, the line that changes, the end, and the empty lines before it."""
    name = f"drill_{slug_of(agent)}_{slot}"
    if language == "python":
        return (
            f"def {name}(value: int) -> int:\n    return ".encode(),
            f"value * {factor} + {number}\n".encode(),
            b"",
            2,
        )
    if language == "rust":
        # The underscore keeps the lint for unused code quiet without an attribute that a crate could forbid.
        head = f"fn _{name}(value: u64) -> u64 {{\n    "
        return head.encode(), f"value.wrapping_mul({factor}).wrapping_add({number})\n".encode(), b"}\n", 1
    return f"- {name}: ".encode(), f"{factor} times, then {number} more\n".encode(), b"", 1


def _replaced(content: bytes, head: bytes, changing: bytes, newline: bytes) -> bytes | None:
    head, changing = head.replace(b"\n", newline), changing.replace(b"\n", newline)
    first_line = head.split(newline)[0]
    place = b"\n" + content
    at = place.find(b"\n" + head)
    if at < 0:
        if b"\n" + first_line in place:
            raise NotEditable("its function was changed by somebody else")
        return None
    end = content.find(newline, at + len(head))
    if end < 0:
        return content[: at + len(head)] + changing
    return content[: at + len(head)] + changing + content[end + len(newline) :]


def _added(content: bytes, block: bytes, gap: int, newline: bytes) -> bytes:
    if not content:
        return block.replace(b"\n", newline)
    end = b"" if content.endswith(b"\n") else newline
    # List items follow each other; functions keep their distance.
    last = content.rstrip().rpartition(b"\n")[2]
    space = 0 if block.startswith(b"- ") and last.startswith(b"- ") else gap
    return content + end + newline * space + block.replace(b"\n", newline)
