"""Keys of cargo's profiles that change how long builds take, and what they leave."""

from dataclasses import dataclass

from apps.builds.domain.toml_patch import Value

DEV, RELEASE = ("profile", "dev"), ("profile", "release")
OTHERS = ("package", "*")  # of a profile: all packages but the workspace's own


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a profile in Cargo.toml."""

    table: tuple[str, ...]
    key: str
    value: Value
    why: str

    @property
    def name(self) -> str:
        return f"{'.'.join(self.table)}.{self.key}"

    @property
    def arguments(self) -> list[str]:
        """Of cargo, for a build with it."""
        words = [f'"{word}"' if word == "*" else word for word in self.table]
        value = f'"{self.value}"' if isinstance(self.value, str) else str(self.value).lower()
        return ["--config", f"{'.'.join([*words, self.key])}={value}"]


LINE_TABLES = Setting(
    DEV, "debug", "line-tables-only", "backtraces keep their lines; debuggers lose variables"
)
NO_DEBUG_OF_OTHERS = Setting((*DEV, *OTHERS), "debug", False, "dependencies without debug info")
THIN_LTO = Setting(RELEASE, "lto", "thin", "crates are optimized together, at the end of each build")
ONE_CODEGEN_UNIT = Setting(RELEASE, "codegen-units", 1, "each crate is optimized whole, by one core")
STRIPPED = Setting(RELEASE, "strip", "symbols", "programs without names of functions, also in backtraces")

FOR_DEV = (LINE_TABLES, NO_DEBUG_OF_OTHERS)
FOR_RELEASE = (THIN_LTO, ONE_CODEGEN_UNIT, STRIPPED)
