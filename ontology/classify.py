"""Inferred is-a from axioms, by an existing reasoner.

| reasoner | what it is                                           | needs                       | complete for        |
|----------|------------------------------------------------------|-----------------------------|---------------------|
| hermit   | HermiT, whose jar owlready2 ships (LGPL)             | Java                        | all of OWL 2 DL     |
| pellet   | Pellet 2.3, whose jars owlready2 ships (AGPL)        | Java                        | all of OWL 2 DL     |
| elk      | pyelk-reasoner, ELK's rules in Python with Rust      | that package, no Java       | OWL 2 EL            |

The jars are run by themselves and not through `owlready2.sync_reasoner_*`, which has no limit of time. A reasoner gets
the axioms of the terminology as they are, and for a concept without axioms those that its relations state. Two role
groups stay two restrictions on the role group, so that what is said in different groups is not put together.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from ontology.axioms import state
from ontology.codes import FIRST, key
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.functional_syntax import PREFIXES
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.writers.iris import from_iri, to_iri

REASONERS = ("auto", "hermit", "pellet", "elk")
_RESULT = re.compile(r"^(SubClassOf|EquivalentClasses)\( ((?:<[^>]+>\s*)+)\)$", re.MULTILINE)
_NOTHING, _THING = f"{PREFIXES['owl']}Nothing", f"{PREFIXES['owl']}Thing"
_PAIRS = {"source": pl.Int64(), "target": pl.Int64()}


@dataclass(frozen=True)
class Classification:
    """What a reasoner found.

    Attributes:
        is_a: source, target: direct is-a between satisfiable classes; redundant ones are left out, and of equivalent
            classes each has the parents of all.
        equivalent: source, target: pairs of different classes that mean the same, the smaller key first.
        unsatisfiable: Classes that nothing can belong to, ascending.
        reasoner: Which one it was.
        seconds: How long it took.
    """

    is_a: pl.DataFrame
    equivalent: pl.DataFrame
    unsatisfiable: list[int]
    reasoner: str
    seconds: float


def classify(
    content: Ontology | Parts, *, reasoner: str = "auto", memory_mb: int = 2000, timeout_s: float = 600.0
) -> Classification:
    """Infer is-a from the axioms of a terminology, or from its relations where a concept has no axiom.

    Args:
        content: An ontology, or parts: of a base and its extension together, `Parts.together([base, extension])`.
        reasoner: One of `REASONERS`; "auto" is "hermit" where there is Java, else "elk".
        memory_mb: The most that Java may take.
        timeout_s: The most seconds that Java may take.

    Raises:
        InputError: If an axiom does not parse, the reasoner is missing, runs out of time or memory, or finds the
            whole inconsistent.
    """
    if reasoner not in REASONERS:
        raise InputError(f"there is no reasoner '{reasoner}'", remedy=f"Use one of: {', '.join(REASONERS)}")
    java = shutil.which("java")
    chosen = reasoner if reasoner != "auto" else "hermit" if java or not find_spec("pyelk") else "elk"
    started = time.perf_counter()
    parts = content if isinstance(content, Parts) else disassemble(content)
    document = write_axioms(parts)
    if chosen == "elk":
        edges, same = _elk(document)
    elif java is None:
        raise InputError(
            f"the reasoner '{chosen}' needs Java, and there is none",
            remedy="Install a Java runtime, or pip install pyelk-reasoner and use reasoner='elk'",
        )
    else:
        edges, same = _java(java, chosen, document, memory_mb, timeout_s)
    return _result(edges, same, chosen, time.perf_counter() - started)


def write_axioms(parts: Parts) -> str:
    """Write the logical content as a document in OWL functional syntax.

    Args:
        parts: The content.

    Raises:
        InputError: If an axiom does not parse.
    """
    rows, collected = state(parts.axioms)  # each axiom is parsed here, so that none can break the document
    told = set(rows.filter(pl.col("gci") == 0)["source"].to_list())
    codes = dict(parts.codes.select("key", "code").iter_rows())

    def name(number: int) -> str:
        return f":{number}" if number < FIRST else f"<{to_iri(codes.get(number, str(number)))}>"

    axioms = [*dict.fromkeys(parts.axioms["axiom"].to_list())]
    others = pl.Series(sorted(told), dtype=pl.Int64).implode()
    defined = set(parts.concepts.filter("defined")["sctid"].to_list())
    untold = parts.relations.filter(~pl.col("source").is_in(others)).select(
        "source", "type", "target", value=pl.lit(None, dtype=pl.String), group="group"
    )
    values = parts.values.filter(~pl.col("source").is_in(others)).select(
        "source", "type", target=pl.lit(None, dtype=pl.Int64), value="value", group="group"
    )
    axioms += _from_relations(pl.concat([untold, values]), defined, name)
    entities = {name(k) for k in parts.concepts["sctid"].to_list()}
    roles = pl.concat([rows.select("type", "value"), untold.select("type", "value"),
                       values.select("type", "value")]).filter(pl.col("type") != IS_A).unique()  # fmt: skip
    data = {k for k, value in roles.iter_rows() if value is not None}
    objects = {k for k, value in roles.iter_rows() if value is None} | {ROLE_GROUP}
    objects |= {k for _, above, chain in collected.properties for k in (above, *chain) if k not in data}
    heads = [f"Prefix({prefix}:=<{space}>)" for prefix, space in PREFIXES.items()]
    declared = [f"Declaration(Class({e}))" for e in sorted(entities)]
    declared += [f"Declaration(ObjectProperty({name(k)}))" for k in sorted(objects)]
    declared += [f"Declaration(DataProperty({name(k)}))" for k in sorted(data)]
    return "\n".join([*heads, "Ontology(<urn:mh-diff:classify>", *declared, *axioms, ")", ""])


def _from_relations(rows: pl.DataFrame, defined: set[int], call: Callable[[int], str]) -> list[str]:
    about: defaultdict[int, list[str]] = defaultdict(list)
    groups: defaultdict[int, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for source, kind, target, value, group in rows.iter_rows():
        if kind == IS_A:
            about[source].append(call(target))
            continue
        text = (
            f"ObjectSomeValuesFrom({call(kind)} {call(target)})"
            if value is None
            else _value(call(kind), value)
        )
        if group:
            groups[source][group].append(text)
        else:
            about[source].append(text)
    for source, inside in groups.items():
        about[source] += [f"ObjectSomeValuesFrom(:{ROLE_GROUP} {_all(parts)})" for parts in inside.values()]
    return [
        f"{'EquivalentClasses' if source in defined and len(parts) > 1 else 'SubClassOf'}({call(source)} {_all(parts)})"
        for source, parts in about.items()
    ]


def _value(role: str, value: str) -> str:
    number = value.removeprefix("#")
    if number != value:
        kind = "integer" if re.fullmatch(r"[+-]?[0-9]+", number) else "decimal"
        return f'DataHasValue({role} "{number}"^^xsd:{kind})'
    text = value.removeprefix('"').removesuffix('"').replace("\\", "\\\\").replace('"', '\\"')
    return f'DataHasValue({role} "{text}"^^xsd:string)'


def _all(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"ObjectIntersectionOf({' '.join(parts)})"


def _java(
    java: str, reasoner: str, document: str, memory_mb: int, timeout_s: float
) -> tuple[list[tuple[str, str]], list[list[str]]]:
    import owlready2

    home = Path(owlready2.__file__).parent
    with tempfile.TemporaryDirectory(prefix="mh-diff-") as folder:
        file = Path(folder) / "axioms.ofn"
        file.write_text(document, "utf-8")
        if reasoner == "hermit":
            path = os.pathsep.join(str(p) for p in (home / "hermit", home / "hermit" / "HermiT.jar"))
            ask = ["org.semanticweb.HermiT.cli.CommandLine", "-c", "-O", "-D", "-I", file.as_uri()]
        else:
            path = os.pathsep.join(str(p) for p in sorted((home / "pellet").glob("*.jar")))
            ask = ["pellet.Pellet", "classify", "--loader", "OWLAPIv3", "--ignore-imports", str(file)]
        command = [java, f"-Xmx{memory_mb}M", "-cp", path, *ask]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"the reasoner '{reasoner}' took longer than {timeout_s:g} s",
                remedy="Give it more time, classify a smaller part, or use reasoner='elk'",
            ) from error
        except OSError as error:
            raise InputError(
                f"Java cannot be started ({error.strerror})", remedy="Check the Java runtime"
            ) from error
    said = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace")
    if "OutOfMemoryError" in said:
        raise InputError(
            f"the reasoner '{reasoner}' needs more than {memory_mb} MB", remedy="Give it more with memory_mb"
        )
    if "nconsistent" in said:
        raise InputError(
            "the axioms contradict one another: nothing could exist", remedy="Look at what is new"
        )
    if done.returncode:
        raise InputError(f"the reasoner '{reasoner}' failed: {' '.join(said.split())[:300]}")
    output = done.stdout.decode("utf-8").replace("\r", "")
    return _read_hermit(output) if reasoner == "hermit" else _read_pellet(output)


def _read_hermit(output: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    edges: list[tuple[str, str]] = []
    same: list[list[str]] = []
    for kind, names in _RESULT.findall(output):
        iris = re.findall(r"<([^>]+)>", names)
        if kind == "SubClassOf":
            edges.append((iris[0], iris[1]))
        else:
            same.append(iris)
    return edges, same


def _read_pellet(output: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Read Pellet's tree: indented lines, the classes that mean the same joined by " = "."""
    edges: list[tuple[str, str]] = []
    same: list[list[str]] = []
    above: list[tuple[int, str]] = []
    for line in output.splitlines():
        text = line.strip()
        if not re.match(r"(?:owl:|https?:|urn:)", text):
            continue
        indent = len(line) - len(line.lstrip())
        iris = [
            iri.replace("owl:", PREFIXES["owl"]) if iri.startswith("owl:") else iri
            for iri in text.split(" = ")
        ]
        if len(iris) > 1:
            same.append(iris)
        while above and above[-1][0] >= indent:
            above.pop()
        if above and _NOTHING not in iris:
            edges.append((iris[0], above[-1][1]))
        above.append((indent, iris[0]))
    return edges, same


