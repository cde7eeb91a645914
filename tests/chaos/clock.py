"""A clock of its own for one service process, by libfaketime: it can be set while the process runs.

Only the time of day is faked. The monotonic clock stays true, as it does when an operator or NTP steps a machine.
"""

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

SEEN_AFTER_S = 1.0
"""A step is seen within this time: the library reads its file so often."""

_LIBRARY = "libfaketime.so.1"


def faked_by(file: Path) -> Mapping[str, str]:
    """The environment of a process whose clock `file` steps. Raises LookupError without the library."""
    step(file, 0)
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": f"{SEEN_AFTER_S:g}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def step(file: Path, seconds: int) -> None:
    """Set the clock so many seconds before or after the true time."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(f"{seconds:+d}\n")
    unfinished.replace(file)


def obstacle() -> str | None:
    """Why no clock can be stepped here, or None."""
    try:
        library = _library()
    except LookupError as missing:
        return str(missing)
    # Marked as fit for every machine, the package brings the library of one.
    loaded = subprocess.run(
        [sys.executable, "-c", ""], env={"LD_PRELOAD": str(library)}, capture_output=True, text=True, check=False
    )
    return loaded.stderr.strip() or None


def _library() -> Path:
    """Found by the package's metadata: importing it would fake the clock of this process."""
    try:
        package = distribution("libfaketime")
    except PackageNotFoundError:
        raise LookupError("the package libfaketime is not installed") from None
    for file in package.files or ():
        if file.name == _LIBRARY:
            return Path(str(file.locate()))
    raise LookupError(f"the package libfaketime brings no {_LIBRARY} for this machine")
