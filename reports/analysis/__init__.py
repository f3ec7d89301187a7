"""From the rows of a study to every number of its report."""

from typing import Any

from bamgate.record.metric import Metric
from bamgate.reports.analysis.across import across
from bamgate.reports.analysis.attribution import attribution
from bamgate.reports.analysis.confounds import confounds
from bamgate.reports.analysis.contrasts import contrasts
from bamgate.reports.analysis.headline import Facts, headline
from bamgate.reports.analysis.interim import without_tests
from bamgate.reports.analysis.levels import costs, execution, failures, levels, progress
from bamgate.reports.analysis.mechanism import learned, mechanism
from bamgate.reports.analysis.pairing import EXECUTED_DIFFERENTLY
from bamgate.reports.analysis.plain import plain
from bamgate.reports.design import Design
from bamgate.reports.records import Outcomes, Records

SCHEMA = 3

__all__ = ["SCHEMA", "analyse"]


def metric_codes(metric: Metric) -> dict[str, Any]:
    """What is compared, as stats.json says it."""
    codes = {"name": metric.name, "unit": metric.unit, "better": metric.better}
    return {**codes, "is_count": metric.is_count}


def analyse(whole: Design, records: Records, outcomes: Outcomes) -> dict[str, Any]:
    """Every number of a report, with names and codes, plain types only: what stats.json holds. No sentences.

    Progress and the correction of p values are those of the whole design, whatever part of it is shown.
    """
    design = whole.shown
    every, controls = contrasts(whole, records, outcomes), attribution(whole, records)
    facts = Facts(
        complete=(done := progress(whole, records)).complete,
        contrasts=(shown := [row for row in every if row.arm in design.arms and row.context in design.contexts]),
        # A choice of contexts is no sample of anything.
        across=[] if whole.shown_contexts else across(design, shown),
        attribution=[row for row in controls if row.context in design.contexts],
        mechanism=mechanism(design, records),
    )
    left_out = sum(item.code == EXECUTED_DIFFERENTLY for row in shown for item in row.left_out)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "design": whole.to_dict(),
        "metric": metric_codes(whole.metric),
        "progress": plain(done),
        "levels": plain(levels(design, records)),
        "contrasts": plain(facts.contrasts),
        "attribution": plain(facts.attribution),
        "learned": plain(learned(design, records)),
        "mechanism": plain(facts.mechanism),
        "failures": plain(failures(design, records)),
        "costs": plain(costs(design, records)),
        "across": plain(facts.across),
        "execution": plain(execution(records, left_out)),
        "confounds": confounds(design, records, facts.attribution),
    }
    if not facts.complete:
        for name in ("contrasts", "across", "attribution"):
            found[name] = without_tests(found[name])
    found["headline"] = plain(headline(whole, facts, compared=len(every)))
    return found
