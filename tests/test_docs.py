"""Every example in README and docs is executed, a page in order: `>>>` by doctest, `$ mhdiff ...` by the command line.

A page goes on from what README's examples have left, which is made once in a process.

A block whose fence names a file (```csv runs/readme/own/nodes.csv) is written there first. Pages of `REAL` need data
that the project does not hold: they run where the data are, in a folder `data`, and are skipped elsewhere. Pages of
`INVENTED` are on data that need credentials, and run on invented ones of the same layout.
"""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mhdiff.cli import main
from tests import needs

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: page -> the other page whose examples it goes on from
AFTER = {"report.md": "prior.md"}
#: Five trainings, near relatives of tests/mhdiff/guidance/test_layers_from_yaml.py and of the layers in test_fit.py;
#: densities of many draws, as tests/mhdiff/training/test_synthetic_latents.py has of few; and a modality of one's own.
LONG = {"layers.md", "latents.md", "modalities.md"}
REAL = {"omop.md": "data/omop", "sites.md": "data"}  # page -> where its data are below the shared folder
#: page -> the module of tests/mhdiff/cohort whose `many` writes invented data of that layout, and where
INVENTED = {
    "mimic-cxr.md": ("mimic_source", "data/physionet.org"),
    "uk-biobank.md": ("ukb_source", "data/ukb"),
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("reader")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def run(page: Path) -> None:
    """Run a page's examples in the current folder."""
    fences = re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for number, (language, file, block) in enumerate(fences):
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(block, encoding="utf-8")
        elif language == "python":
            test = doctest.DocTestParser().get_doctest(block, {}, f"{page.name}[{number}]", str(page), 0)
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0, page.name
        elif language == "console":
            for line in block.splitlines():
                assert line.startswith("$ mhdiff "), f"{page.name}: {line}"
                assert main(shlex.split(line)[2:]) == 0, f"{page.name}: {line}"


@pytest.fixture(scope="module")
def begun():
    """The names of the pages whose examples were run in the workplace."""
    return set()


def run_once(page: Path, begun: set[str]) -> None:
    """Run a page's examples after those that it goes on from, unless that was tried."""
    if page.name not in begun:
        begun.add(page.name)
        for before in PAGES:
            if before.name in ("README.md", AFTER.get(page.name)):
                run_once(before, begun)
        run(page)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in LONG else ())
        for page in PAGES
        if page.name not in REAL | INVENTED
    ],
    ids=lambda page: page.name,
)
def test_every_example_runs(page, workplace, begun, monkeypatch):
    monkeypatch.chdir(workplace)
    run_once(page, begun)


@pytest.mark.parametrize("name", INVENTED)
def test_every_example_on_invented_data_runs(name, tmp_path, monkeypatch):
    if name == "uk-biobank.md":
        needs.module("nibabel")  # of the extra `imaging`
    module, place = INVENTED[name]
    monkeypatch.syspath_prepend(ROOT / "tests" / "mhdiff" / "cohort")
    importlib.import_module(module).many(tmp_path / place).write()
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / name)


@pytest.mark.parametrize("name", REAL)
def test_every_example_on_real_data_runs(shared, name, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(shared / REAL[name])
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / name)


def test_every_yaml_example_is_accepted(workplace, small_ablation_base):
    from mhdiff.ablate import Ablation
    from mhdiff.cohort import Task
    from mhdiff.tune import Search

    for page in PAGES:
        for block in blocks(page, "yaml"):
            content = yaml.safe_load(block)
            if "arms" in content or "factors" in content:
                path = workplace / "mine.yaml"
                path.write_text(block.replace("demo.yaml", str(small_ablation_base)))
                made, spelled = set(Ablation.load(path).arms), set(content.get("arms", ()))
                assert spelled < made if "factors" in content else spelled == made
            elif "space" in content:
                path = workplace / "mine.yaml"
                path.write_text(block.replace("demo.yaml", str(small_ablation_base)))
                assert set(Search.load(path).space) == set(content["space"])
            elif "outcome" in content:
                assert Task.from_dict(content).outcome is not None
            else:
                from jsonargparse import ArgumentParser

                from mhdiff.candidates import CANDIDATES, Candidates
                from mhdiff.training.module import Diagnosis

                parser = ArgumentParser(exit_on_error=False)
                parser.add_class_arguments(Diagnosis, "model", instantiate=False)
                given = yaml.safe_dump({"model": {"encoders": {}, **content["model"]}})
                parsed = parser.parse_string(given)
                for part, said in content["model"].items():
                    if part == "inference":  # settings of one class, whose values are the defaults
                        assert Candidates(**said) == Candidates(**vars(parsed.model[part])) == CANDIDATES
                        continue
                    assert class_paths(parsed.model[part]) == class_paths(said)


def class_paths(value) -> list[str]:
    """The classes that a part of a configuration names, or those of a list of parts."""
    return [one["class_path"] for one in (value if isinstance(value, list) else [value])]


@pytest.fixture(scope="module")
def small_ablation_base():
    return ROOT / "configs" / "demo.yaml"


def test_every_link_leads_somewhere():
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_tree_of_the_architecture_is_there():
    named = re.findall(r"^  ([a-z_]+)(/|\.py) ", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    assert len(named) > 8
    for name, kind in named:
        assert (ROOT / "mhdiff" / f"{name}{kind}").exists(), name
