"""Runs an existing reasoner over a document in functional syntax, in a process of its own with a limit of time.

The jars are run by themselves and not through `owlready2.sync_reasoner_*`, which has no limit of time. pyelk-reasoner
runs in a Python of its own for the same reason; what it calls incomplete is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ontology.errors import InputError
from ontology.functional_syntax import PREFIXES

# How Java ends at once with ExitOnOutOfMemoryError; without it, it may have no memory left to say what is wrong.
_OUT_OF_MEMORY = 3
REASONERS = ("auto", "hermit", "pellet", "elk")
NOTHING, THING = f"{PREFIXES['owl']}Nothing", f"{PREFIXES['owl']}Thing"
# Direct pairs (below, above), and groups of classes that mean the same; IRIs without brackets.
Taxonomy = tuple[list[tuple[str, str]], list[list[str]]]

_RESULT = re.compile(r"^(SubClassOf|EquivalentClasses)\( ((?:<[^>]+>\s*)+)\)$", re.MULTILINE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S")
_ELK = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import pyelk
with pyelk.Reasoner(sys.argv[2]) as reasoner:
    found = reasoner.classify()
    nodes = [[c.iri.value for c in node.members] for node in found.value.nodes]
    edges = [(a.members[0].iri.value, b.members[0].iri.value) for a, b in found.value.direct_edges]
    why = sorted({feature for reason in found.reasons for feature in reason.features})
json.dump({"complete": found.complete, "why": why, "nodes": nodes, "edges": edges}, sys.stdout)
"""


def choose(reasoner: str) -> str:
    """Say which reasoner "auto" is on this machine, and refuse one that is missing.

    Args:
        reasoner: One of `REASONERS`.

    Returns:
        "hermit", "pellet" or "elk".

    Raises:
        InputError: If there is none of that name, or what it needs is not installed.
    """
    if reasoner not in REASONERS:
        raise InputError(f"there is no reasoner '{reasoner}'", remedy=f"Use one of: {', '.join(REASONERS)}")
    java, elk = shutil.which("java"), find_spec("pyelk")
    chosen = reasoner if reasoner != "auto" else "hermit" if java or not elk else "elk"
    if chosen != "elk" and java is None:
        raise InputError(
            f"the reasoner '{chosen}' needs Java, and there is none",
            remedy="Install a Java runtime (such as openjdk-17-jre-headless), or pip install pyelk-reasoner and use "
            "the reasoner 'elk'",
        )
    if chosen == "elk" and elk is None:
        raise InputError(
            "the reasoner 'elk' needs pyelk-reasoner", remedy="Install it with: pip install pyelk-reasoner"
        )
    return chosen


def run(reasoner: str, document: str, memory_mb: int, timeout_s: float) -> Taxonomy:
    """Classify a document.

    Args:
        reasoner: What `choose` gave.
        document: OWL functional syntax.
        memory_mb: The most memory that Java may take.
        timeout_s: The most seconds that it may take.

    Raises:
        InputError: If it runs out of time or memory, fails, finds the whole inconsistent, or is incomplete for it.
    """
    import owlready2

    home = Path(owlready2.__file__).parent
    with tempfile.TemporaryDirectory(prefix="mh-diff-") as folder:
        file = Path(folder) / "axioms.ofn"
        file.write_text(document, "utf-8")
        java = [shutil.which("java") or "java", f"-Xmx{memory_mb}M", "-XX:+ExitOnOutOfMemoryError", "-cp"]
        if reasoner == "hermit":
            path = os.pathsep.join(str(p) for p in (home / "hermit", home / "hermit" / "HermiT.jar"))
            ask = ["org.semanticweb.HermiT.cli.CommandLine", "-c", "-O", "-D", "-I", file.as_uri()]
            output = _call(reasoner, [*java, path, *ask], memory_mb, timeout_s)
            return _read_hermit(output)
        if reasoner == "pellet":
            path = os.pathsep.join(str(p) for p in sorted((home / "pellet").glob("*.jar")))
            ask = ["pellet.Pellet", "classify", "--loader", "OWLAPIv3", "--ignore-imports", str(file)]
            output = _call(reasoner, [*java, path, *ask], memory_mb, timeout_s)
            return _read_pellet(output)
        output = _call(
            reasoner, [sys.executable, "-c", _ELK, json.dumps(sys.path), str(file)], memory_mb, timeout_s
        )
    found = json.loads(output)
    if not found["complete"]:
        raise InputError(
            f"the reasoner 'elk' is incomplete for what the axioms use: {', '.join(found['why'])}",
            remedy="Use the reasoner 'hermit'",
        )
    same = [names for names in found["nodes"] if len(names) > 1]
    if any(NOTHING in names and THING in names for names in same):
        raise _inconsistent()
    return [(a, b) for a, b in found["edges"]], same


def _inconsistent() -> InputError:
    return InputError(
        "the axioms are inconsistent: they contradict one another, and nothing could exist",
        remedy="Look at what is new, first at axioms on owl:Thing and at disjoint classes",
    )


def _call(reasoner: str, command: list[str], memory_mb: int, timeout_s: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"the reasoner '{reasoner}' took longer than {timeout_s:g} s",
            remedy="Give it more time, or classify only the concepts that are new",
        ) from error
    except OSError as error:
        raise InputError(
            f"the reasoner '{reasoner}' cannot be started ({error.strerror})", remedy="Check the Java runtime"
        ) from error
    if done.returncode == 0:
        return done.stdout.decode("utf-8").replace("\r", "")
    said = done.stderr.decode("utf-8", "replace")  # without the output, whose names may be called anything
    if re.search(r"\bInconsistentOntologyException\b|^ERROR: Ontology is inconsistent", said, re.MULTILINE):
        raise _inconsistent()
    if done.returncode == _OUT_OF_MEMORY or re.search(r"\bOutOfMemoryError\b|\bMemoryError\b", said):
        raise InputError(
            f"the reasoner '{reasoner}' needs more than {memory_mb} MB", remedy="Give it more with memory_mb"
        )
    telling = [line.strip() for line in said.splitlines() if re.search(r"Exception|Error|ERROR", line)]
    raise InputError(
        f"the reasoner '{reasoner}' failed: {' '.join((telling or said.split())[:3])[:300]}",
        remedy="Look at the axioms that this names",
    )


def _read_hermit(output: str) -> Taxonomy:
    edges: list[tuple[str, str]] = []
    same: list[list[str]] = []
    for kind, names in _RESULT.findall(output):
        iris = re.findall(r"<([^>]+)>", names)
        if kind == "SubClassOf":
            edges.append((iris[0], iris[1]))
        else:
            same.append(iris)
    return edges, same


def _read_pellet(output: str) -> Taxonomy:
    """Read Pellet's tree: indented lines, the classes that mean the same joined by " = "."""
    edges: list[tuple[str, str]] = []
    same: list[list[str]] = []
    above: list[tuple[int, str]] = []
    for line in output.splitlines():
        text = line.strip()
        if not _SCHEME.match(text):
            continue
        indent = len(line) - len(line.lstrip())
        iris = [re.sub("^owl:", PREFIXES["owl"], iri) for iri in text.split(" = ")]
        if len(iris) > 1:
            same.append(iris)
        while above and above[-1][0] >= indent:
            above.pop()
        if above and NOTHING not in iris:
            edges.append((iris[0], above[-1][1]))
        above.append((indent, iris[0]))
    return edges, same
