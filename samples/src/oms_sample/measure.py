"""What the processes cost: CPU time and memory by process name, broker and database included."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import psutil

PLAYER = "player"
"""This process: it plays channels, warehouses and carriers on the same cores."""

Pids = Callable[[], Mapping[str, int]]


def cpu_seconds(pids: Pids) -> dict[str, float]:
    """CPU time so far of each process and its children, ended ones included."""
    return {name: sum(_cpu(process) for process in tree) for name, tree in _trees(pids).items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings. A process that was started again counts from its new start."""
    return {
        name: used if used < before.get(name, 0.0) else used - before.get(name, 0.0) for name, used in after.items()
    }


def memory_mb(pids: Pids) -> dict[str, float]:
    """Resident memory of each process and its children in MiB; pages that several share are shared out (PSS)."""
    return {name: round(sum(map(_memory, tree)) / 2**20, 1) for name, tree in _trees(pids).items()}


def per_item_us(seconds: Mapping[str, float], items: int) -> dict[str, float]:
    """Microseconds of CPU per item by process."""
    return {name: round(1e6 * used / items, 1) for name, used in seconds.items()} if items else {}


def _trees(pids: Pids) -> dict[str, list[psutil.Process]]:
    trees = {}
    for name, pid in {**pids(), PLAYER: os.getpid()}.items():
        try:
            root = psutil.Process(pid)
            trees[name] = [root] if name == PLAYER else [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue  # between its end and its next start
    return trees


def _cpu(process: psutil.Process) -> float:
    try:
        times: Any = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    own = times.user + times.system
    return float(own if process.pid == os.getpid() else own + times.children_user + times.children_system)


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0.0
    except psutil.AccessDenied:
        return float(process.memory_info().rss)
