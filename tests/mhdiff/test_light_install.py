"""Without the packages of the extra `model`, `ontology` and its verbs work whole; other verbs say what is missing."""

import json
import subprocess
import sys

import pytest

BLOCK = """
import sys

class Block:
    names = {"torch", "torch_geometric", "transformers", "monai", "pytorch_lightning", "lightning", "captum", "sklearn",
             "jsonargparse", "jaxtyping", "safetensors", "PIL", "jinja2", "huggingface_hub", "tokenizers"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
"""
RUN = "from mhdiff.cli import main; sys.exit(main(sys.argv[1:]))"
#: Many commands in one process, which takes longer to start than to answer; each says its code and what it printed.
SEVERAL = """
import contextlib, io, json
from mhdiff.cli import main
for arguments in json.loads(sys.argv[1]):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    print(json.dumps([arguments, code, told.getvalue()]))
"""


def run(*arguments, code=RUN):
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *map(str, arguments)], capture_output=True, text=True
    )


def test_the_verbs_of_the_ontology_work_whole(tmp_path):
    out = str(tmp_path / "o")
    commands = [
        ["--help"], ["ontology", "build", "builtin", "--out", out], ["ontology", "info", out],
        ["ontology", "show", out, "Pneumonia"], ["ontology", "search", out, "pneumonia"],
        ["ontology", "recognise", out, "Fever and cough."], ["ontology", "select", out, "*", "--limit", "3"],
        ["ontology", "map", out, "J18.9", "--system", "ICD-10"], ["ontology", "similarity", out, "Pneumonia", "Cough"],
        ["ontology", "export", out, "--format", "turtle", "--out", f"{out}.ttl"], ["doctor"],
    ]  # fmt: skip
    done = run(json.dumps(commands), code=SEVERAL)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [arguments for arguments, _, _ in told] == commands
    for arguments, code, printed in told:
        assert not code, f"{arguments}: {done.stderr}"
        assert printed or "--out" in arguments


def test_a_cohort_is_described(small_data):
    done = run("cohort", "info", small_data / "cohort", "--task", "pneumonia")
    assert done.returncode == 0, done.stderr
    assert "Task pneumonia" in done.stdout


@pytest.mark.parametrize(
    "verb",
    [
        ["fit", "-c", "configs/demo.yaml"],
        ["demo"],
        ["evaluate", "x"],
        ["cohort", "audit", "x", "--task", "pneumonia"],
    ],
)
def test_other_verbs_name_the_extra(verb):
    done = run(*verb)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "pip install 'mh-diff[model]'" in done.stderr


def test_importing_the_ontology_loads_nothing_heavy():
    heavy = (
        "{'torch', 'transformers', 'monai', 'pandas', 'polars', 'scipy', 'rdflib', 'owlready2', 'networkx'}"
    )
    done = run(code=f"import ontology; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout == "[]\n"
