"""Crossed factors: the arms are the product of the levels, named, seeded and compared as those that are spelled."""

import pytest
from fake_training import fit_cell

from mhdiff.ablate import run
from mhdiff.ablate.cells import plan
from mhdiff.cli import main
from ontology.errors import InputError

DRAWS = {"set": ["--data.null=permuted", "--data.null_seed={seed}"], "seeds": [1, 3]}
GRAPH = {"none": ["--graph=no"], "real": [], "permuted": DRAWS}
SIZE = {"small": {"strength": 0.5}, "large": ["--strength=2", "--deep=1"]}


def crossed(**more):
    """An ablation without spelled arms."""
    return {"arms": None, "factors": {"graph": GRAPH, "size": SIZE}, "reference": "none/small"} | more


def test_the_arms_are_the_product_and_their_overrides_are_in_the_order_of_the_factors(make):
    ablation = make(**crossed())
    assert ablation.arms == {
        "none/small": ("--graph=no", "--strength=0.5"),
        "none/large": ("--graph=no", "--strength=2", "--deep=1"),
        "real/small": ("--strength=0.5",),
        "real/large": ("--strength=2", "--deep=1"),
        "permuted/small": (*DRAWS["set"], "--strength=0.5"),
        "permuted/large": (*DRAWS["set"], "--strength=2", "--deep=1"),
    }
    assert {ablation.seeds_of(arm) for arm in ablation.arms if arm.startswith("permuted")} == {(1, 3)}
    assert ablation.seeds_of("real/small") == ablation.seeds


def test_crossed_arms_have_the_cells_of_spelled_ones_and_stand_beside_them(make):
    more = crossed(arms={"other": ["--strength=1"]}, contrasts=[["real/small", "permuted/small"]])
    beside = make(**more)
    assert list(beside.arms)[:2] == ["other", "none/small"]
    assert ("real/small", "permuted/small") in beside.comparisons()
    spelled = {
        arm: {"set": list(own), "seeds": list(beside.seeds_of(arm))} for arm, own in beside.arms.items()
    }
    again = make(arms=spelled, reference="none/small")
    assert [(c.arm, c.key) for c in plan(beside).cells] == [(c.arm, c.key) for c in plan(again).cells]


def test_combinations_are_left_out_by_their_levels_or_by_factor_and_level(make):
    assert set(make(**crossed(without=[["none", "large"]])).arms) == {
        "none/small", "real/small", "real/large", "permuted/small", "permuted/large",
    }  # fmt: skip
    switches = {"a": {"on_": ["--a=1"], "off_": []}, "b": {"on_": ["--b=1"], "off_": [], 3: ["--b=3"]}}
    left = make(arms=None, factors=switches, reference="off_/off_", without=[{"a": "on_", "b": "off_"}, [3]])
    assert set(left.arms) == {"on_/on_", "off_/on_", "off_/off_"}


def test_a_factor_is_compared_within_the_levels_of_the_others(make):
    by_first = make(**crossed(contrasts_of=["graph"], without=[["permuted", "large"]]))
    assert by_first.contrasts == (
        ("real/small", "none/small"), ("real/large", "none/large"), ("permuted/small", "none/small"),
    )  # fmt: skip
    pairs = make(**crossed(contrasts_of={"graph": [["real", "permuted"]], "size": [["large", "small"]]}))
    assert pairs.contrasts == (
        ("real/small", "permuted/small"),
        ("real/large", "permuted/large"),
        ("none/large", "none/small"),
        ("real/large", "real/small"),
        ("permuted/large", "permuted/small"),
    )
    # Each pair is compared once, though the reference has some of them already.
    assert len(by_first.comparisons()) == len(set(by_first.comparisons())) == 4 + 1


def test_crossed_arms_run_to_a_table(make, tmp_path):
    factors = {"arm": {"weak": ["--arm=weak"], "strong": ["--arm=strong"]}, "size": SIZE}
    ablation = make(
        arms=None, factors=factors, reference="weak/small", contrasts_of=["size"], folds=2, seeds=[1]
    )
    document = run(ablation, tmp_path / "out", fit_cell)
    assert list(document["arms"]) == ["weak/small", "weak/large", "strong/small", "strong/large"]
    value = {arm: told["metrics"]["auroc"]["value"] for arm, told in document["arms"].items()}
    assert value["weak/small"] == value["strong/small"] < value["weak/large"]
    rows = {(r["arm"], r["reference"]): r for r in document["differences"] if r["metric"] == "auroc"}
    within = rows["strong/large", "strong/small"]
    assert within["value"] == pytest.approx(value["strong/large"] - value["strong/small"])
    assert within["folds"]["folds"] == 2


