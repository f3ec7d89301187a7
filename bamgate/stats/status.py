"""Codes that say why a statistic has no numbers. The reports turn them into sentences (`reports/words`)."""

OK = "ok"
FEW_PAIRS = "few-pairs"  # a test needs two
FEW_FOR_BOOTSTRAP = "few-pairs-for-bootstrap"  # about: how many it needs
NO_SPREAD = "no-spread"  # all differences are equal
ALL_TIE = "all-tie"
CONSTANT_ARMS = "constant-arms"
NO_INTERVAL = "no-interval"
NOT_COUNTS = "not-counts"  # the metric is not a count, and the test needs counts
FAILED = "failed"  # the library raised an error or gave a warning
NOT_FINITE = "not-finite"  # about: the name of the number
NO_SOLUTION = "no-solution"
ROPE_TOO_SMALL = "rope-too-small"  # about: the largest number of seeds that is considered
NO_VALUES = "no-values"
ONE_SEED = "one-seed"
EQUAL_VALUES = "equal-values"
MISSING_VALUES = "missing-values"  # about: how many are missing, of how many
NO_RUNS = "no-runs"
ARM_WITHOUT_RUNS = "arm-without-runs"
NO_IMAGES = "no-images"
IMAGES_AGREE = "images-agree"
IMAGES_ALIKE = "images-alike"
NO_CONTEXTS = "no-contexts"
FEW_CONTEXTS = "few-contexts"
EQUAL_CONTEXTS = "equal-contexts"
NEEDS_CONTEXTS = "needs-contexts"
WEIGHTLESS_CONTEXTS = "weightless-contexts"  # about: their names
ONE_SEED_CONTEXTS = "one-seed-contexts"
NO_SPREAD_WITHIN = "no-spread-within"
ON_BOUNDARY = "on-boundary"
NO_CONVERGENCE = "no-convergence"
FEW_GATES = "few-gates-or-contexts"
GATES_TIE = "gates-tie"
NO_EPOCHS = "no-epochs"
INTERIM = "interim"  # withheld until every planned run has ended

CODES = tuple(value for name, value in list(vars().items()) if name.isupper())
