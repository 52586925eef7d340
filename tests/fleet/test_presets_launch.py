"""One launch of a preset: arguments, environment, stdin, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apps.fleet.domain.preset import LaunchRefused, LaunchValues, launch_environment, parse_preset, render
from apps.fleet.presets import load_presets

HOSTILE = "-rf $(reboot) `id` {workspace} {command…} 'a' \"b\"\n; rm *"


def make_preset(argv, **keys):
    return parse_preset("mine", {"argv": argv, "executable": "tool", **keys})


def make_values(**overrides):
    values = {
        "workspace": "/yard/work space",
        "prompt": "Fix the build",
        "prompt_file": "/yard/run/prompt.txt",
        "session_id": "7d9b1f6e-0000-4000-8000-000000000001",
        "git_dir": "/yard/repo/.git/worktrees/a1",
        "python": sys.executable,
        "project": "/yard/project",
    }
    return LaunchValues(**{**values, **overrides})


def test_a_value_stays_one_argument_and_is_not_read_again():
    preset = make_preset(["tool", "--", "{prompt}", "--in={workspace}"])

    launch = render(preset, make_values(prompt=HOSTILE))

    assert launch.argv == ["tool", "--", HOSTILE, "--in=/yard/work space"]


def test_a_command_becomes_its_own_arguments_untouched():
    launch = render(load_presets()["command"], make_values(command=("make", "a b", "", "{prompt}")))

    assert launch.argv == ["make", "a b", "", "{prompt}"]


def test_a_prompt_that_could_be_taken_for_an_option_is_refused():
    preset = make_preset(["tool", "{prompt}"])

    assert render(preset, make_values()).argv == ["tool", "Fix the build"]
    with pytest.raises(LaunchRefused, match="mine would take this prompt for an option"):
        render(preset, make_values(prompt="--yolo"))


@pytest.mark.parametrize("argv", [["tool", "--", "{prompt}"], ["tool", "--prompt={prompt}"]])
def test_a_prompt_that_starts_with_a_dash_passes_where_it_is_safe(argv):
    assert render(make_preset(argv), make_values(prompt="--yolo")).argv[-1].endswith("--yolo")


@pytest.mark.parametrize("name", ["claude-code", "codex", "gemini", "opencode"])
def test_agents_get_the_prompt_on_stdin_and_never_as_an_argument(name):
    launch = render(load_presets()[name], make_values(prompt=HOSTILE))

    assert launch.stdin == HOSTILE.encode()
    assert HOSTILE not in launch.argv


@pytest.mark.parametrize("name", ["aider", "drill", "command"])
def test_stdin_is_closed_for_the_others(name):
    assert render(load_presets()[name], make_values(command=("true",))).stdin is None


@pytest.mark.parametrize("name", ["claude-code", "codex", "gemini", "opencode", "aider"])
@pytest.mark.parametrize("prompt", ["", " \n"])
def test_an_agent_without_a_prompt_is_refused(name, prompt):
    with pytest.raises(LaunchRefused, match=f"The preset {name} needs a prompt"):
        render(load_presets()[name], make_values(prompt=prompt))


def test_a_command_preset_without_a_command_is_refused():
    with pytest.raises(LaunchRefused, match="needs a command: give it after --"):
        render(load_presets()["command"], make_values())


def test_a_command_for_a_preset_that_takes_none_is_refused():
    with pytest.raises(LaunchRefused, match="takes no command"):
        render(make_preset(["tool"]), make_values(command=("x",)))


@pytest.mark.parametrize("values", [{"prompt": "a\0b"}, {"command": ("a", "b\0")}, {"workspace": "/a\0"}])
def test_a_nul_byte_is_refused(values):
    with pytest.raises(LaunchRefused, match="NUL byte"):
        render(load_presets()["claude-code"], make_values(**values))


def test_an_argument_longer_than_the_system_takes_is_refused():
    preset = make_preset(["tool", "--", "{prompt}"])
    longest = "é" * 65_535

    assert subprocess.run(["true", *render(preset, make_values(prompt=longest)).argv[1:]], check=True)
    with pytest.raises(LaunchRefused, match="An argument has 131072 bytes; the system allows 131071"):
        render(preset, make_values(prompt=longest + "xx"))


def test_a_missing_value_is_refused_by_its_name():
    with pytest.raises(LaunchRefused, match="The preset aider needs a prompt file"):
        render(load_presets()["aider"], make_values(prompt_file=""))


def test_a_group_is_left_out_when_it_has_no_value():
    argv = render(load_presets()["codex"], make_values(git_dir="")).argv

    assert "--add-dir" not in argv
    assert not [argument for argument in argv if "otel.metrics_exporter" in argument]
    assert argv[-2:] == ["otel.log_user_prompt=false", "-"]


def test_codex_may_write_what_a_commit_writes_and_no_more():
    argv = render(load_presets()["codex"], make_values()).argv

    writable = [argv[index + 1] for index, word in enumerate(argv) if word == "--add-dir"]
    common = "/yard/repo/.git"
    assert writable == [f"{common}/worktrees/a1", f"{common}/objects", f"{common}/refs", f"{common}/logs"]


def test_a_checkout_of_its_own_has_one_git_directory():
    assert LaunchValues(git_dir="/yard/repo/.git").git_common_dir == "/yard/repo/.git"


def test_options_of_the_operator_come_before_the_end_of_options():
    argv = render(load_presets()["codex"], make_values(command=("--model", "o9"))).argv

    assert argv[-3:] == ["--model", "o9", "-"]


def test_claude_code_inherits_sign_in_but_no_surrounding_session():
    launch = render(load_presets()["claude-code"], make_values())
    inherited = {
        "PATH": "/bin",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SSE_PORT": "1234",
        "CLAUDE_CODE_OAUTH_TOKEN": "secret",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_API_KEY": "key",
    }

    environment = launch_environment(launch, inherited)

    assert set(environment) - set(launch.env_add) == {
        "PATH",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "ANTHROPIC_API_KEY",
    }


def test_what_is_added_wins_over_what_is_inherited():
    launch = render(load_presets()["opencode"], make_values())

    environment = launch_environment(launch, {"OPENCODE_PERMISSION": "ask", "OPENCODE_PID": "7"})

    assert json.loads(environment["OPENCODE_PERMISSION"]) == {"*": "allow"}
    assert "OPENCODE_PID" not in environment


def test_a_variable_without_its_value_is_left_out():
    command = load_presets()["command"]

    assert render(command, make_values(command=("true",))).env_add == {
        "SWARMYARD_PROMPT_FILE": "/yard/run/prompt.txt"
    }
    assert render(command, make_values(command=("true",), prompt_file="")).env_add == {}


def write_module(directory: Path, text: str) -> None:
    (directory / "agentkit").mkdir(parents=True)
    (directory / "agentkit" / "__init__.py").write_text("")
    (directory / "agentkit" / "drill.py").write_text(text)


def test_the_drill_starts_from_the_project_and_leaves_no_trace_in_its_environment(tmp_path):
    write_module(
        tmp_path / "project", "import json, os, sys\nprint(json.dumps([sys.argv[1:], sorted(os.environ)]))\n"
    )
    write_module(tmp_path / "workspace", "raise SystemExit('taken from the workspace')\n")
    (tmp_path / "workspace" / "json.py").write_text("raise SystemExit('taken from the workspace')\n")
    options = ("--operations", "20", "--note", "a b")
    values = make_values(project=str(tmp_path / "project"), command=options)
    launch = render(load_presets()["drill"], values)

    done = subprocess.run(
        launch.argv,
        cwd=tmp_path / "workspace",
        env=launch_environment(launch, {"ONLY": "1"}),
        capture_output=True,
        check=True,
    )

    arguments, variables = json.loads(done.stdout)
    assert arguments == list(options)
    assert "PYTHONPATH" not in variables
    assert "ONLY" in variables
