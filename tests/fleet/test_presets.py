"""Preset files: what comes with Swarmyard, what an operator adds, and what is refused."""

from pathlib import Path

import pytest

from apps.fleet.domain.preset import PresetError, parse_preset
from apps.fleet.presets import find_executable, load_presets

MINIMAL = {"argv": ["tool"], "executable": "tool"}


def write_preset(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.toml"
    path.write_text(text)
    return path


def write_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_it_comes_with_seven_presets_in_order():
    presets = load_presets()

    assert list(presets) == ["aider", "claude-code", "codex", "command", "drill", "gemini", "opencode"]
    assert all(preset.install_hint for preset in presets.values())


def test_it_budgets_400_mb_for_an_agent_unless_it_was_seen_to_need_another_size():
    budgets = {name: preset.memory_budget_mb for name, preset in load_presets().items()}

    assert (budgets.pop("drill"), budgets.pop("opencode"), budgets.pop("aider")) == (60, 700, 700)
    assert set(budgets.values()) == {400}


def test_no_hard_memory_limit_is_on_by_default():
    assert {preset.memory_limit_mb for preset in load_presets().values()} == {None}


def test_no_built_in_preset_puts_a_prompt_where_it_could_be_an_option():
    for preset in load_presets().values():
        assert "{prompt}" not in str(preset.argv)


def test_an_operators_file_replaces_the_built_in_one(tmp_path):
    write_preset(tmp_path, "codex", 'argv = ["my-codex"]\nexecutable = "my-codex"\n')

    codex = load_presets(tmp_path)["codex"]

    assert codex.argv == ("my-codex",)
    assert codex.parser == "plain"


def test_an_operators_file_may_extend_a_built_in_one(tmp_path):
    write_preset(
        tmp_path, "opencode-big", 'extends = "opencode"\nmemory_budget_mb = 900\n[env_add]\nEXTRA = "1"\n'
    )

    presets = load_presets(tmp_path)

    assert presets["opencode-big"].memory_budget_mb == 900
    assert presets["opencode-big"].argv == presets["opencode"].argv
    assert presets["opencode-big"].env_add == {**presets["opencode"].env_add, "EXTRA": "1"}


def test_a_missing_directory_of_the_operators_is_no_error(tmp_path):
    assert load_presets(tmp_path / "none") == load_presets()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("argv = [", "can't be read"),
        ('extends = "nobody"', "extends must name one of aider, claude-code"),
        ("# " + "x" * 70_000, "more than 65536 bytes"),
    ],
)
def test_a_broken_file_of_the_operators_is_named(tmp_path, text, said):
    write_preset(tmp_path, "mine", text)

    with pytest.raises(PresetError, match=said) as refusal:
        load_presets(tmp_path)

    assert "mine" in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"argz": ["x"]}, "unknown key 'argz'"),
        ({"argv": "tool --all"}, "a shell string is never run"),
        ({"argv": []}, "argv is empty"),
        ({"argv": ["tool", 7]}, "argv must hold texts"),
        ({"argv": ["tool", [["x"]]]}, "argv must hold texts"),
        ({"argv": ["tool", "a\0b"]}, "argv must hold texts"),
        ({"argv": ["tool", "{promt}"]}, "unknown placeholder {promt}"),
        ({"env_add": {"A": "{home}"}}, "unknown placeholder {home}"),
        ({"argv": ["tool", "--do={command…}"]}, "an argument of its own"),
        ({"argv": ["tool", "{command}"]}, "with its dots"),
        ({"argv": ["tool", "{prompt...}"]}, "nothing else takes dots"),
        ({"executable": ""}, "executable must be a text"),
        ({"executable": "{workspace}/run"}, "executable must be a name, a path, {python} or {command}"),
        ({"parser": "claud"}, "unknown parser 'claud'; known are aider, claude"),
        ({"stdin": "open"}, 'stdin must be "closed" or "prompt"'),
        ({"memory_budget_mb": 0}, "memory_budget_mb must be a whole number of MB"),
        ({"memory_budget_mb": True}, "memory_budget_mb must be a whole number of MB"),
        ({"memory_budget_mb": 500, "memory_limit_mb": 400}, "memory_limit_mb 400 is below"),
        ({"end_on_result": "yes"}, "end_on_result must be true or false"),
        ({"env_remove": "CLAUDECODE"}, "env_remove must be a list"),
        ({"env_remove": ["A B"]}, "env_remove must be a list"),
        ({"env_add": {"1A": "x"}}, "env_add.1A must be the name of a variable"),
        ({"env_add": {"A": 1}}, "env_add.A must be the name of a variable"),
        ({"needs_command": True}, "argv has no {command…}"),
        ({"needs_prompt": True}, "needs_prompt is true, but stdin"),
    ],
)
def test_a_preset_that_is_wrong_says_what_to_change(change, said):
    with pytest.raises(PresetError) as refusal:
        parse_preset("mine", MINIMAL | change)

    assert str(refusal.value).startswith("preset mine: ")
    assert said in str(refusal.value)


@pytest.mark.parametrize("missing", ["argv", "executable"])
def test_a_preset_without_its_program_is_refused(missing):
    mapping = {key: value for key, value in MINIMAL.items() if key != missing}

    with pytest.raises(PresetError, match=f"{missing} is missing"):
        parse_preset("mine", mapping)


@pytest.mark.parametrize("name", ["", "-x", "A", "a b", "a/b", "a" * 41])
def test_a_name_that_is_no_plain_word_is_refused(name):
    with pytest.raises(PresetError, match="its name must be"):
        parse_preset(name, MINIMAL)


def test_json_in_a_variable_is_not_taken_for_placeholders():
    preset = parse_preset("mine", MINIMAL | {"env_add": {"RULES": '{"*":"allow","bash":{"*":"deny"}}'}})

    assert preset.env_add["RULES"] == '{"*":"allow","bash":{"*":"deny"}}'


def test_it_finds_the_program_in_the_path_it_is_given_alone(tmp_path):
    program = write_program(tmp_path / "bin" / "codex")
    codex = load_presets()["codex"]

    assert find_executable(codex, str(tmp_path / "bin")) == program
    assert find_executable(codex, str(tmp_path)) is None
    assert find_executable(codex, "") is None


def test_a_file_that_may_not_be_run_is_not_a_program(tmp_path):
    write_program(tmp_path / "codex").chmod(0o644)

    assert find_executable(load_presets()["codex"], str(tmp_path)) is None


def test_the_program_of_a_command_is_its_first_word(tmp_path):
    program = write_program(tmp_path / "bin" / "build")
    preset = load_presets()["command"]

    assert find_executable(preset, str(tmp_path / "bin"), command=["build", "all"]) == program
    assert find_executable(preset, "", command=["bin/build"], workspace=tmp_path) == program
    assert find_executable(preset, "", command=["bin/none"], workspace=tmp_path) is None
    assert find_executable(preset, str(tmp_path / "bin")) is None
