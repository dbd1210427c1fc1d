from pathlib import Path

from graph_builders import build_ontology_graph
from ontology import load_rf2
from ontology.builtin import write_rf2


def test_every_relation_is_an_edge_with_its_group_and_its_reverse(tmp_path: Path):
    ontology = load_rf2(write_rf2(tmp_path / "rf2"))
    data = build_ontology_graph(ontology)
    data.validate(raise_on_error=True)
    relations = ontology.relations
    stated = sorted(
        zip(
            ontology.sctids[relations.source].tolist(),
            ontology.sctids[relations.target].tolist(),
            relations.group.tolist(),
            strict=True,
        )
    )
    sctid = data["concept"].sctid
    edges = []
    for kind in data.edge_types:
        if kind[1].startswith("rev_"):
            forward = data[kind[2], kind[1].removeprefix("rev_"), kind[0]]
            assert data[kind].edge_index.flip(0).equal(forward.edge_index)
            assert data[kind].group.equal(forward.group)
            continue
        source, target = sctid[data[kind].edge_index].tolist()
        edges += list(zip(source, target, data[kind].group.tolist(), strict=True))
    assert sorted(edges) == stated
    assert sctid.tolist() == ontology.sctids.tolist()
    assert data["concept"].depth.tolist() == ontology.depth.tolist()