def _elk(document: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    try:
        import pyelk
    except ImportError as error:
        raise InputError(
            "the reasoner 'elk' needs pyelk-reasoner", remedy="Install it with: pip install pyelk-reasoner"
        ) from error
    with tempfile.TemporaryDirectory(prefix="mh-diff-") as folder:
        file = Path(folder) / "axioms.ofn"
        file.write_text(document, "utf-8")
        with pyelk.Reasoner(str(file)) as reasoner:
            taxonomy = reasoner.classify().value
            nodes = [[c.iri.value for c in node.members] for node in taxonomy.nodes]
            edges = [
                (child.members[0].iri.value, parent.members[0].iri.value)
                for child, parent in taxonomy.direct_edges
            ]
    return edges, [iris for iris in nodes if len(iris) > 1]


def _result(
    edges: list[tuple[str, str]], same: list[list[str]], reasoner: str, seconds: float
) -> Classification:
    keys: dict[str, int] = {}

    def number(iri: str) -> int:
        if iri not in keys:
            keys[iri] = key(from_iri(iri))
        return keys[iri]

    ends = (_NOTHING, _THING)
    empty = sorted({number(i) for group in same if _NOTHING in group for i in group if i not in ends})
    twins = [[number(i) for i in group if i not in ends] for group in same if _NOTHING not in group]
    members = {k: group for group in twins for k in group}
    pairs = {
        (s, t)
        for a, b in edges
        if a not in ends and b not in ends
        for s in members.get(number(a), [number(a)])
        for t in members.get(number(b), [number(b)])
    }
    equal = sorted(
        (min(a, b), max(a, b)) for group in twins for i, a in enumerate(group) for b in group[i + 1 :]
    )
    gone = set(empty)
    kept = sorted((s, t) for s, t in pairs if s not in gone and t not in gone)
    return Classification(
        is_a=pl.DataFrame(kept, schema=_PAIRS, orient="row"),
        equivalent=pl.DataFrame(equal, schema=_PAIRS, orient="row"),
        unsatisfiable=empty,
        reasoner=reasoner,
        seconds=seconds,
    )
