from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from rayreward.errors import ConfigError
from rayreward.strict import StrictModel, read_yaml


class Inner(StrictModel):
    weight: float = 1.0


class Outer(StrictModel):
    name: str
    parts: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = pydantic.Field(default_factory=dict)
    limit: Inner | None = None
    count: int = pydantic.Field(default=1, ge=1)


def refusal(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Outer.parse(data, source="rewards.yaml")
    return str(caught.value)


def test_what_fits_is_taken_and_frozen() -> None:
    config = Outer.parse({"name": "a", "parts": [{"weight": 2}]}, source="x")
    assert config.parts[0].weight == 2.0
    with pytest.raises(pydantic.ValidationError):
        config.name = "b"  # type: ignore[misc]


def test_an_unknown_key_names_source_key_and_the_nearest_one() -> None:
    assert refusal({"name": "a", "cuont": 2}) == (
        "rewards.yaml: unknown key 'cuont'; did you mean 'count'? Known: by_name, count, limit, name, parts"
    )


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"parts": [{}, {"wieght": 2}]}, "parts.1.wieght"),
        ({"limit": {"wieght": 2}}, "limit.wieght"),
        ({"by_name": {"x": {"wieght": 2}}}, "by_name.x.wieght"),
    ],
)
def test_an_unknown_key_inside_is_found_by_its_path(data: dict[str, object], where: str) -> None:
    assert f"unknown key {where!r}; did you mean 'weight'?" in refusal({"name": "a", **data})


def test_every_mistake_has_a_line() -> None:
    lines = refusal({"count": 0, "parts": "no"}).splitlines()
    assert len(lines) == 3
    assert "rewards.yaml: key 'name' is required and missing" in lines
    assert any("count" in line and "found 0" in line for line in lines)


def test_a_value_that_is_no_mapping_is_refused() -> None:
    assert "(top level)" in refusal(["a"])


class TestReadYaml:
    def test_reads_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_text("a: [1, 2]")
        assert read_yaml(path) == {"a": [1, 2]}

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"a: [1", "not valid YAML"), (b"\xff\xfe\xfa", "cannot be read"), (None, "no such file")],
    )
    def test_says_which_file_is_wrong(self, tmp_path: Path, content: bytes | None, reason: str) -> None:
        path = tmp_path / "a.yaml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"a.yaml: {reason}"):
            read_yaml(path)

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(tmp_path)

    def test_python_objects_are_not_made(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_text("a: !!python/object/apply:os.getcwd []")
        with pytest.raises(ConfigError, match="not valid YAML"):
            read_yaml(path)
