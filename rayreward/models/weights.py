"""Which content a checkpoint holds: part of the version of every score that it gives.

What arrives: a folder, or a hub's name. What leaves: a digest of the files that scores depend on: weights,
configuration, tokenizer, templates and a checkpoint's own code.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_EDGE_BYTES = 1 << 20
"""How much of either end of a weight file is hashed; whole files would cost minutes for large models."""

_CONTENT = frozenset({".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".py"})


def weights_digest(folder: Path) -> str | None:
    """A hash over a checkpoint's files: whole for small ones, both ends and the size for large ones.

    Returns:
        Hexadecimal digits; None where there is no such folder on this machine.
    """
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.suffix not in _CONTENT:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE_BYTES))
            if size > 2 * _EDGE_BYTES:
                file.seek(-_EDGE_BYTES, 2)
            digest.update(file.read(_EDGE_BYTES))
    return digest.hexdigest()
