from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.drilling.edits import SLOTS, NotEditable, edit, language_of

PYTHON = {
    "empty": b"",
    "plain": b"import os\n\n\ndef f():\n    return 1\n",
    "no newline at the end": b"x = 1",
    "windows lines": b"x = 1\r\n\r\nif x:\r\n    x = 2\r\n",
    "open block": b"class A:\n    x = 1\n    # the end",
    "tabs": b"def f():\n\treturn 1\n\t",
    "coding cookie": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    "byte order mark": b"\xef\xbb\xbfx = 1\n",
    "docstring": b'"""only\nthis"""',
    "future": b"from __future__ import annotations\nx: int = 1\n",
    "form feed": b"x = 1\n\x0c\n",
    "odd escapes": b"x = '\\d'\n",
}
RUST = {
    "empty": b"",
    "plain": b"//! A module.\n\npub fn f() -> u8 {\n    1\n}\n",
    "no_newline": b"pub struct A;",
    "windows_lines": b"pub fn f() -> u8 {\r\n    1\r\n}\r\n",
    "comment_at_the_end": b"pub const A: u8 = 1; // one\n// the end",
    "block_comment_at_the_end": b"pub const A: u8 = 1;\n/* the\nend */",
    "tests_at_the_end": b"#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n",
    "inner_attribute": b"#![allow(unused_imports)]\n",
    "macro_alone": b"macro_rules! m { () => {}; }\npub fn g() { m!(); }\n",
}


def times(content: bytes, language: str, slots: list[int], agent: str = "w1/agent-01") -> bytes:
    for number, slot in enumerate(slots, start=1):
        changed = edit(content, language, agent=agent, slot=slot, factor=number + 1, number=number)
        assert changed != content
        content = changed
    return content


@pytest.mark.parametrize("name", PYTHON)
def test_python_still_compiles(name: str) -> None:
    edited = times(PYTHON[name], "python", [0, 1, 0, 1])
    edited = times(edited, "python", [1], agent="w1/agent-02")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = compile(edited, name, "exec", dont_inherit=True).co_names

    assert {"drill_w1_agent_01_0", "drill_w1_agent_01_1", "drill_w1_agent_02_1"} <= set(names)
    assert edited.startswith(PYTHON[name])


def test_an_edited_python_function_works() -> None:
    namespace: dict[str, object] = {}
    exec(times(b"", "python", [3, 3]), namespace)

    assert namespace["drill_w1_agent_01_3"](10) == 10 * 3 + 2  # type: ignore[operator]


@pytest.mark.skipif(not shutil.which("rustc"), reason="rustc isn't on PATH")
def test_rust_still_compiles_without_a_warning(tmp_path: Path) -> None:
    for name, content in RUST.items():
        edited = times(content, "rust", [0, 1, 0])
        (tmp_path / f"{name}.rs").write_bytes(times(edited, "rust", [0], agent="w1/agent-02"))
    library = tmp_path / "lib.rs"
    library.write_text(
        "#![deny(warnings, missing_docs)]\n//! All.\n" + "".join(f"mod {name};\n" for name in RUST)
    )
    library.write_bytes(
        times(library.read_bytes().replace(b"mod ", b"#[allow(dead_code)] mod "), "rust", [5])
    )

    done = subprocess.run(
        [
            "rustc",
            "--edition",
            "2021",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--out-dir",
            tmp_path,
            library,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert b"fn _drill_w1_agent_01_5(" in library.read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"[1, 2, 3]", b"{ let x = 1; x }", b"(1, 2)", b'"text"', b"vec![1, 2]", b"a + b", b"&[1]", b"42"],
)
def test_a_rust_file_that_is_an_expression_is_left_alone(content: bytes) -> None:
    with pytest.raises(NotEditable):
        times(content, "rust", [0])


@pytest.mark.parametrize(
    "content", [b"def f(:\n", b"print 'two'\n", b"x = (1,\n", b"x = 1 + \\", b"    x\n", b"\xff = 1"]
)
def test_python_that_does_not_compile_is_left_alone(content: bytes) -> None:
    with pytest.raises(NotEditable):
        times(content, "python", [0])


def test_the_file_s_own_warnings_are_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    times(b"x = '\\d'\nx is 1\n", "python", [0])

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("language", ["python", "rust", "text"])
def test_binary_and_very_large_files_are_left_alone(language: str) -> None:
    for content in (b"a\0b", b"#" * 600_000):
        with pytest.raises(NotEditable):
            times(content, language, [0])


@pytest.mark.parametrize("language", ["python", "rust", "text"])
def test_a_file_stops_growing(language: str) -> None:
    once = times(b"", language, list(range(SLOTS)))
    often = times(once, language, list(range(SLOTS)) * 20)

    assert len(often) < len(once) + SLOTS * 10
    assert often.count(b"agent_01_") == SLOTS


@pytest.mark.parametrize("language", ["python", "rust"])
def test_a_function_that_somebody_else_changed_is_left_alone(language: str) -> None:
    changed = times(b"", language, [0]).replace(b"    ", b"  ")

    with pytest.raises(NotEditable):
        times(changed, language, [0])


def test_text_keeps_its_lines_and_gains_a_list() -> None:
    assert times(b"# Title\n\nText", "text", [0, 1]).decode() == (
        "# Title\n\nText\n\n"
        "- drill_w1_agent_01_0: 2 times, then 1 more\n"
        "- drill_w1_agent_01_1: 3 times, then 2 more\n"
    )


@given(
    st.text(max_size=300).filter(lambda text: "\0" not in text),
    st.lists(st.integers(0, 7), min_size=1, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_no_edit_of_text_loses_what_was_there(text: str, slots: list[int]) -> None:
    content = text.encode()

    assert times(content, "text", slots).startswith(content)


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("deep/er/b.PY", "python"),
        ("crates/x/src/lib.rs", "rust"),
        ("src/ui/button.rs", "rust"),
        ("build.rs", "rust"),
        ("tests/ui/fail.rs", ""),
        ("README.md", "text"),
        ("docs/guide.rst", "text"),
        ("-dash.md", "text"),
        ("requirements-dev.txt", ""),
        ("CMakeLists.txt", ""),
        ("LICENSE.txt", ""),
        ("tests/fixtures/page.md", ""),
        ("vendor/lib/a.py", ""),
        (".github/notes.md", ""),
        (".hidden.py", ""),
        (".py", ""),
        ("Makefile", ""),
        ("picture.png", ""),
    ],
)
def test_it_knows_which_files_are_its_to_edit(path: str, language: str) -> None:
    assert language_of(path) == language
