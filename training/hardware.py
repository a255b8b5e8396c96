"""What a figure was measured on: every figure of the project names its machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe_hardware(device: torch.device, processes: int = 1) -> str:
    """Such as 'AMD EPYC, 2 threads' or '8 x NVIDIA H100', of so many processes with a device each."""
    each = f"{processes} x " * (processes > 1)
    if device.type == "cuda":
        return each + torch.cuda.get_device_name(device)
    return f"{each}{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """Bytes that a program may still take on `device`: of the GPU, or of the machine as Linux reckons it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    info = Path("/proc/meminfo")
    found = [line for line in info.read_text().splitlines() if line.startswith("MemAvailable")] if info.exists() else []
    return int(found[0].split()[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
