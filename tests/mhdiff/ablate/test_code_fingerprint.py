"""Whatever code a training reads is in the fingerprint of the code, so that no cell outlives a change of it."""

import ast
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mhdiff.ablate import code
from mhdiff.ablate.cells import data_fingerprints

HOME = Path(__file__).resolve().parents[3]
OURS = ("ontology", "graph_builders", "mhdiff")
#: What a cell is trained by, and the packages of parts that a configuration may name.
ROOTS = ("training/run", "training/embed", "builtin", "model", "head", "augmentation")
PARTS = ("encoders", "guidance", "fusion", "diffusion", "losses", "baselines", "corruption", "cohort")
#: Libraries that a training loads and that decide nothing: shapes in signatures, YAML, progress, bits to and from disk,
#: and what only imports read with.
PLAIN = {
    "jaxtyping",
    "yaml",
    "rich",
    "threadpoolctl",
    "safetensors",
    "huggingface_hub", "ray", "jsonargparse", "isal",
         "sqlalchemy"}  # fmt: skip


def file_of(module):
    place = HOME.joinpath(*module.split("."))
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)


def imported(file):
    """The modules that a file imports, wherever in it, but not those that only its types name."""
    tree = ast.parse(file.read_text())
    typed = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    skipped = {id(inner) for node in typed for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.fixture(scope="module")
def followed():
    """The files that a training may read by following imports, each with who imports it; and the libraries."""
    roots = [HOME / "mhdiff" / f"{root}.py" for root in ROOTS]
    roots += [file for part in PARTS for file in (HOME / "mhdiff" / part).rglob("*.py")]
    files, libraries, waiting = {}, {}, [(root, None) for root in roots]
    while waiting:
        file, by = waiting.pop()
        if file in files:
            continue
        files[file] = by
        for module in imported(file):
            names = module.split(".")
            if names[0] not in OURS:
                libraries.setdefault(names[0], file)
                continue
            above = (
                ".".join(names[: i + 1]) for i in range(len(names))
            )  # a package is imported with its modules
            waiting += [(found, file) for name in above if (found := file_of(name)) is not None]
    return files, libraries


def test_every_module_that_a_training_may_import_is_known(followed):
    files, _ = followed
    known = set(code.sources())
    left_out = {str(f.relative_to(HOME)): str(by) for f, by in files.items() if f not in known}
    assert left_out == {}
    assert HOME / "mhdiff" / "evaluate" / "patterns.py" in files
    assert len(files) > 150


def test_what_only_judges_or_tells_is_left_out():
    known = {file.relative_to(HOME).as_posix() for file in code.sources()}
    for harmless in (
        "evaluate/bootstrap.py",
        "report/page.py",
        "ablate/run.py",
        "commands/fit.py",
        "audit/run.py",
    ):
        assert (HOME / "mhdiff" / harmless).is_file()
        assert f"mhdiff/{harmless}" not in known
    assert "ontology/builtin/labs.tsv" in known


def test_every_library_that_a_training_may_import_is_known_by_its_version(followed):
    _, libraries = followed
    there = {library.replace("-", "_") for library in code.LIBRARIES} | {"sklearn", "PIL"}
    strange = {n: str(f) for n, f in libraries.items() if n not in sys.stdlib_module_names | there | PLAIN}
    assert strange == {}
    assert {"torch", "sklearn", "scipy", "pytorch_lightning", "polars"} <= set(libraries)


@pytest.mark.parametrize("library", ["scikit-learn", "scipy", "pytorch-lightning", "polars"])
def test_an_upgrade_of_a_library_is_another_code(monkeypatch, library):
    version = metadata.version
    before = code.code_fingerprint.__wrapped__()
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == library else version(name))
    assert code.code_fingerprint.__wrapped__() != before


def test_a_users_own_part_is_known_by_its_code(tmp_path, monkeypatch):
    """Also where the configuration is the same text: another model is another cell."""
    (tmp_path / "mine_alone.py").write_text("class Fusion: width = 1")
    (tmp_path / "mine" / "layers").mkdir(parents=True)
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "layers" / "__init__.py").write_text("class Head: width = 1")
    monkeypatch.syspath_prepend(tmp_path)
    base = (
        "model: {fusion: {class_path: mine_alone.Fusion}, head: mine.layers.Head, encoder: torch.nn.Linear}"
    )
    options = ("--model.guidance=mhdiff.guidance.Linked", "--data.split=file.parquet", "--seed_everything=1")

    def found():
        return data_fingerprints(base, options, tmp_path / "base.yaml")

    before = found()
    assert set(before) == {"mine_alone.Fusion", "mine.layers.Head"}
    (tmp_path / "mine_alone.py").write_text("class Fusion: width = 2")
    changed = found()
    assert changed["mine_alone.Fusion"] != before["mine_alone.Fusion"]
    assert changed["mine.layers.Head"] == before["mine.layers.Head"]
    (tmp_path / "mine" / "layers" / "__init__.py").write_text("class Head: width = 2")
    assert found()["mine.layers.Head"] != before["mine.layers.Head"]
    assert "mine" not in sys.modules


LOADED = """
import json, sys
from pathlib import Path
from mhdiff.training.embed import embed_cell
from mhdiff.training.run import fit_cell
config, out = Path(sys.argv[1]), Path(sys.argv[2])
short = ["--trainer.max_epochs=1", "--data.modalities=[note,labs,codes]", "--seed_everything=1"]
fit_cell(config, short, out / "net", ("note",))
fit_cell(config, [*short, "--config=configs/baselines/logistic_regression.yaml"], out / "table", ("note",))
embed_cell(config, short, out / "encoders")
ours = [m for name, m in sys.modules.items() if name.partition(".")[0] in ("ontology", "graph_builders", "mhdiff")]
print(json.dumps(sorted(m.__file__ for m in ours if getattr(m, "__file__", None))))
"""


@pytest.mark.slow  # three trainings in a process of their own: 30 s
def test_every_module_that_trainings_load_is_known(small_config, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(small_config), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=HOME, env=os.environ | {"PYTHONPATH": str(HOME)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = {Path(file) for file in json.loads(done.stdout.splitlines()[-1])}
    assert len(loaded) > 100
    assert sorted(loaded - set(code.sources())) == []
