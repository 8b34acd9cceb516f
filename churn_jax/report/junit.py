"""The gate's verdicts as a JUnit file for CI: failures, errors where nothing could be decided."""

import dataclasses
import datetime
import time
from collections.abc import Sequence
from xml.etree import ElementTree

from churn_jax.errors import printable
from churn_jax.report.gate import Gate, Verdict

_SUITE = "churn_jax.compare"
_CLASS = "churn_jax.gate"


@dataclasses.dataclass(frozen=True)
class Timing:
    """When a comparison began, and how long it took so far."""

    began: datetime.datetime
    _clock: float

    @classmethod
    def begin(cls) -> "Timing":
        return cls(datetime.datetime.now(datetime.UTC), time.monotonic())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._clock


def junit(gate: Gate, timing: Timing | None = None) -> str:
    """The gate's conditions as test cases.

    Args:
      gate: of the report.
      timing: of the comparison; left out where it is not known.
    """
    passes = gate.pass_undecided
    suite = _suite(
        timing,
        len(gate.conditions),
        failures=len(gate.failed),
        errors=0 if passes else len(gate.undecided),
        skipped=len(gate.undecided) if passes else 0,
    )
    for found in gate.conditions:
        case = _case(suite, f"{found.option}: {found.condition}", timing, len(gate.conditions))
        if found.outcome == "failed":
            _fault(case, "failure", _kind(found), found.sentence)
        elif found.outcome == "undecided":
            _fault(case, "skipped" if passes else "error", "undecided", found.sentence)
    return _text(suite)


def broken(conditions: Sequence[str], error: BaseException, timing: Timing) -> str:
    """What a CI must see of a comparison that ended before its gate could be tested.

    Args:
      conditions: the options of the gate, as they were given.
      error: what ended it.
      timing: of the comparison.
    """
    suite = _suite(timing, 1, errors=1)
    case = _case(suite, ", ".join(conditions), timing, 1)
    _fault(case, "error", type(error).__name__, str(error) or type(error).__name__)
    return _text(suite)


def _kind(found: Verdict) -> str:
    return "over the limit" if found.margin < 0 else "not shown"


def _suite(
    timing: Timing | None, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0
) -> ElementTree.Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    suite = ElementTree.Element("testsuite", name=_SUITE)
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    if timing:
        suite.set("time", f"{timing.seconds:.3f}")
        # Without a zone, as the format wants it: UTC.
        suite.set("timestamp", timing.began.strftime("%Y-%m-%dT%H:%M:%S"))
    return suite


def _case(
    suite: ElementTree.Element, name: str, timing: Timing | None, number: int
) -> ElementTree.Element:
    case = ElementTree.SubElement(suite, "testcase", classname=_CLASS, name=printable(name))
    if timing:
        case.set("time", f"{timing.seconds / number:.3f}")
    return case


def _fault(case: ElementTree.Element, tag: str, kind: str, message: str) -> None:
    message = printable(message)
    ElementTree.SubElement(case, tag, type=kind, message=message).text = message


def _text(suite: ElementTree.Element) -> str:
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True).decode() + "\n"
