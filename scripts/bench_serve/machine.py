"""What a measurement ran on, in one line."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    libraries = ("openvino", "torch", "transformers", "fastapi", "uvicorn")
    known = ", ".join(f"{name} {version(name).split('+')[0]}" for name in libraries)
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}, {known}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    flags = next((line for line in lines if line.startswith("flags")), "")
    units = [name for name in ("avx512_vnni", "avx512_bf16", "amx_int8") if name in flags]
    return f"{next(named, platform.processor())} ({', '.join(units) or 'no short formats'})"
