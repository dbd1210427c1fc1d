"""Laws of attribution: completeness along one joint path, nothing from what is absent, Shapley's axioms."""

from dataclasses import dataclass, replace
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.encoders import (
    CodeEncoder,
    CodeSpec,
    ImageSpec,
    LabEncoder,
    LabSpec,
    ResNet,
    SmallBert,
    TextSpec,
)
from mhdiff.explain import attribute, joint_integrated_gradients, modality_shapley, shapley_values
from mhdiff.explain.modalities import patterns
from mhdiff.explain.model import take_rows
from mhdiff.fusion.fusion import CrossModalFusion
from tests.searches import examples

DIM, NODES, BATCH = 16, 12, 5


def _product(inputs, rows):
    score = inputs["a"].sum(dim=1) * inputs["b"].sum(dim=1) * inputs["c"].sum(dim=1)
    return torch.stack((score, -score), dim=1)


def test_interactions_need_the_joint_path():
    generator = torch.Generator().manual_seed(0)
    x = {name: torch.rand(4, 3, generator=generator) for name in "abc"}
    b = {name: torch.full_like(value, 0.1) for name, value in x.items()}
    joint = joint_integrated_gradients(_product, x, b, target=torch.tensor([0, 1, 0, 1]), steps=8)
    assert joint.gap.max() < 1e-4
    torch.testing.assert_close(sum(joint.totals().values()), joint.difference)
    alone = [joint_integrated_gradients(_product, x, {**x, name: b[name]}, 0, 8) for name in "abc"]
    wrong = sum(sum(one.totals().values()) for one in alone) - joint.difference * torch.tensor([1, -1, 1, -1])
    assert (wrong.abs() / joint.difference.abs()).min() > 0.5, "one modality at a time should not add up"


def test_a_linear_model_gives_weight_times_difference():
    weight, x, b = torch.randn(3), torch.randn(2, 3), torch.randn(2, 3)
    result = joint_integrated_gradients(lambda i, rows: (i["x"] @ weight)[:, None], {"x": x}, {"x": b}, 0, 4)
    torch.testing.assert_close(result.inputs["x"], weight * (x - b))


def test_what_the_model_does_not_read_has_exactly_nothing():
    x = {"read": torch.ones(2, 3), "unread": torch.ones(2, 4, 2)}
    b = {name: torch.zeros_like(value) for name, value in x.items()}
    result = joint_integrated_gradients(lambda i, rows: i["read"].pow(2).sum(1, True), x, b, 0, 4)
    assert (result.inputs["unread"] == 0).all()
    torch.testing.assert_close(result.totals()["read"], torch.full((2,), 3.0))
    assert result.gap.max() < 1e-6


