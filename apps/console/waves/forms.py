"""The form for a new wave: text fields in, a WaveRequest out."""

import shlex
from typing import Any
from uuid import uuid4

from django import forms

from apps.fleet.domain.preset import Preset, PresetError
from apps.fleet.models import RestartPolicy
from apps.fleet.places import presets_dir
from apps.fleet.presets import load_presets
from apps.waves.domain.request import MAX_AGENTS, MAX_BUDGET_MB, MAX_PAUSE_MS, MAX_STEP, WaveRequest
from apps.workspaces.models import Repository, RepositoryState

MAX_COMMAND = 20_000


def known_presets() -> tuple[dict[str, Preset], str]:
    """Presets by name, and what is wrong with the operator's own files if something is."""
    try:
        return load_presets(presets_dir()), ""
    except PresetError as error:
        return load_presets(), str(error)


def repository_choices() -> list[tuple[str, str]]:
    """Names and words, those that agents can work on first."""
    rows = list(Repository.objects.order_by("name").values_list("name", "state"))
    ready = [(name, name) for name, state in rows if state == RepositoryState.READY]
    return ready + [(name, f"{name} ({state})") for name, state in rows if state != RepositoryState.READY]


class WaveForm(forms.Form):
    title = forms.CharField(
        required=False, max_length=120, label="Title", help_text="for people; may stay empty"
    )
    repository = forms.ChoiceField(label="Repository", error_messages={"required": "Choose a repository."})
    preset = forms.ChoiceField(label="Preset")
    prompt = forms.CharField(
        required=False,
        strip=False,
        label="Prompt",
        help_text="what each agent is told",
        widget=forms.Textarea,
    )
    command = forms.CharField(
        required=False,
        max_length=MAX_COMMAND,
        label="Command or further options",
        help_text="split like a shell does, run without one",
    )
    agents = forms.IntegerField(min_value=1, max_value=MAX_AGENTS, initial=8, label="Agents")
    step_size = forms.IntegerField(
        min_value=0,
        max_value=MAX_STEP,
        initial=20,
        label="Step size",
        help_text="start together; 0: all at once",
    )
    pause_ms = forms.IntegerField(
        min_value=0, max_value=MAX_PAUSE_MS, initial=10, label="Pause", help_text="ms between steps"
    )
    memory_budget_mb = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_BUDGET_MB,
        label="Memory budget",
        help_text="MB; empty: the preset's",
    )
    role = forms.CharField(required=False, max_length=40, label="Role", help_text="empty: the preset's")
    restart_policy = forms.ChoiceField(
        choices=RestartPolicy.choices, initial=RestartPolicy.LOST, label="Restart"
    )
    idempotency_key = forms.CharField(max_length=100, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.presets, self.presets_problem = known_presets()
        self.choices_of("repository", repository_choices())
        self.choices_of("preset", [(name, preset.title) for name, preset in self.presets.items()])
        self.fields["idempotency_key"].initial = uuid4().hex
        if "drill" in self.presets:
            self.fields["preset"].initial = "drill"

        for field in self.fields.values():
            kind = "form-select" if isinstance(field, forms.ChoiceField) else "form-control"
            field.widget.attrs["class"] = kind

    def choices_of(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean_command(self) -> list[str]:
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError as error:
            raise forms.ValidationError(f"This can't be split into arguments: {error}.") from None

    def clean_prompt(self) -> str:
        # Browsers send line ends as CRLF, which no agent expects.
        return str(self.cleaned_data["prompt"]).replace("\r\n", "\n")

    def request(self) -> WaveRequest:
        """What the valid form asks for."""
        return WaveRequest(**self.cleaned_data)
