"""Why a statistic has no numbers, and why two runs make no pair."""

from collections.abc import Mapping
from typing import Any

from bamgate.stats import status as codes

Row = Mapping[str, Any]

PHRASES = {
    codes.FEW_PAIRS: "a test needs at least 2 pairs",
    codes.FEW_FOR_BOOTSTRAP: "the bootstrap needs at least {0} pairs",
    codes.NO_SPREAD: "all differences are equal, so there is no spread to judge by",
    codes.ALL_TIE: "every pair is a tie, so there is nothing to test",
    codes.CONSTANT_ARMS: "neither arm varies, so there is no spread to judge by",
    codes.NO_INTERVAL: "there is no interval",
    codes.NOT_COUNTS: "the test needs counts, and this metric counts nothing",
    codes.FAILED: "the computation failed",
    codes.NOT_FINITE: "{0} is too large for a number",
    codes.NO_SOLUTION: "the computation found no solution",
    codes.ROPE_TOO_SMALL: "the margin is too small for this spread: it would take more than {0} seeds",
    codes.NO_VALUES: "there are no values",
    codes.ONE_SEED: "one seed has no interval",
    codes.EQUAL_VALUES: "all values are equal, so there is no spread to judge by",
    codes.MISSING_VALUES: "{0} of {1} runs lack this figure",
    codes.NO_RUNS: "no runs",
    codes.ARM_WITHOUT_RUNS: "one arm has no runs",
    codes.NO_IMAGES: "there are no images",
    codes.IMAGES_AGREE: "all images agree, so there is no spread to judge by",
    codes.IMAGES_ALIKE: "both runs are right on the same images, so there is nothing to test",
    codes.NO_CONTEXTS: "there are no contexts",
    codes.FEW_CONTEXTS: "this needs at least 2 contexts",
    codes.EQUAL_CONTEXTS: "all context means are equal, so there is no spread to judge by",
    codes.NEEDS_CONTEXTS: "it takes more networks or data sets, not more seeds",
    codes.WEIGHTLESS_CONTEXTS: "a context with one seed or with equal differences has no weight: {all}",
    codes.ONE_SEED_CONTEXTS: "with one seed per context, spread between contexts and between seeds look the same",
    codes.NO_SPREAD_WITHIN: "the seeds do not vary within any context",
    codes.ON_BOUNDARY: "the contexts hardly vary more than their seeds do, so the mixed model ends on its boundary",
    codes.NO_CONVERGENCE: "the computation did not converge",
    codes.FEW_GATES: "this needs at least 3 gates and 2 contexts",
    codes.GATES_TIE: "all gates tie in every context, so there is nothing to test",
    codes.NO_EPOCHS: "epochs.csv has no rows of these runs",
    codes.INTERIM: "withheld until every planned run has ended",
}


def why(result: Row) -> str:
    """Why a result has no numbers: a clause, without a full stop."""
    return phrase(result["status"], result["about"])


def phrase(code: str, about: Any = ()) -> str:
    """The clause for a status code."""
    return PHRASES[code].format(*about, all=", ".join(map(str, about)))


def left_out(item: Row) -> str:
    """A seed that makes no pair, and why."""
    return f"seed {item['seed']}, {_why_no_pair(item)}"


def _why_no_pair(item: Row) -> str:
    if item["code"] == "executed-differently":
        return f"executed differently ({item['column']}: {' and '.join(item['values'])})"
    arms = " and ".join(item["arms"])
    return f"no run of {arms}" if item["code"] == "no-run" else f"{arms} diverged"
