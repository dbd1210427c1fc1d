"""`mhdiff explain-bias` through the real command line: what is told sums to the bias that entered the attention."""

import itertools
import json
import math

import pytest
import torch
import yaml

from mhdiff.batch import EvidenceBatch
from mhdiff.cli import main
from mhdiff.commands.explain import choose
from mhdiff.explain.bias import between, by_relation, contributions
from mhdiff.guidance import MessagePassing
from mhdiff.training.run import open_run

KINDS = {
    "none": ("NoGuidance", {}),
    "free": ("Free", {}),
    "linked": ("Linked", {"hops": 3}),
    "linked_learned": ("Linked", {"hops": 9, "relations": ["is_a"], "polarity_gain": "learned"}),
    "similarity": ("Similarity", {"measure": "lin"}),
    "path": ("Similarity", {"measure": "path"}),
    "distance": ("Distance", {}),
    "messages": ("MessagePassing", {"layers": 2}),
    "numbered": ("MessagePassing", {"conv": {"class_path": "torch_geometric.nn.RGCNConv"}, "channels": "bias"}),
    "hetero": ("MessagePassing", {"conv": {"class_path": "torch_geometric.nn.HGTConv", "init_args": {"heads": 2}}}),
    "tokens": ("MessagePassing", {"channels": "tokens"}),
    "anchored": ("MessagePassing", {"layers": 2, "anchors": 4}),
    "inherited": ("MessagePassing", {"layers": 0, "anchors": 4, "inherit": "all"}),
    "free_anchored": ("Free", {"anchors": 4}),
}  # fmt: skip
#: Close relatives of others, which .ci/run tries too: of linked, of similarity (path and distance, tables as it is), of
#: hetero (numbered), of free, and of anchored (messages without anchors, and inherited without layers).
RARE = {"linked_learned", "path", "distance", "numbered", "free_anchored", "messages", "inherited"}
PASSING = [kind for kind, (name, _) in KINDS.items() if name == "MessagePassing" and kind != "tokens"]
TELLING = [kind for kind in KINDS if kind not in ("none", "tokens")]


def each(kinds):
    return [pytest.param(kind, marks=pytest.mark.slow) if kind in RARE else kind for kind in kinds]


@pytest.fixture(scope="module")
def run_of(small_config, tmp_path_factory):
    made = {}

    def run(kind):
        if kind not in made:
            name, init = KINDS[kind]
            settings = yaml.safe_load(small_config.read_text())
            settings["data"]["modalities"] = ["note", "labs", "codes"]
            settings["trainer"] |= {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1}
            settings["model"]["guidance"] = {"class_path": f"mhdiff.guidance.{name}", "init_args": init}
            folder = tmp_path_factory.mktemp(kind)
            (folder / "config.yaml").write_text(yaml.safe_dump(settings))
            assert main(["fit", "-c", str(folder / "config.yaml"), "--out", str(folder / "run")]) == 0
            made[kind] = folder / "run"
        return made[kind]

    return run


TOLD = {}  # what was told of a run with these options: most of the time here, and several tests look at each


def told(run, capsys, *more):
    if (run, more) not in TOLD:
        capsys.readouterr()
        assert main(["explain-bias", str(run), "--json", *more]) == 0
        TOLD[run, more] = capsys.readouterr().out
    return json.loads(TOLD[run, more])


def true_bias(run, sample):
    """Lambda times A between modality tokens, as the model itself used it."""
    module, data = open_run(run)
    row = data.samples.filter(data.samples["sample_id"] == sample)
    batch = data.dataset([row["split"][0]], [sample]).collate([0])
    net = module.net.eval()
    with torch.no_grad():
        bias = net(batch).bias[0]
    heads = torch.stack(
        [layer.attention.lambda_.expand(layer.attention.heads) for layer in net.fusion.layers]
    ).mean(0)
    return (bias * heads[:, None, None]).mean(0).detach(), data.modalities


