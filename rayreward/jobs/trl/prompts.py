"""The data set that TRL trains on: a column ``prompt``, a column ``label`` where the spec names one, and all others.

What arrives: a spec's data section. What leaves: a `datasets.Dataset`. Local files are read by their suffix; other
names are the hub's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError
from rayreward.jobs.sections import is_local
from rayreward.jobs.trl.spec import DataSpec

_READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}

_SET_BY_TRL = ("completion", "completion_ids")
"""Columns that TRL fills itself: of the same name they would never reach a reward."""


def load_prompts(spec: DataSpec) -> Any:
    """The prompts, the first `max_samples` of them.

    Raises:
        ConfigError: no such file, or no such column.
    """
    data = _read(spec)
    for key, value in (("data.input_key", spec.input_key), ("data.label_key", spec.label_key)):
        if value is not None and value not in data.column_names:
            raise ConfigError(f"{key}: {spec.prompts} has no column {value!r}; it has {', '.join(data.column_names)}")
    if spec.max_samples is not None:
        data = data.select(range(min(spec.max_samples, len(data))))
    keys = {"prompt": spec.input_key} | ({} if spec.label_key is None else {"label": spec.label_key})
    for name, key in keys.items():
        if key == name:
            continue
        data = (data.remove_columns(name) if name in data.column_names else data).rename_column(key, name)
    data = data.remove_columns([name for name in _SET_BY_TRL if name in data.column_names])
    return data.map(_as_chat) if spec.apply_chat_template else data


def _read(spec: DataSpec) -> Any:
    from datasets import load_dataset, load_from_disk

    path = Path(spec.prompts)
    if not is_local(spec.prompts):
        return load_dataset(spec.prompts, split=spec.split)
    if not path.exists():
        raise ConfigError(f"data.prompts: {path} does not exist on this machine")
    if path.is_dir():
        is_saved = (path / "state.json").exists() or (path / "dataset_dict.json").exists()
        data = load_from_disk(spec.prompts) if is_saved else load_dataset(spec.prompts, split=spec.split)
        return data[spec.split] if isinstance(data, dict) else data
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise ConfigError(f"data.prompts: {path} ends in none of {', '.join(_READERS)}")
    return load_dataset(reader, data_files=spec.prompts, split="train")


def _as_chat(row: dict[str, Any]) -> dict[str, Any]:
    prompt = row["prompt"]
    return {"prompt": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}
