from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from neurenix.data import TextFileError, read_texts


def write(tmp_path: Path, name: str, content: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    return path


def test_all_rows_of_the_spam_collection_are_read(assets: Path) -> None:
    texts = read_texts(assets / "sms_spam.tsv")
    assert (texts.text_column, texts.label_column, texts.skipped) == ("SMS", "Label", [])
    assert len(texts) == len(texts.texts) == 5574
    assert texts.labels is not None
    assert (texts.labels.count("ham"), texts.labels.count("spam")) == (4827, 747)
    lines = (assets / "sms_spam.tsv").read_text(encoding="utf-8").split("\n")[1:-1]
    assert texts.texts == [line.split("\t")[1] for line in lines]
    assert texts.lines == list(range(2, 5576))


def test_an_unquoted_tsv_keeps_its_quotes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.tsv",
        'label\ttext\nham\t"Hi" she said\nham\t"open\nspam\tclose"\nham\tan "inner" one\n',
    )
    assert read_texts(path).texts == ['"Hi" she said', '"open', 'close"', 'an "inner" one']


def test_two_stray_quotes_do_not_swallow_the_lines_between(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'label\ttext\nham\t"open\nham\tmiddle\nham\tclose"\n')
    assert read_texts(path).texts == ['"open', "middle", 'close"']


def test_a_quoted_tsv_loses_its_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'label\ttext\nham\t"He said ""hi"""\nspam\tplain\n')
    assert read_texts(path).texts == ['He said "hi"', "plain"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_the_csv_module_writes_is_read(
    tmp_path: Path, delimiter: str, quoting: Any, end: str
) -> None:
    rows = [
        ("ham", 'a "quoted", and; separated\t|text'),
        ("spam", "two\nlines"),
        ("ham", " kept spaces "),
        ("spam", "ünïcödé 東京 \x85 \u2028 end"),
    ]
    with open(tmp_path / "a.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerow(("label", "text"))
        writer.writerows(rows)
    texts = read_texts(tmp_path / "a.csv")
    assert texts.texts == [text for _, text in rows]
    assert texts.labels == [label for label, _ in rows]
    assert texts.lines == [2, 3, 5, 6]


def test_the_last_line_needs_no_line_end_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'label,text\n\nham,"a"\n   \nspam,b')
    assert read_texts(path).texts == ["a", "b"]


def test_line_ends_of_old_macs(tmp_path: Path) -> None:
    assert read_texts(write(tmp_path, "a.csv", "label,text\rham,a\rspam,b\r")).texts == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "label,text\nham,a\nspam,b\n", "utf-8-sig")
    assert read_texts(path).label_column == "label"
    path = write(tmp_path, "b.txt", "label\ttext\nham\té\n", "utf-16")
    assert read_texts(path).texts == ["é"]


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,Category,Message,extra\n1,ham,hello you,x\n2,spam,b,y\n")
    texts = read_texts(path)
    assert (texts.text_column, texts.label_column) == ("Message", "Category")
    assert texts.texts == ["hello you", "b"]


def test_empty_columns_without_a_name_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "v1,v2,,,\nham,hello,,,\nspam,b,,,\n")
    texts = read_texts(path)
    assert (texts.texts, texts.labels) == (["hello", "b"], ["ham", "spam"])


