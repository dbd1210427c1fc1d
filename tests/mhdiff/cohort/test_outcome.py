"""Labels from later events, against rules that are written again as plain loops over plain dates."""

import json
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.outcome import DEATH, END, REASONS, START, label, outcome_codes
from mhdiff.cohort.relabel import told
from ontology import Ontology, load_omop
from ontology.errors import InputError
from tests.searches import examples

ZERO = datetime(2010, 1, 1)
HEADER = "concept_id,concept_name,vocabulary_id,concept_code,invalid_reason\n"
CONCEPT = (
    HEADER + "1,Sinusitis,SNOMED,36971009,\n2,Viral sinusitis,SNOMED,444814009,\n3,Cough,SNOMED,49727002,\n"
)
CONCEPT += "4,Acute sinusitis,ICD10CM,J01.90,\n"
ISA = "concept_id_1,concept_id_2,relationship_id,invalid_reason\n2,1,Is a,\n4,1,Maps to,\n"


@pytest.fixture(scope="module")
def ontology(tmp_path_factory) -> Ontology:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "CONCEPT.csv").write_text(CONCEPT)
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(ISA)
    return load_omop(folder)


def day(n):
    return ZERO + timedelta(days=n)


def task(**outcome):
    return asked({"concepts": [36971009], "index": {"every_days": 100}, "horizon_days": 100, **outcome})


def asked(content):
    return Task.from_dict(
        {
            "name": "t", "labels": "t", "classes": ["no", "yes"], "modalities": {"codes": {"prefixes": ["SNOMED/"]}},
            "outcome": content,
        }
    )  # fmt: skip


def events_of(subject, start, end, outcomes=(), died=None, others=()):
    rows = [(subject, day(start), START, None, None), (subject, day(end), END, None, None)]
    rows += [(subject, day(n), code, None, None) for n, code in outcomes]
    rows += [(subject, day(n), code, None, None) for n, code in others]
    rows += [(subject, day(died), DEATH, None, None)] if died is not None else []
    return sorted(rows, key=lambda row: row[1])


VIRAL = "SNOMED/444814009"


def test_every_reason_by_hand(write_cohort, ontology):
    rows = [
        *events_of(1, 0, 350, [(150, VIRAL)], others=[(250, "SNOMED/49727002")]),
        *events_of(2, 0, 350, [(100, VIRAL)]),  # at the very time is before
        *events_of(3, 0, 350, died=150),
        *events_of(4, 0, 120),
        *events_of(5, 0, 350, [(105, "ICD10CM/J01.90"), (180, "SNOMED/36971009")]),
    ]
    rows += events_of(6, 0, 350)
    folder = write_cohort(rows, {}, dict.fromkeys(range(1, 7), "train"))
    made = label(Cohort.open(folder), task(history_days=100, gap_days=10), ontology)
    assert made.labels.rows() == [(1, day(100), "yes"), (6, day(100), "no"), (6, day(200), "no")]
    assert made.report["predictions"] == {"asked": 16, "patients": 6, "labelled": 3}
    assert made.report["excluded"] == {
        "dead by the prediction time": 2,  # 3 at 200 and 300
        "outcome already before the prediction time": 7,  # 1 and 5 at 200 and 300, 2 always
        "outcome within the gap": 1,  # 5 at 100
        "died before the horizon's end, without the outcome": 1,  # 3 at 100
        "observation ends before the horizon's end, without the outcome": 2,  # 4 at 100, 6 at 300
    }


def brute(spec, rows):
    """Give {(subject, t): label or reason} by the rules as the module's first lines state them."""
    found = {}
    for subject in {row[0] for row in rows}:
        own = [(time, code) for s, time, code, *_ in rows if s == subject]
        start, end = (next(t for t, c in own if c == code) for code in (START, END))
        hits = [t for t, c in own if c.startswith(("SNOMED/444814009", "SNOMED/36971009", "ICD10CM/"))]
        died = next((t for t, c in own if c == DEATH), None)
        t = start + timedelta(days=spec.history_days)
        while t <= end:
            if spec.since is not None and t.date() < spec.since:
                t += timedelta(days=spec.every_days)
                continue
            opened = t + timedelta(days=spec.gap_days)
            closed = opened + timedelta(days=spec.horizon_days)
            since = datetime.min if spec.washout_days is None else t - timedelta(days=spec.washout_days)
            positive = any(opened < e <= closed for e in hits)
            if died is not None and died <= t:
                found[subject, t] = REASONS[1]
            elif any(since < e <= t for e in hits):
                found[subject, t] = REASONS[3]
            elif any(t < e <= opened for e in hits):
                found[subject, t] = REASONS[4]
            elif positive:
                found[subject, t] = "yes"
            elif died is not None and died <= closed:
                found[subject, t] = REASONS[5]
            elif end < closed:
                found[subject, t] = REASONS[6]
            else:
                found[subject, t] = "no"
            t += timedelta(days=spec.every_days)
    return found


