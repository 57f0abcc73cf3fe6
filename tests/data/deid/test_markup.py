import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.data.deid.markup import Unreadable, plain_text
from cmrjax.data.deid.text import clean

NAME = [(0x00100010, "Müller^Jürgen")]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<p>Herr M&uuml;ller, J&uuml;rgen</p>", "Herr [name]"),
        ("<P CLASS='x'>Herr M&#252;ller<BR/>LVEF 55 %</P>", "Herr [name]\nLVEF 55 %"),
        ("Herr M&#xFC;ller kam.", "Herr [name] kam."),
        ("Herr M&amp;uuml;ller kam.", "Herr [name] kam."),
        ("&lt;p&gt;Herr M&amp;uuml;ller", "Herr [name]"),
        ("Herr <b>M</b>üller kam.", "Herr [name] kam."),
        ("Herr <b>Jürgen</b>Müller kam.", "Herr [name] kam."),
        ("Herr M&shy;üller, J&zwnj;ürgen kam.", "Herr [name] kam."),
        ("<a href='mailto:Müller'>LVEF</a> 55 %<!-- Müller -->", "LVEF 55 %"),
        ("<style>p {a: Müller}</style><td>LVEF</td><td>55 %</td>", "LVEF\n\n55 %"),
        (r"{\rtf1\ansi Herr M\'fcller, J\u252?rgen\par LVEF 55 %}", "Herr [name]\nLVEF 55 %"),
        (r"{\rtf1\ansi\ansicpg1251 \'cc and M\u252\'fcller}", "М and [name]"),
        (r"{\rtf1{\fonttbl\f0 Müller;}{\*\x M\'fcller}\f0\b M\b0\'fcl{\i ler} ok}", "[name] ok"),
        ("{\\rtf1\\uc0 M\\u252ller\\~and T1\\-map\\{1\\}\r\n ok}", "[name] and T1map{1} ok"),
        (r"FINDINGS: {\rtf1 M\'fcller} X: {\rtf1 J\'fcrgen}", "FINDINGS: [name] X: [name]"),
        ("<!DOCTYPE html><table><tr><td nowrap>M&uuml;ller</td></tr></table>", "[name]"),
    ],
)  # fmt: skip
def test_names_in_html_and_rtf_are_found_and_the_text_is_plain(text, left):
    found = clean(text, NAME)
    assert found.text.strip() == left


@pytest.mark.parametrize("text", [r"{\rtf1 M\'fcller", r"{\rtf1\ansicpg99999 M\'fcller}"])
def test_rtf_that_cannot_be_read_is_withheld(text):
    found = clean(text, NAME)
    assert (found.text, found.quarantined) == ("", True)
    assert found.counts == {"residual.markup": 1}
    with pytest.raises(Unreadable):
        plain_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "T1 < 1000 & T2 > 50 ms, a<b and b>c; LVEF<55 %, wall <8 mm.",
        "EF <50% in < b > and R&D; Q&A: p<0.05 & q>1; AT&T;",
        r"C:\temp {x} \par 2\3",
        "LVEF\n\n55 %",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "unit", ["<", "<p", "<!--", "&", "&a", "<b>", "<style>", "{\\rtf1", "{\\rtf1}", "\\'e4", "<p ="]
)
def test_no_text_costs_more_than_its_length(unit):
    began = time.process_time()
    clean(unit * (24_000 // len(unit)), NAME)
    clean("{\\rtf1 " + unit * (24_000 // len(unit)) + "}", NAME)
    assert time.process_time() - began < 2


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(alphabet="{}\\rtf1u'*e4 <>/p&;ü\n", max_size=80))
def test_any_text_is_read_or_withheld(text):
    clean("{\\rtf1" + text, NAME)
    clean(text, NAME)