@pytest.mark.parametrize("kind", each(TELLING))
def test_contributions_and_shares_sum_to_the_bias_of_the_model(run_of, capsys, kind):
    run = run_of(kind)
    document = told(run, capsys, "--top", "3")
    strength, modalities = true_bias(run, document["sample_id"])
    assert len(document["between"]) == 3
    for part in document["between"]:
        m, n = (modalities.index(name) for name in part["modalities"])
        assert part["there"] == pytest.approx(float(strength[m, n]), abs=1e-6)
        assert part["back"] == pytest.approx(float(strength[n, m]), abs=1e-6)
        assert part["bias"] == pytest.approx((part["there"] + part["back"]) / 2, abs=1e-9)
        summed = sum(p["contribution"] for p in part["pairs"]) + part["rest"]["contribution"]
        assert summed == pytest.approx(part["bias"], abs=1e-9)
        assert part["for"] + part["against"] == pytest.approx(part["bias"], abs=1e-9)
        shares = sum(p["share"] for p in part["pairs"]) + part["rest"]["share"]
        assert shares == pytest.approx(1 if part["for"] or part["against"] else 0)
        assert part["n_pairs"] == len(part["pairs"]) + part["rest"]["pairs"]
        sizes = [abs(p["contribution"]) for p in part["pairs"]]
        assert sizes == sorted(sizes, reverse=True)
    assert any(part["bias"] for part in document["between"])


def walk(path):
    return [step["from"] for step in path] + [path[-1]["to"]]


@pytest.mark.parametrize("kind", each([k for k in TELLING if not k.startswith("free")]))
def test_a_path_is_the_one_that_the_score_was_computed_from(run_of, capsys, kind):
    run = run_of(kind)
    document = told(run, capsys, "--top", "50")
    module, data = open_run(run)
    guidance, edges = module.net.guidance, data.graph.concept_graph().relations
    sctids = data.graph.data["concept"].sctid.tolist()
    node = {sctid: i for i, sctid in enumerate(sctids)}
    seen = 0
    for part in document["between"]:
        for pair in part["pairs"]:
            a, b, path = node[pair["a"]["sctid"]], node[pair["b"]["sctid"]], pair["path"]
            if path is None:
                assert kind in PASSING
                continue
            rounds_decide = kind in PASSING and kind != "inherited"
            assert pair["too_long"] == (rounds_decide and len(path) > 4)
            assert (path == []) == (a == b)
            if a == b:
                continue
            seen += 1
            names = walk(path)
            assert (names[0], names[-1]) == (pair["a"]["name"], pair["b"]["name"])
            assert all(x["to"] == y["from"] for x, y in itertools.pairwise(path))
            assert {s["relation"].replace(" ", "_") for s in path} <= set(edges)
            forward = [s["forward"] for s in path]
            if kind.startswith("linked"):
                assert len(path) <= KINDS[kind][1]["hops"]
                assert kind == "linked" or {s["relation"] for s in path} == {"is a"}
            if kind in ("similarity", "path", "distance"):
                assert forward == sorted(forward, reverse=True)  # up, then down: through where they meet
                meeting = guidance.meeting(a, b)
                top = ([pair["a"]["name"], *names[1:]])[sum(forward)]
                assert top in data_name(data, sctids[meeting])
            if kind == "path":
                score = float(guidance.look_up(torch.tensor([a]), torch.tensor([b])))
                assert score == pytest.approx(1 / (1 + len(path)))
    assert seen


def data_name(data, sctid):
    from ontology import Ontology

    return Ontology.open(data.ontology_path).fsn(sctid)


def test_linked_shares_its_one_equally_among_the_linked(run_of, capsys):
    document = told(run_of("linked"), capsys, "--top", "999")
    for part in document["between"]:
        linked = [p["share"] for p in part["pairs"]]
        assert linked == pytest.approx([1 / len(linked)] * len(linked) if linked else [])
        assert part["rest"]["pairs"] == part["rest"]["nothing"] == part["n_pairs"] - len(linked)


@pytest.mark.parametrize("kind", each(["free", "messages", "numbered", "hetero"]))
def test_integrated_gradients_over_evidence_are_complete(run_of, capsys, kind):
    document = told(run_of(kind), capsys, "--top", "3")
    for part in document["between"]:
        if not part["n_pairs"]:
            assert part["evidence"] is None
            continue
        total = sum(row["attribution"] for row in part["evidence"])
        assert part["gap"] <= 0.01
        assert abs(total - part["bias"]) <= part["gap"] * abs(part["bias"]) + 1e-6
        assert {row["modality"] for row in part["evidence"]} == set(part["modalities"])


