"""Tables as files say what the page says, and are written whole."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from made_up_run import write, write_ablation

from mhdiff.report import write_report
from mhdiff.report.export import INDEX, write_tables
from mhdiff.report.table import Cell, Table, escape, tables_of
from ontology.errors import InputError


class Read(HTMLParser):
    """Every table of a page: its id, caption, headings, and the text of its cells."""

    def __init__(self):
        super().__init__()
        self.tables, self.text, self.at = {}, None, None

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "table":
            self.at = self.tables[found["id"].removeprefix("table-")] = {
                "caption": "",
                "head": [],
                "rows": [],
                "scopes": set(),
            }
        if self.at is None:
            return
        if tag == "tr":
            self.at["rows"].append([])
        if tag in ("th", "td", "caption"):
            self.text = ""
            self.at["scopes"] |= {found.get("scope")} if tag == "th" else set()
        if tag == "br":
            self.text += "\n"

    def handle_data(self, data):
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag == "caption":
            self.at["caption"], self.text = self.text, None
        elif tag in ("th", "td") and self.text is not None:
            self.at["rows"][-1].append(self.text)
            self.text = None
        elif tag == "table":
            self.at = None


@pytest.fixture(scope="module", params=["run", "ablation"])
def written(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "run":
        options = {"ablation": root / "ablation.json", "stages": root / "stages.json"}
        folder = write(root, failing="linked")
    else:
        options, folder = {}, write_ablation(root)
    write_report(folder, root / "report.html", tables=root / "tables", **options)
    page = Read()
    page.feed((root / "report.html").read_text())
    return page.tables, root / "tables"


def plain(text):
    text = text.replace("\N{MINUS SIGN}", "-")
    return text.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", text) else text


def test_every_table_of_the_page_is_a_file_with_the_same_numbers(written):
    pages, folder = written
    index = {row["id"]: row for row in json.loads((folder / INDEX).read_text())}
    assert set(pages) <= set(index)
    assert len(pages) > 8
    for name, table in pages.items():
        assert table["caption"] == index[name]["caption"]
        assert table["scopes"] == {"col", "row"}
        rows = list(csv.reader(io.StringIO((folder / f"{name}.csv").read_text())))
        assert len(rows) == len(table["rows"])
        assert [head for head in rows[0] if head in table["rows"][0]] == table["rows"][0]
        for shown, stored in zip(table["rows"][1:], rows[1:], strict=True):
            told = " ".join(plain(line) for cell in shown for line in cell.split("\n"))
            for value in stored:  # an interval stands in three columns
                assert value in told, (name, value)
            numbers = re.findall(r"\d+\.\d+", told)
            assert sorted(numbers) == sorted(re.findall(r"\d+\.\d+", " ".join(stored))), name


def test_latex_is_whole_and_escaped(written):
    _, folder = written
    for file in folder.glob("*.tex"):
        text = file.read_text()
        body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().split("\n")
        columns = re.search(r"\\begin\{tabular\}\{((?:[lr]|p\{4cm\})+)\}", text).group(1)
        width = len(re.findall(r"[lr]|p\{4cm\}", columns))
        for line in body:
            assert line.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", line)) == width - 1
            bare = re.sub(
                r"\\[&%$#_{}]|\$[^$]*\$|\\text\w+\{\}", "", line.removesuffix(r" \\").replace("&", "")
            )
            assert not re.search(r"[%$#_^~\\<>]", bare), (file.name, line)
        for command in ("\\toprule", "\\bottomrule", f"\\label{{tab:{file.stem}}}", "\\end{table}"):
            assert command in text
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_markdown_shows_what_the_page_shows(written):
    from markdown_it import MarkdownIt

    pages, folder = written
    for name, table in pages.items():
        tokens = MarkdownIt("commonmark").enable("table").parse((folder / f"{name}.md").read_text())
        assert [t.type for t in tokens if t.level == 0][2:] == ["table_open", "table_close"], name
        texts = [
            "".join(c.content for c in t.children if c.type == "text") for t in tokens if t.type == "inline"
        ]
        assert texts[0] == " ".join(table["caption"].split()).replace("\N{MINUS SIGN}", "-")
        shown = [cell for row in table["rows"] for cell in row]
        assert len(texts) - 1 == len(shown)
        for text, cell in zip(texts[1:], shown, strict=True):
            numbers = re.findall(r"[-+]?\d+\.\d+", cell.replace("\N{MINUS SIGN}", "-"))
            assert re.findall(r"[-+]?\d+\.\d+", text) == numbers, name


def test_markdown_is_escaped():
    assert made([["a|b", "*x* <i> [y](z) `c`", "1"]]).markdown().split("\n")[2:] == [
        "| Name | AUROC | n |",
        "| --- | --- | ---: |",
        r"| a\|b | \*x\* \<i\> \[y\](z) \`c\` | 1 |",
        "",
    ]


def made(rows):
    return Table("made", "Made & up", ("Name", "AUROC", "n"), rows, ("n",))


def test_an_interval_has_columns_of_its_own_and_a_note_too():
    table = made(
        [
            ["a, b", "\N{MINUS SIGN}0.012 (\N{MINUS SIGN}0.300 to +0.100)", "1,234"],
            [Cell("c", "note, with comma"), "undefined: no sample of class x", "7"],
            ["d", "0.500 (no interval: one patient)", "1"],
        ]
    )
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows == [
        ["Name", "Name, note", "AUROC", "AUROC, low", "AUROC, high", "n"],
        ["a, b", "", "-0.012", "-0.300", "+0.100", "1234"],
        ["c", "note, with comma", "undefined: no sample of class x", "", "", "7"],
        ["d", "", "0.500", "no interval: one patient", "", "1"],
    ]


def test_latex_escapes_what_latex_would_read():
    assert escape("50% of a_b & {c} #1 ~ ^ $ \\ < > \N{MINUS SIGN}1") == (
        r"50\% of a\_b \& \{c\} \#1 \textasciitilde{} \textasciicircum{} \$ \textbackslash{} "
        r"\textless{} \textgreater{} $-$1"
    )
    assert r"\caption{Made \& up}" in made([["a", "b", "c"]]).latex()


def test_a_row_that_does_not_fit_and_two_tables_of_one_name_are_our_defect():
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        made([["a", "b"]])
    with pytest.raises(ValueError, match="two tables"):
        tables_of({"a": made([["a", "b", "c"]]), "b": [made([["a", "b", "d"]])]})


def test_a_folder_with_anything_else_is_refused_and_an_earlier_one_replaced(tmp_path):
    folder = tmp_path / "tables"
    first, second = made([["a", "b", "c"]]), Table("other", "O", ("x",), [["1"]])
    write_tables([first, second], folder)
    write_tables([first], folder)
    assert sorted(file.name for file in folder.iterdir()) == ["made.csv", "made.md", "made.tex", INDEX]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt, which is no table of a report"):
        write_tables([second], folder)
    assert (folder / "made.csv").is_file()
    with pytest.raises(InputError, match="a file stands where"):
        write_tables([first], folder / "made.csv")
    (folder / "notes.txt").unlink()
    (folder / INDEX).write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        write_tables([first], folder)


def test_with_a_refused_folder_no_page_is_written(tmp_path):
    folder = write_ablation(tmp_path)
    with pytest.raises(InputError, match="--tables"):
        write_report(folder, tmp_path / "report.html", tables=folder)
    assert not (tmp_path / "report.html").exists()
