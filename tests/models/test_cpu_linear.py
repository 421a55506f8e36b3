from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from rayreward.models import cpu_linear  # noqa: E402
from rayreward.models.cpu_linear import OneDnnLinear, multiply_by_onednn  # noqa: E402


class Trunk(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(33, 70)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(70, 70, bias=False), torch.nn.Linear(70, 9)])
        self.again = self.layers[0]
        self.norm = torch.nn.LayerNorm(9)

    def forward(self, rows):
        rows = torch.relu(self.up(rows))
        return self.norm(self.layers[1](self.again(self.layers[0](rows))))


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    return Trunk().requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 33), (7, 33), (2, 500, 33), (0, 33), (33,)])
def test_it_gives_the_numbers_of_the_layer_whatever_the_rows(trunk, shape) -> None:
    rows = torch.randn(shape)
    wanted = trunk(rows)
    found = multiply_by_onednn(trunk, is_slow=True)(rows)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_rows_need_not_lie_one_behind_the_other(trunk) -> None:
    rows = torch.randn(33, 5, 3).transpose(0, 2)
    wanted = trunk(rows)
    torch.testing.assert_close(multiply_by_onednn(trunk, is_slow=True)(rows), wanted, rtol=1e-5, atol=1e-5)


def test_a_layer_that_is_used_twice_is_still_one_layer(trunk) -> None:
    multiply_by_onednn(trunk, is_slow=True)
    assert isinstance(trunk.again, OneDnnLinear)
    assert trunk.again is trunk.layers[0]


def test_a_model_that_looks_at_its_weights_finds_them(trunk) -> None:
    weight, bias = trunk.up.weight.clone(), trunk.up.bias.clone()
    multiply_by_onednn(trunk, is_slow=True)
    assert (trunk.up.in_features, trunk.up.out_features) == (33, 70)
    torch.testing.assert_close(trunk.up.weight, weight, rtol=0, atol=0)
    torch.testing.assert_close(trunk.up.bias, bias, rtol=0, atol=0)
    assert trunk.layers[0].bias is None


def test_what_is_not_an_fp32_layer_of_torchs_own_kind_stays_as_it_is(trunk) -> None:
    class Special(torch.nn.Linear):
        pass

    trunk.layers[1] = Special(70, 9)
    trunk.up.to(torch.bfloat16)
    multiply_by_onednn(trunk, is_slow=True)
    assert type(trunk.layers[1]) is Special
    assert type(trunk.up) is torch.nn.Linear
    assert type(trunk.norm) is torch.nn.LayerNorm


@pytest.mark.parametrize(("cpuinfo", "kind"), [("AuthenticAMD", OneDnnLinear), ("GenuineIntel", torch.nn.Linear)])
def test_only_amds_cpus_need_it(trunk, tmp_path, monkeypatch, cpuinfo, kind) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"vendor_id\t: {cpuinfo}\n")
    monkeypatch.setattr(cpu_linear, "_CPUINFO", file)
    assert type(multiply_by_onednn(trunk).up) is kind
    monkeypatch.setattr(cpu_linear, "_CPUINFO", tmp_path / "none")
    assert type(multiply_by_onednn(Trunk()).up) is torch.nn.Linear