@pytest.mark.parametrize("kind", each(PASSING))
def test_relations_sum_to_the_bias_and_what_is_there_without_messages(run_of, capsys, kind):
    run = run_of(kind)
    document = told(run, capsys, "--top", "3")
    for part in document["between"]:
        if part["n_pairs"]:
            carried = part["relations"]
            total = carried["without"] + sum(row["contribution"] for row in carried["parts"])
            assert total == pytest.approx(part["bias"], abs=1e-5)
    # with one relation alone its value is the plain difference, and the model is as it was afterwards
    module, data = open_run(run)
    net = module.net.eval()
    sample = choose(data)
    row = data.samples.filter(data.samples["sample_id"] == sample)
    batch = data.dataset([row["split"][0]], [sample]).collate([0])
    whole = between(
        contributions(net, batch.evidence, batch.present), batch.evidence, batch.present, 0, 1
    ).bias
    (found,) = by_relation(net, batch.evidence, batch.present, [(0, 1)], alone=0)
    assert found.parts[0][1] == pytest.approx(whole - found.without, abs=1e-5)
    assert isinstance(net.guidance, MessagePassing)
    again = between(
        contributions(net, batch.evidence, batch.present), batch.evidence, batch.present, 0, 1
    ).bias
    assert again == whole


@pytest.mark.parametrize("kind", each(["anchored", "free_anchored", "inherited"]))
def test_what_is_said_towards_anchors_sums_to_what_entered_the_attention(run_of, capsys, kind):
    run = run_of(kind)
    document = told(run, capsys, "--top", "3")
    module, data = open_run(run)
    net = module.net.eval()
    row = data.samples.filter(data.samples["sample_id"] == document["sample_id"])
    batch = data.dataset([row["split"][0]], [document["sample_id"]]).collate([0])
    with torch.no_grad():
        toward = net.guidance(batch.evidence, batch.present).toward[0]
    strength = torch.stack(net.fusion.lambdas).mean(0)
    true = (strength[:, None, None] * toward).mean(0)
    assert document["toward"]
    for part in document["toward"]:
        m = data.modalities.index(part["modality"])
        assert part["bias"] == pytest.approx(float(true[m, part["anchor"] - 1]), abs=1e-6)
        summed = sum(p["contribution"] for p in part["pieces"]) + part["rest"]["contribution"]
        assert summed == pytest.approx(part["bias"], abs=1e-6)
        assert part["n_pieces"] == len(part["pieces"]) + part["rest"]["pieces"]
        assert {p["modality"] for p in part["pieces"]} == {part["modality"]}
        if kind == "free_anchored":
            assert part["relations"] is None
            assert all(p["path"] is None for p in part["pieces"])
            continue
        total = part["relations"]["without"] + sum(row["contribution"] for row in part["relations"]["parts"])
        assert total == pytest.approx(part["bias"], abs=1e-5)
        for piece in part["pieces"]:
            if piece["path"]:
                assert piece["path"][0]["from"] == piece["name"]
                assert piece["path"][-1]["to"] == part["drawn"][0]["name"]
    for name in {part["modality"] for part in document["toward"]}:
        m = data.modalities.index(name)
        shown = [abs(part["bias"]) for part in document["toward"] if part["modality"] == name]
        assert shown == pytest.approx(sorted(true[m].abs().tolist(), reverse=True)[: len(shown)], abs=1e-6)


def test_an_anchor_is_named_by_the_concepts_that_prefer_it_most(run_of, capsys):
    run = run_of("anchored")
    part = told(run, capsys, "--top", "3")["toward"][0]
    module, data = open_run(run)
    net = module.net.eval()
    node = {sctid: i for i, sctid in enumerate(data.graph.data["concept"].sctid.tolist())}

    def preference(concept):
        """Whoever has this one concept in the first modality: how much more towards the anchor than towards others."""
        places = torch.full((1, 3, 1), -1)
        places[0, 0, 0] = concept
        alone = EvidenceBatch(places, torch.ones(1, 3, 1), torch.zeros_like(places))
        with torch.no_grad():
            toward = net.guidance(alone, torch.tensor([[True, False, False]])).toward[0]
        row = (torch.stack(net.fusion.lambdas).mean(0)[:, None] * toward[:, 0]).mean(0)
        return float(row[part["anchor"] - 1] - row.mean())

    named = [preference(node[concept["sctid"]]) for concept in part["drawn"]]
    assert named == sorted(named, reverse=True)
    others = set(range(0, len(node), 7)) - {node[concept["sctid"]] for concept in part["drawn"]}
    assert named[-1] >= max(map(preference, others)) - 1e-6