class Plain:
    """What `label` needs of a cohort, without files."""

    path = None

    def __init__(self, rows):
        schema = {
            "subject_id": pl.Int64,
            "time": pl.Datetime("us"),
            "code": pl.String,
            "n": pl.Float32,
            "t": pl.String,
        }
        self.frame = pl.DataFrame(rows, schema=schema, orient="row")
        codes = self.frame["code"].unique()
        self.codes = pl.DataFrame(
            {"code": codes, "description": [None] * len(codes), "parent_codes": [None] * len(codes)},
            schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
        )

    def scan(self):
        return self.frame.lazy()


DAYS = st.integers(0, 500)
CODES = st.sampled_from([VIRAL, "SNOMED/36971009", "ICD10CM/J01.90"])
PERSONS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(61, 500),
        st.lists(st.tuples(DAYS, CODES), max_size=4),
        st.none() | DAYS,
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    PERSONS,
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 60),
    st.sampled_from([None, 0, 1, 40]),
    st.integers(0, 20),
    st.sampled_from([None, date(2009, 1, 1), date(2010, 5, 1)]),
)
def test_labels_agree_with_plain_loops(ontology, people, every, horizon, history, washout, gap, since):
    rows = [row for i, person in enumerate(people) for row in events_of(i + 1, *person)]
    rows += events_of(99, 0, 500, [(450, VIRAL)])  # so that there is a code
    spec = task(
        index={"every_days": every} | ({"since": since} if since else {}),
        horizon_days=horizon,
        history_days=history,
        washout_days=washout,
        gap_days=gap,
    )
    wanted = brute(spec.outcome, rows)
    counts = {value: list(wanted.values()).count(value) for value in set(wanted.values())}
    if not counts.get("yes") or not counts.get("no"):
        with pytest.raises(InputError, match=r"has the class '(no|yes)'"):
            label(Plain(rows), spec, ontology)
        return
    made = label(Plain(rows), spec, ontology)
    assert {(s, t): v for s, t, v in made.labels.iter_rows()} == {
        key: value for key, value in wanted.items() if value in ("no", "yes")
    }
    assert made.report["excluded"] == {r: counts[r] for r in REASONS if r in counts}


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PERSONS, st.integers(1, 90), st.sampled_from([None, 0, 40]), st.integers(0, 20))
def test_yes_and_otherwise_no_is_the_outcome_that_happens_or_does_not(
    ontology, people, horizon, washout, gap
):
    rows = [row for i, person in enumerate(people) for row in events_of(i + 1, *person)]
    rows += events_of(99, 0, 500, [(450, VIRAL)])
    same = {"horizon_days": horizon, "washout_days": washout, "gap_days": gap}
    codes = ["SNOMED/444814009", "SNOMED/36971009", "ICD10CM/J01*"]
    index = {"index": {"every_days": 100}}
    own = {"no": {"otherwise": True}, "yes": {"codes": codes}}
    made = []
    for outcome in ({"concepts": [36971009]}, {"codes": codes}, {"classes": own}):
        try:
            found = label(Plain(rows), asked(outcome | index | same), ontology)
            made.append((found.labels.rows(), found.report["excluded"]))
        except InputError as error:
            made.append(error.problem)
    assert made[0] == made[1] == made[2]


def test_prediction_at_an_event_or_a_day_and_without_periods(write_cohort, ontology):
    rows = [(1, day(n), "VISIT//END", None, None) for n in (0, 10, 20)]
    rows += [(2, day(n), "VISIT//END", None, None) for n in (0, 5)]
    rows += [(1, day(40), VIRAL, None, None), (2, day(400), "SNOMED/49727002", None, None)]
    folder = write_cohort(sorted(rows, key=lambda r: r[:2]), {}, {1: "train", 2: "train"})
    cohort = Cohort.open(folder)
    second = label(cohort, task(index={"event": ["VISIT//"], "nth": 2}), ontology)
    assert second.labels.rows() == [(1, day(10), "yes"), (2, day(5), "no")]
    fixed = label(cohort, task(index={"date": date(2010, 1, 4)}), ontology)
    assert fixed.labels.rows() == [(1, day(3), "yes"), (2, day(3), "no")]
    assert outcome_codes(cohort, (36971009,), ontology) == {VIRAL: None}