def test_a_dry_run_lists_the_arms(make, tmp_path, capsys):
    source = str(make(**crossed(without=[["none", "large"]])).source)
    assert main(["ablate", "-c", source, "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "5 arms, 4 comparisons" in told
    assert "  real/large: 6\n" in told
    assert "none/large" not in told


MANY = {str(i): [] for i in range(23)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"factors": []}, "'factors' must map"),
        ({"factors": {"graph": {}}}, r"'factors\.graph' must map.*has none"),
        ({"factors": {"graph": ["real"]}}, r"'factors\.graph' must map"),
        ({"factors": {"graph": GRAPH, "size": {"small": ["strength=1"]}}}, r"factors\.size\.small"),
        ({"factors": {"graph": {"none": {"set": [], "seeds": [1, 1]}}}}, r"factors\.graph\.none\.seeds"),
        ({"factors": {"graph": {True: [], "real": []}}}, r"'factors\.graph': True is no name.*quote them"),
        ({"factors": {"graph": {1: [], "1": []}}}, r"'factors\.graph' has two levels '1'"),
        ({"factors": {"a": {"x": [], "x/y": []}, "b": {"y/z": [], "z": []}}}, "two combinations.*'x/y/z'"),
        ({"factors": {"graph": {"real": []}, "null": {"no": []}}}, "two or more arms"),
        ({"factors": {"a": MANY, "b": MANY}}, "'factors' make more than 500 arms.*without"),
        ({"arms": {"none/small": []}}, "both make the arm 'none/small'"),
        ({"factors": {"a": {"x": DRAWS}, "b": {"y": DRAWS | {"seeds": [1]}, "z": []}}},
         r"factors\.a\.x and factors\.b\.y' have different seeds, and the arm 'x/y'"),
        ({"factors": None, "arms": {"a": [], "b": []}, "without": [["a"]]}, "'without' speaks of factors"),
        ({"factors": None, "arms": {"a": [], "b": []}, "contrasts_of": ["a"]}, "'contrasts_of' speaks of"),
        ({"factors": None}, "'arms' is missing"),
        ({"without": ["none"]}, "'without' must list combinations"),
        ({"without": [["none", "huge"]]}, "'without, entry 1': no level is called 'huge'"),
        ({"without": [["none", "real"]]}, "'without, entry 1' names two levels of 'graph'"),
        ({"without": [["none"], {"colour": "red"}]}, "'without, entry 2': no factor is called 'colour'"),
        ({"without": [{"size": "none"}]}, "'without, entry 1': 'size' has no level 'none'"),
        ({"factors": {"a": {"x": []}, "b": {"x": [], "y": []}}, "without": [["x"]]}, "'x' is a level of a and of b"),
        ({"without": [["none"], ["real"], ["permuted"]]}, "leaves no arm"),
        ({"contrasts_of": "graph"}, "'contrasts_of' must list factors"),
        ({"contrasts_of": ["colour"]}, "'contrasts_of': no factor is called 'colour'"),
        ({"contrasts_of": {"graph": ["real"]}}, r"'contrasts_of\.graph' must list pairs"),
        ({"contrasts_of": {"graph": [["real", "fake"]]}}, r"'contrasts_of\.graph': 'graph' has no level 'fake'"),
        ({"contrasts_of": {"graph": [["real", "real"]]}}, "no two arms differ in 'graph' alone"),
        ({"contrasts_of": ["graph"], "without": [["none"]], "reference": "real/small"}, "no two arms differ"),
        ({"factors": {"a": {"x": []}, "b": {"y": [], "z": []}}, "contrasts_of": ["a"]}, "no two levels"),
        ({"reference": "none"}, "no arm is called 'none'"),
        ({"contrasts": [["real/small", "real/huge"]]}, "no arm is called 'real/huge'"),
    ],
)  # fmt: skip
def test_wrong_factors_are_refused_with_file_and_key(make, changes, says):
    with pytest.raises(InputError, match=says) as refused:
        make(**crossed(**changes))
    assert refused.value.path.name == "ablation.yaml"


def test_an_ablation_of_factors_is_no_base(make, tmp_path):
    make(**crossed()).source.rename(tmp_path / "other.yaml")
    with pytest.raises(InputError, match="is an ablation or a search itself"):
        make(base="other.yaml")
