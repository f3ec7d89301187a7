"""What a trained network can do, and how much of that depends on its gates."""

from bamgate.evaluation.scores import Bin as Bin
from bamgate.evaluation.scores import Scores as Scores
from bamgate.evaluation.scores import score as score
from bamgate.evaluation.subject import Finding as Finding
from bamgate.evaluation.subject import Subject as Subject
from bamgate.observe.what_if import Answers as Answers
from bamgate.observe.what_if import answers_of as answers_of
from bamgate.observe.what_if import choose_sites as choose_sites
from bamgate.observe.what_if import held as held
from bamgate.observe.what_if import regated as regated
from bamgate.observe.what_if import switched_off as switched_off

__all__ = [
    "Answers",
    "Bin",
    "Finding",
    "Scores",
    "Subject",
    "answers_of",
    "choose_sites",
    "held",
    "regated",
    "score",
    "switched_off",
]