def test_the_outcome_is_blinded_without_being_listed():
    assert task().blinded.concepts == (36971009,)


WRONG = {
    "horizon": ({"horizon_days": 0}, "'outcome.horizon_days' must be a number of days above 0"),
    "gap": ({"gap_days": -1}, "'outcome.gap_days'"),
    "index": ({"index": {"visit": 1}}, "'outcome.index' must be"),
    "event": ({"index": {"event": []}}, "must list prefixes"),
    "nth": ({"index": {"event": ["V"], "nth": 0}}, "whole number from 1"),
    "since": ({"index": {"every_days": 3, "since": 2004}}, "'outcome.index.since' must be a day"),
    "date": ({"index": {"date": "soon"}}, "must be a day"),
    "concepts": ({"concepts": ["J18"]}, "SCTIDs as whole numbers"),
    "key": ({"follow_up": 3}, "unknown key 'follow_up'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_outcomes_are_refused(case):
    outcome, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        task(**outcome)


def test_label_replaces_the_folder_at_once_and_leaves_it_alone_when_it_fails(
    write_cohort, ontology, tmp_path, capsys
):
    rows = [*events_of(1, 0, 350, [(150, VIRAL)]), *events_of(2, 0, 350)]
    folder = write_cohort(rows, {"old": [(1, day(1), "a")]}, {1: "train", 2: "train"}, {"images/a.png": b"x"})
    before = Cohort.open(folder)
    kept = before.fingerprint
    ontology.save(tmp_path / "O")
    (tmp_path / "t.yaml").write_text(
        "name: t\nlabels: t\nclasses: ['no', 'yes']\nmodalities: {codes: {prefixes: [SNOMED/]}}\n"
        "outcome: {concepts: [36971009], index: {every_days: 100}, horizon_days: 100}\n"
    )
    verb = ["cohort", "label", str(folder), "--ontology", str(tmp_path / "O"), "--task"]
    assert main([*verb, "covid_icu"]) == 2
    assert "has no 'outcome'" in capsys.readouterr().err
    assert Cohort.open(folder).fingerprint == kept
    assert main([*verb, str(tmp_path / "t.yaml"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["classes"] == {name: {"samples": "hidden", "patients": "hidden"} for name in ("no", "yes")}
    after = Cohort.open(folder)
    assert after.label_names == ["old", "t"]
    assert after.fingerprint != kept
    assert after.validate() == []
    kept = after.metadata["mhdiff"]["labels"]["t"]
    assert kept["codes"] == {VIRAL: None}
    assert kept["classes"] == {"no": {"samples": 4, "patients": 2}, "yes": {"samples": 1, "patients": 1}}
    assert (folder / "images" / "a.png").read_bytes() == b"x"
    (tmp_path / "link").symlink_to(folder)
    assert main(["cohort", "label", str(tmp_path / "link"), *verb[3:], str(tmp_path / "t.yaml")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert (
        "Classes with fewer than 10 patients, or not shown: no (hidden), yes (hidden)"
        in capsys.readouterr().out
    )
    assert Cohort.open(folder).fingerprint == after.fingerprint


def test_no_printed_count_is_of_fewer_than_five_nor_can_be_reckoned():
    report = {
        "task": "t",
        "outcomes": {"events": 30, "patients": 3},
        "predictions": {"asked": 100, "patients": 60, "labelled": 90},
        "excluded": {"too early": 3, "too late": 7},
        "classes": {"no": {"samples": 60, "patients": 40}, "yes": {"samples": 30, "patients": 20}},
    }
    shown = told(report)
    assert shown["outcomes"] == {"events": 30, "patients": "<5"}
    assert shown["excluded"] == {"too early": "hidden", "too late": "hidden"}  # or 100 - 90 - 7 tells it
    assert shown["predictions"] == report["predictions"]
    assert shown["classes"] == report["classes"]
    few = report | {
        "excluded": {"too early": 10},
        "classes": report["classes"] | {"yes": {"samples": 30, "patients": 4}},
    }
    shown = told(few)["classes"]
    assert shown == {name: {"samples": "hidden", "patients": "hidden"} for name in ("no", "yes")}
    assert report["excluded"]["too early"] == 3, "what is kept stays exact"
