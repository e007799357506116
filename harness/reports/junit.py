"""JUnit XML: a test case per limit. An inconclusive one is an error, so that no CI takes it for a pass."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from harness.results import Results, VerdictRow

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Results) -> bytes:
    """UTF-8, with declaration."""
    header, verdicts = results.header, results.verdicts
    suite = Xml.Element(
        "testsuite",
        name=_plain(f"s2s-gate {header.target} {header.profile}"),
        timestamp=_plain(header.started),
        tests=str(len(verdicts)),
        failures=str(sum(row.verdict == "fail" for row in verdicts)),
        errors=str(sum(row.verdict in ("inconclusive", "invalid") for row in verdicts)),
        skipped=str(sum(row.verdict == "not gated" for row in verdicts)),
    )
    for row in verdicts:
        suite.append(_case(row))
    root = Xml.Element("testsuites")
    root.append(suite)
    Xml.indent(root)
    document: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(row: VerdictRow) -> Xml.Element:
    case = Xml.Element("testcase", classname=_plain(f"{row.family}.{row.language}"), name=_plain(row.gate))
    element = {"fail": "failure", "inconclusive": "error", "invalid": "error", "not gated": "skipped"}.get(row.verdict)
    if element is None:
        Xml.SubElement(case, "system-out").text = _plain(row.reason)
    else:
        Xml.SubElement(case, element, type=row.verdict, message=_plain(row.reason))
    return case


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold, not even escaped."""
    return _NOT_XML.sub("\ufffd", text)
