"""Statistics of paired runs: numbers in, small frozen results out, each with a status code and its library call.

The unit is the seed. A difference is treatment minus control, in percentage points. Nothing draws from global random
generators.
"""

from bamgate.stats.across import Across as Across
from bamgate.stats.across import CellMeans as CellMeans
from bamgate.stats.across import across as across
from bamgate.stats.anytime import AnytimeT as AnytimeT
from bamgate.stats.anytime import anytime_t as anytime_t
from bamgate.stats.bayes import BayesFactors as BayesFactors
from bamgate.stats.bayes import Posterior as Posterior
from bamgate.stats.bayes import bayes_factor as bayes_factor
from bamgate.stats.bayes import posterior as posterior
from bamgate.stats.beyond import Beyond as Beyond
from bamgate.stats.beyond import beyond_margin as beyond_margin
from bamgate.stats.effect import EffectSize as EffectSize
from bamgate.stats.effect import Superiority as Superiority
from bamgate.stats.effect import Unpaired as Unpaired
from bamgate.stats.effect import effect_size as effect_size
from bamgate.stats.effect import superiority as superiority
from bamgate.stats.effect import unpaired as unpaired
from bamgate.stats.equivalence import Equivalence as Equivalence
from bamgate.stats.equivalence import equivalence as equivalence
from bamgate.stats.exact import SignedRank as SignedRank
from bamgate.stats.exact import SignFlip as SignFlip
from bamgate.stats.exact import SignTest as SignTest
from bamgate.stats.exact import sign_flip as sign_flip
from bamgate.stats.exact import sign_test as sign_test
from bamgate.stats.exact import signed_rank as signed_rank
from bamgate.stats.failures import Fisher as Fisher
from bamgate.stats.failures import Rate as Rate
from bamgate.stats.failures import WorstRank as WorstRank
from bamgate.stats.failures import failure_rate as failure_rate
from bamgate.stats.failures import fisher as fisher
from bamgate.stats.failures import worst_rank as worst_rank
from bamgate.stats.forecast import Forecast as Forecast
from bamgate.stats.forecast import forecast_seeds as forecast_seeds
from bamgate.stats.images import ImageBootstrap as ImageBootstrap
from bamgate.stats.images import McNemar as McNemar
from bamgate.stats.images import image_bootstrap as image_bootstrap
from bamgate.stats.images import mcnemar as mcnemar
from bamgate.stats.levels import Level as Level
from bamgate.stats.levels import level as level
from bamgate.stats.meta import MetaAnalysis as MetaAnalysis
from bamgate.stats.mixed import MixedModel as MixedModel
from bamgate.stats.multiplicity import false_discovery as false_discovery
from bamgate.stats.multiplicity import holm as holm
from bamgate.stats.paired import Bootstrap as Bootstrap
from bamgate.stats.paired import PairedT as PairedT
from bamgate.stats.paired import bca as bca
from bamgate.stats.paired import paired_t as paired_t
from bamgate.stats.pairs import Pairs as Pairs
from bamgate.stats.planning import Planning as Planning
from bamgate.stats.planning import planning as planning
from bamgate.stats.planning import power_curve as power_curve
from bamgate.stats.ranks import Friedman as Friedman
from bamgate.stats.ranks import friedman as friedman
from bamgate.stats.result import Result as Result
from bamgate.stats.verdict import REASONS as REASONS
from bamgate.stats.verdict import VERDICTS as VERDICTS
from bamgate.stats.verdict import Verdict as Verdict
from bamgate.stats.verdict import verdict as verdict

__all__ = [
    "REASONS",
    "VERDICTS",
    "Across",
    "AnytimeT",
    "BayesFactors",
    "Beyond",
    "Bootstrap",
    "CellMeans",
    "EffectSize",
    "Equivalence",
    "Fisher",
    "Forecast",
    "Friedman",
    "ImageBootstrap",
    "Level",
    "McNemar",
    "MetaAnalysis",
    "MixedModel",
    "PairedT",
    "Pairs",
    "Planning",
    "Posterior",
    "Rate",
    "Result",
    "SignFlip",
    "SignTest",
    "SignedRank",
    "Superiority",
    "Unpaired",
    "Verdict",
    "WorstRank",
    "across",
    "anytime_t",
    "bayes_factor",
    "bca",
    "beyond_margin",
    "effect_size",
    "equivalence",
    "failure_rate",
    "false_discovery",
    "fisher",
    "forecast_seeds",
    "friedman",
    "holm",
    "image_bootstrap",
    "level",
    "mcnemar",
    "paired_t",
    "planning",
    "posterior",
    "power_curve",
    "sign_flip",
    "sign_test",
    "signed_rank",
    "superiority",
    "unpaired",
    "verdict",
    "worst_rank",
]