def test_the_noise_is_the_same_along_the_path_and_the_callers_is_untouched():
    x, b = {"x": torch.rand(3, 4)}, {"x": torch.zeros(3, 4)}

    def noisy(inputs, rows):
        return (inputs["x"] * torch.randn(4)).square().sum(dim=1, keepdim=True)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (joint_integrated_gradients(noisy, x, b, 0, 8, seed=1) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert first.gap.max() < 1e-4
    assert torch.equal(first.inputs["x"], second.inputs["x"])


class Small(nn.Module):
    """Every encoder, one token for each piece of evidence, the fusion, and a head."""

    def __init__(self):
        super().__init__()
        self.encoders = nn.ModuleDict(
            {
                "image": ResNet(ImageSpec(1, (32, 32)), DIM, depth=10, width=8),
                "note": SmallBert(TextSpec(30, 0, 4, 2, 3, 12), DIM, width=32),
                "labs": LabEncoder(LabSpec(("a", "b", "c")), DIM, width=16),
                "codes": CodeEncoder(CodeSpec(6), DIM, width=16),
            }
        )
        self.concepts = nn.Embedding(NODES, DIM)
        self.kind = nn.Parameter(torch.randn(4, DIM))
        self.fusion = CrossModalFusion(DIM, heads=2)
        self.head = nn.Sequential(nn.Linear(DIM, DIM), nn.SiLU(), nn.Linear(DIM, 3))

    def score(self, features, batch, evidence_weight):
        encoded = [e.encode(features[n], batch.inputs[n]) for n, e in self.encoders.items()]
        concept = batch.evidence.concept
        tokens = self.concepts(concept.clamp_min(0)) * evidence_weight[..., None] + self.kind[:, None]
        known = (concept >= 0) & batch.present[..., None]
        tokens = torch.cat((torch.stack(encoded, dim=1) + self.kind, tokens.flatten(1, 2)), dim=1)
        mask = torch.cat((batch.present, known.flatten(1)), dim=1)
        return self.head(self.fusion(tokens, None, mask).latent)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return Small().train()


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(4)
    ids = torch.randint(5, 30, (BATCH, 9), generator=g)
    ids[:, 0], ids[:, 6], ids[:, 7:] = 2, 3, 0
    concept = torch.randint(-1, NODES, (BATCH, 4, 3), generator=g)
    present = torch.ones(BATCH, 4, dtype=torch.bool)
    present[1, 0] = present[2, 1] = False
    present[3] = torch.tensor([False, False, True, False])
    present[4] = False
    measured = torch.tensor([1.0, 1.0, 0.0]).expand(BATCH, 3)
    return Batch(
        sample_id=torch.arange(BATCH),
        present=present,
        inputs={
            "image": {"pixels": torch.rand(BATCH, 1, 32, 32, generator=g)},
            "note": {"input_ids": ids, "attention_mask": (ids != 0).long()},
            "labs": {"value": torch.randn(BATCH, 3, generator=g) * measured, "measured": measured},
            "codes": {"weight": (torch.rand(BATCH, 6, generator=g) < 0.5).float()},
        },
        evidence=EvidenceBatch(concept, torch.rand(BATCH, 4, 3, generator=g), torch.zeros_like(concept)),
        label=torch.zeros(BATCH, dtype=torch.long),
    )


@pytest.mark.parametrize("output", ["log_odds", "logit", "probability"])
def test_the_real_parts_are_complete(model, batch, output):
    result = attribute(model, batch, output=output, steps=32, most_steps=64)
    assert result.gap.max() < 0.01
    torch.testing.assert_close(result.by_modality.sum(dim=1), result.difference, atol=1e-3, rtol=0.01)
    assert (result.difference[:4].abs() > 1e-4).all()
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_what_is_absent_has_exactly_nothing(model, batch):
    result = attribute(model, batch, steps=8, most_steps=8)
    absent = ~batch.present
    assert (result.by_modality[absent] == 0).all()
    assert (result.evidence[absent] == 0).all()
    assert (result.evidence[batch.evidence.concept < 0] == 0).all()
    for column, name in enumerate(result.modalities):
        assert (result.inputs[name][absent[:, column]] == 0).all(), name
    assert (result.by_modality[batch.present] != 0).all()
    assert result.difference[4] == 0, "with nothing present nothing moves"
    assert result.gap[4] == 0
    note = result.inputs["note"][0].abs().sum(dim=1)
    assert (note[[0, 6, 7, 8]] == 0).all(), "CLS, SEP and padding stay where they are"
    assert (note[1:6] > 0).all()
    assert (result.inputs["labs"][:, 2] == 0).all(), "a lab that was not measured"


def test_a_patient_is_explained_alike_alone_and_in_company(model, batch):
    whole = attribute(model, batch, target=1, steps=8, most_steps=8)
    alone = attribute(model, take_rows(batch, torch.tensor([2])), target=1, steps=8, most_steps=8)
    torch.testing.assert_close(whole.by_modality[2:3], alone.by_modality, atol=1e-5, rtol=1e-4)
    one = attribute(model, batch, target=1, steps=8, most_steps=8, points_at_once=1)
    torch.testing.assert_close(whole.evidence, one.evidence, atol=1e-5, rtol=1e-4)


def test_rows_are_taken_all_the_way_down():
    @dataclass
    class Tree:
        a: torch.Tensor
        b: dict
        name: str

    tree = Tree(torch.arange(3), {"c": torch.arange(3) * 2, "d": ["x", "y", "z"]}, "name")
    taken = take_rows(tree, torch.tensor([2, 0, 2]))
    assert taken == replace(tree, a=taken.a, b=taken.b)
    assert taken.a.tolist() == [2, 0, 2]
    assert taken.b["c"].tolist() == [4, 0, 4]
    assert taken.b["d"] == ["z", "x", "z"]


@settings(deadline=None, max_examples=examples(25))
@given(st.integers(1, 4).flatmap(lambda m: st.lists(st.floats(-1, 1), min_size=2**m, max_size=2**m)))
def test_shapley_is_the_mean_over_all_orders(values):
    v = torch.tensor(values, dtype=torch.float64)
    count = len(values).bit_length() - 1
    expected = torch.zeros(count, dtype=torch.float64)
    orders = list(permutations(range(count)))
    for order in orders:
        subset = 0
        for player in order:
            expected[player] += (v[subset | 1 << player] - v[subset]) / len(orders)
            subset |= 1 << player
    found = shapley_values(v)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(), v[-1] - v[0])
    assert patterns(count).sum().item() == count * 2**count // 2


def test_absent_modalities_are_not_offered():
    asked = []

    def probability(offered):
        asked.append(offered)
        return 0.2 + 0.3 * ("image" in offered) + 0.1 * ("image" in offered and "codes" in offered)

    shares = modality_shapley(["image", "note", "codes"], [True, False, True], probability)
    assert shares == pytest.approx({"image": 0.35, "note": 0.0, "codes": 0.05})
    assert sorted(asked) == [(), ("codes",), ("image",), ("image", "codes")]
    with pytest.raises(ValueError, match="subsets"):
        shapley_values(torch.zeros(3))