def test_a_modality_with_itself_counts_each_pair_once(run_of, capsys):
    run = run_of("messages")
    document = told(run, capsys, "--modalities", "labs", "labs", "--top", "999")
    (part,) = document["between"]
    strength, modalities = true_bias(run, document["sample_id"])
    m = modalities.index("labs")
    assert part["bias"] == pytest.approx(float(strength[m, m]), abs=1e-6)
    assert sum(p["contribution"] for p in part["pairs"]) == pytest.approx(part["bias"], abs=1e-9)
    held = math.isqrt(8 * part["n_pairs"] + 1)
    assert held * held == 8 * part["n_pairs"] + 1  # n (n + 1) / 2 pairs


@pytest.mark.parametrize("kind", each(["none", "tokens"]))
def test_no_bias_is_said_in_words(run_of, capsys, kind):
    run = run_of(kind)
    assert told(run, capsys)["between"] == []
    assert main(["explain-bias", str(run)]) == 0
    assert "gives no bias: the attention was not guided" in capsys.readouterr().out


def test_empty_evidence_is_said_in_words(run_of, capsys):
    run = run_of("linked")
    _, data = open_run(run)
    dataset = data.dataset(["held_out", "tuning", "train"])
    without = (dataset.present[:, 0] & ~dataset.evidence.mask[:, 0].any(-1)).nonzero()
    absent = (~dataset.present[:, 0]).nonzero()
    for rows, words in (
        (without, "No concept was found in note, so"),
        (absent, "note is absent in this patient, so"),
    ):
        if not len(rows):
            continue
        sample = str(int(dataset.sample_ids[int(rows[0])]))
        document = told(run, capsys, "--sample", sample, "--modalities", "note", "labs")
        assert document["between"][0]["said"].startswith(words)
        assert document["between"][0]["pairs"] == []
        assert main(["explain-bias", str(run), "--sample", sample]) == 0
        assert words in capsys.readouterr().out
    assert len(without) or len(absent)


@pytest.mark.parametrize("kind", each(["linked", "messages", "anchored"]))
def test_people_get_paths_and_a_page(run_of, tmp_path, capsys, kind):
    run = run_of(kind)
    document = told(run, capsys)
    page = tmp_path / "bias.html"
    assert main(["explain-bias", str(run), "--html", str(page)]) == 0
    text = capsys.readouterr().out
    shown = [p for part in document["between"] if not part["said"] for p in part["pairs"]]
    assert shown
    for pair in shown:
        assert (
            f"{pair['contribution']:+.4f}  share {pair['share']:4.0%}  {pair['a']['modality']}: {pair['a']['name']}"
            in text
        )
        if pair["path"]:
            step = pair["path"][0]
            arrow = f"--{step['relation']}-->" if step["forward"] else f"<--{step['relation']}--"
            assert arrow in text
    assert "completeness gap" in text or kind == "linked"
    assert ("towards anchor" in text) == (kind == "anchored")
    assert ("They went 2 steps from each concept" in text) == (kind != "linked")
    for part in document["toward"] or ():
        assert f"  most drawn to this anchor: {'; '.join(c['name'] for c in part['drawn'])}" in text
        assert f"<h2>{part['modality']} towards anchor {part['anchor']}</h2>" in page.read_text()
    written = page.read_text()
    assert written.count('<li><p class="who">') >= len(shown)
    assert "<script" not in written


def test_explain_tells_the_same_paths(run_of, capsys):
    run = run_of("similarity")
    document = told(run, capsys, "--top", "999")
    assert main(["explain", str(run), "--sample", str(document["sample_id"]), "--json"]) == 0
    paths = json.loads(capsys.readouterr().out)["paths"]
    known = {
        (p["a"]["modality"], p["b"]["modality"], round(p["contribution"], 9))
        for part in document["between"]
        for p in part["pairs"]
    }
    assert paths
    assert all((p["from_modality"], p["to_modality"], round(p["bias"], 9)) in known for p in paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sample", "99999"], "no sample 99999"),
        (["--modalities", "note", "smell"], "no modality 'smell'"),
        (["--top", "0"], "--top >= 1"),
        (["--steps", "0"], "--steps >= 1"),
        (["--ontology", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_told(run_of, capsys, change, message):
    assert main(["explain-bias", str(run_of("linked")), *change]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
