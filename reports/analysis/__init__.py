"""From the rows of a study to every number of its report."""

from typing import Any

from bamgate.record.metric import Metric
from bamgate.reports.analysis.across import across
from bamgate.reports.analysis.attribution import attribution
from bamgate.reports.analysis.confounds import confounds
from bamgate.reports.analysis.contrasts import contrasts
from bamgate.reports.analysis.headline import headline
from bamgate.reports.analysis.interim import without_tests
from bamgate.reports.analysis.levels import costs, execution, failures, levels, progress
from bamgate.reports.analysis.mechanism import learned, mechanism
from bamgate.reports.analysis.pairing import EXECUTED_DIFFERENTLY
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
    compared = contrasts(whole, records, outcomes)
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "design": whole.to_dict(),
        "metric": metric_codes(whole.metric),
        "progress": progress(whole, records),
        "levels": levels(design, records),
        "contrasts": [row for row in compared if row["arm"] in design.arms and row["context"] in design.contexts],
        "attribution": [row for row in attribution(whole, records) if row["context"] in design.contexts],
        "learned": learned(design, records),
        "mechanism": mechanism(design, records),
        "failures": failures(design, records),
        "costs": costs(design, records),
    }
    # A choice of contexts is no sample of anything.
    found["across"] = [] if whole.shown_contexts else across(design, found["contrasts"])
    left_out = sum(item["code"] == EXECUTED_DIFFERENTLY for row in found["contrasts"] for item in row["left_out"])
    found["execution"] = execution(records, left_out)
    found["confounds"] = confounds(design, records, found["attribution"])
    if not found["progress"]["complete"]:
        for name in ("contrasts", "across", "attribution"):
            found[name] = without_tests(found[name])
    found["headline"] = headline(whole, found, compared=len(compared))
    return found