def test_columns_are_given_by_name_or_position(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a,b,c\nx,hello,1\ny,world,2\n")
    for text, label in (("b", "c"), (1, 2), ("B", "C"), ("1", "2")):
        texts = read_texts(path, text, label, header=True)
        assert (texts.texts, texts.labels) == (["hello", "world"], ["1", "2"])


def test_of_two_columns_the_longer_one_holds_the_texts(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "p,q\nsome words here,1\nother words there,0\n")
    texts = read_texts(path, header=True)
    assert (texts.text_column, texts.label_column) == ("p", "q")


def test_a_file_without_a_header(tmp_path: Path) -> None:
    rows = "".join(f"{'ham' if i % 2 else 'spam'}\tmessage number {i}\n" for i in range(8))
    texts = read_texts(write(tmp_path, "a.tsv", rows))
    assert len(texts) == 8
    assert (texts.text_column, texts.label_column) == ("1", "0")


def test_a_header_of_unusual_names_is_told_by_the_labels_below(tmp_path: Path) -> None:
    rows = "".join(f"{'ham' if i % 2 else 'spam'}\tmessage number {i}\n" for i in range(8))
    texts = read_texts(write(tmp_path, "a.tsv", "kind\tsaid\n" + rows))
    assert (len(texts), texts.text_column, texts.label_column) == (8, "said", "kind")


def test_a_file_of_one_column_has_no_labels(tmp_path: Path) -> None:
    texts = read_texts(write(tmp_path, "a.txt", "one text\nanother, with a comma\n"), header=False)
    assert (texts.texts, texts.labels) == (["one text", "another, with a comma"], None)


def test_labels_can_be_left_out_or_demanded(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "label,text\nham,a\n,b\n")
    assert read_texts(path, labelled=False).texts == ["a", "b"]
    path = write(tmp_path, "b.csv", "text\na\nb\n")
    assert read_texts(path).labels is None
    with pytest.raises(TextFileError, match=r"not clear which column holds the labels.*0 \('text'"):
        read_texts(path, labelled=True)


def test_json_lines(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"text": "line\nbreak", "label": 1, "meta": {"a": [1]}},
        {"label": True, "text": 'a "quote"'},
        {"text": "third", "label": "x"},
    ]
    path = write(tmp_path, "a.jsonl", "\n\n".join(map(json.dumps, records)))
    texts = read_texts(path)
    assert texts.texts == ["line\nbreak", 'a "quote"', "third"]
    assert (texts.labels, texts.lines) == (["1", "true", "x"], [1, 3, 5])
    path = write(tmp_path, "b.json", json.dumps(records, indent=1))
    assert read_texts(path).texts == texts.texts


def test_rows_without_text_or_label_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "label,text\nham,a\n,b\nspam,  \nspam,d\n")
    with pytest.warns(UserWarning, match=r"2 rows have no text or no label .*\(lines 3, 4\)"):
        texts = read_texts(path)
    assert (texts.texts, texts.skipped) == (["a", "d"], [3, 4])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("label,text\nham,a\nham,one, two\n", {}, "line 3 has 3 fields, others have 2.*commas"),
        (
            "x,y,z\naa,some words,1\ncc,and more,2\n",
            {"header": True},
            r"label_column=….*0 \('x'\), 1 \('y'\)",
        ),
        ("x,y,label\naa,bb,1\ncc,dd,2\n", {}, "which column holds the texts; name it"),
        ("label,text\nham,a\n", {"text_column": "body"}, "no column 'body'.*columns are 0"),
        ("label,text\nham,a\n", {"text_column": 7}, "no column at position 7"),
        ("text,text,label\na,b,c\n", {"text_column": "text"}, "several columns are called 'text'"),
        ("label,text\nham,a\n", {"text_column": 0, "label_column": "label"}, "for the texts and"),
        ("label,text\n", {}, "no row with a text and a label"),
        ("  \n", {}, "is empty"),
    ],
)
def test_errors_of_csv_files_say_what_to_do(
    tmp_path: Path, content: str, options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, "a.csv", content)
    with pytest.raises(TextFileError, match=message):
        read_texts(path, **options)


def test_a_wrong_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "label,text\nham,ok\nham,£1\n", "cp1252")
    with pytest.raises(TextFileError, match=r"line 3 is not utf-8 \(byte 0xa3\).*cp1252"):
        read_texts(path)
    assert read_texts(path, encoding="cp1252").texts == ["ok", "£1"]


def test_errors_of_json_lines_name_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a", "label": "b"}\n{"text": \n')
    with pytest.raises(TextFileError, match="line 2 is not JSON"):
        read_texts(path)
    path = write(tmp_path, "b.jsonl", '{"text": "a", "label": "b"}\n["a", "b"]\n')
    with pytest.raises(TextFileError, match="line 2 holds a list; expected an object"):
        read_texts(path)
    path = write(tmp_path, "c.json", "[1, 2")
    with pytest.raises(TextFileError, match="is no JSON list"):
        read_texts(path)


def test_a_folder_or_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match="is a folder; expected a csv"):
        read_texts(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_texts(tmp_path / "absent.csv")
