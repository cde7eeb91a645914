"""The subscribers in other languages, each made ready to run with its own language's means."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CACHE = ROOT / ".cache" / "examples"

Command = Sequence[str]


class ToolMissing(Exception):
    """The machine has not what the language needs."""


@dataclass(frozen=True)
class Language:
    """A folder of examples/ and how its program becomes a command. What was made ready once is kept."""

    name: str
    needs: Sequence[str]
    sources: Sequence[str]
    make: Callable[[Path], None]
    command: Callable[[Path], Command]

    def ready(self) -> Command:
        """The command. Raises ToolMissing, and CalledProcessError when the program cannot be made."""
        missing = [tool for tool in self.needs if shutil.which(tool) is None]
        if missing:
            raise ToolMissing(
                f"{self.name.upper()} IS MISSING: {', '.join(missing)} not found, its subscriber is not tried"
            )
        contents = [(EXAMPLES / self.name / source).read_bytes() for source in self.sources]
        version = hashlib.sha256(b"\0".join([sys.version.encode(), *contents])).hexdigest()[:16]
        folder = CACHE / f"{self.name}-{version}"
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for source in self.sources:
                shutil.copy(EXAMPLES / self.name / source, folder)
            self.make(folder)
            (folder / ".ready").touch()
        return self.command(folder)


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}\n{done.stderr}"


def _make_python(folder: Path) -> None:
    _run(sys.executable, "-m", "venv", ".venv", cwd=folder)
    _run(
        folder / ".venv" / "bin" / "pip",
        *("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", "requirements.txt"),
        cwd=folder,
    )


LANGUAGES = (
    Language(
        "python",
        needs=(),
        sources=("subscribe.py", "requirements.txt"),
        make=_make_python,
        command=lambda folder: [str(folder / ".venv" / "bin" / "python"), str(folder / "subscribe.py")],
    ),
    Language(
        "node",
        needs=("node", "npm"),
        sources=("subscribe.js", "package.json", "package-lock.json"),
        make=lambda folder: _run("npm", "ci", "--no-audit", "--no-fund", cwd=folder),
        command=lambda folder: ["node", str(folder / "subscribe.js")],
    ),
    Language(
        "go",
        needs=("go",),
        sources=("main.go", "go.mod", "go.sum"),
        make=lambda folder: _run("go", "build", "-o", "subscriber", ".", cwd=folder),
        command=lambda folder: [str(folder / "subscriber")],
    ),
)
