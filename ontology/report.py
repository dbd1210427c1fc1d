"""What a loader did: files read and not read, rows read, active and used, and what was dropped, by reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ontology.errors import InputError


@dataclass
class LoadReport:
    """The account of one load; it stays with the ontology and is printed by `mhdiff ontology info`.

    Attributes:
        source: The folder that was read, by its name.
        effective_time: The latest effectiveTime among the active rows, YYYYMMDD.
        dependencies: One entry a row of the module dependency: module, version, needs, needed version, found version.
        language_refset: The language reference set that decides the preferred terms, empty if there is none.
        files_read: One entry a file: file, kind, rows.
        files_not_read: One entry a file: file, reason.
        rows: For each kind of component, how many rows were read, are active, and were used.
        dropped: For each kind of component, how many active rows could not be used, by reason.
        expected: Those of the reasons in `dropped` that a faultless release has too, such as the terms of
        inactive
            concepts, which stay active.
        overridden: For each kind of component, how many rows of one package a later package replaced.
        tolerated: Oddities that cost no row, by what they are.
        modules: Active concepts by module.
        refsets: One entry a reference set: refset, name, kind, rows, and for maps the code system.
    """

    source: str = ""
    effective_time: str = ""
    language_refset: str = ""
    files_read: list[dict[str, Any]] = field(default_factory=list)
    files_not_read: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    expected: list[str] = field(default_factory=list)
    overridden: dict[str, int] = field(default_factory=dict)
    tolerated: dict[str, int] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)
    refsets: list[dict[str, Any]] = field(default_factory=list)
    dependencies: list[dict[str, Any]] = field(default_factory=list)

    def drop(self, kind: str, reason: str, count: int, *, expected: bool = False) -> None:
        """Count active rows that could not be used.

        Args:
            kind: What the rows are: "relationship", "description", ...
            reason: Why.
            count: How many; nothing is noted for none.
            expected: Whether a faultless release has such rows too; then `--strict` lets them pass.
        """
        if count and expected and f"{kind}: {reason}" not in self.expected:
            self.expected.append(f"{kind}: {reason}")
        if count:
            reasons = self.dropped.setdefault(kind, {})
            reasons[reason] = reasons.get(reason, 0) + int(count)

    def tolerate(self, what: str, count: int, *, expected: bool = False) -> None:
        """Count an oddity that cost no row.

        Args:
            what: What is odd.
            count: How often; nothing is noted for none.
            expected: Whether a faultless source has it too; then `--strict` lets it pass.
        """
        if count and expected and what not in self.expected:
            self.expected.append(what)
        if count:
            self.tolerated[what] = self.tolerated.get(what, 0) + int(count)

    def count(self, kind: str, **numbers: int) -> None:
        """Add to the row counts of a kind of component.

        Args:
            kind: What the rows are.
            numbers: What to add to `read`, `active` or `used`.
        """
        row = self.rows.setdefault(kind, {"read": 0, "active": 0, "used": 0})
        for key, number in numbers.items():
            row[key] += int(number)

    def problems(self) -> list[str]:
        """List everything that `--strict` makes an error, one line each."""
        found = [
            f"{kind}: {n} x {why}"
            for kind, reasons in self.dropped.items()
            for why, n in reasons.items()
            if f"{kind}: {why}" not in self.expected
        ]
        return found + [f"{n} x {what}" for what, n in self.tolerated.items() if what not in self.expected]

    def refuse_problems(self, path: Path) -> None:
        """Raise if there are problems, as `--strict` asks for.

        Args:
            path: What was read, for the message.

        Raises:
            InputError: If `problems` gives any.
        """
        if problems := self.problems():
            raise InputError(
                f"strict, and there are problems: {'; '.join(problems)}",
                path=path,
                remedy="Mend the source, or leave --strict out: then this is counted in the report",
            )

    def as_dict(self) -> dict[str, Any]:
        """Give plain dicts, lists, strings and numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> LoadReport:
        """Rebuild a report from `as_dict`; keys that this version does not know are left out.

        Args:
            document: What `as_dict` gave.
        """
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in document.items() if key in known})

    def lines(self) -> list[str]:
        """Give the report as text for a person, one fact a line."""
        text = [f"source           {self.source}, effective {self.effective_time or 'unknown'}"]
        text += [f"language refset  {self.language_refset or 'none: preferred terms are the first synonyms'}"]
        for kind, n in self.rows.items():
            text.append(
                f"{kind:<16} {n['read']:>9,} rows read  {n['active']:>9,} active  {n['used']:>9,} used"
            )
        text += [f"read             {f['file']} ({f['kind']}, {f['rows']:,} rows)" for f in self.files_read]
        text += [f"not read         {f['file']}: {f['reason']}" for f in self.files_not_read]
        for r in self.refsets:
            system = f" -> {r['system']}" if r.get("system") else ""
            text.append(
                f"reference set    {r['refset']} {r['name']}{system} ({r['kind']}, {r['rows']:,} rows)"
            )
        text += [f"module           {module} ({n:,} concepts)" for module, n in self.modules.items()]
        for d in self.dependencies:
            found = d["found"] or "unknown"
            text.append(
                f"dependency       {d['module']} {d['version']} needs {d['needs']} {d['needed']}: {found}"
            )
        for kind, reasons in self.dropped.items():
            text += [f"dropped          {n:,} {kind} rows: {reason}" for reason, n in reasons.items()]
        text += [
            f"overridden       {n:,} {kind} rows by a later package" for kind, n in self.overridden.items()
        ]
        return text + [f"tolerated        {n:,} x {what}" for what, n in self.tolerated.items()]
