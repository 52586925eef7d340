"""How a build ended, in words."""

import signal

MEANINGS = {101: "the tool failed", 126: "it can't be run", 127: "there is no such program"}
SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "asked to end",
    signal.SIGKILL: "killed",
    signal.SIGHUP: "its terminal went away",
    signal.SIGSEGV: "it crashed",
    signal.SIGABRT: "it aborted",
}


def exit_words(code: int | None) -> str:
    """As in "exit code 101" or "SIGKILL (killed)"; `code` as a build has it, minus the number of a signal. Empty where
    nobody knows."""
    if code is None:
        return ""
    if code >= 0:
        meaning = MEANINGS.get(code)
        return f"exit code {code}" + (f" ({meaning})" if meaning else "")
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"signal {-code}"
    meaning = SIGNALS.get(number)
    return number.name + (f" ({meaning})" if meaning else "")
