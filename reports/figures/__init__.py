"""The figures of a report, in the order of its page, each drawn from a tidy frame that is saved beside it."""

from types import ModuleType

from bamgate.reports.figures import (
    attenuation,
    curves,
    differences,
    failures,
    forest,
    gates,
    gradient,
    mechanism,
    power,
    river,
    scales,
)
from bamgate.reports.figures.gates import plot_gates
from bamgate.reports.figures.parts import Design, FigureSpec, Records, Stats
from bamgate.reports.figures.style import save

__all__ = ["FIGURES", "Design", "FigureSpec", "Records", "Stats", "plot_gates", "save"]


def _spec(module: ModuleType) -> FigureSpec:
    return FigureSpec(
        name=module.NAME,
        title=module.title,
        frame=module.frame,
        draw=module.draw,
        caption=module.caption,
        alt=module.alt,
        applies=module.applies,
    )


_MODULES = (
    differences,
    forest,
    curves,
    river,
    scales,
    attenuation,
    gradient,
    mechanism,
    power,
    failures,
    gates,
)
FIGURES: dict[str, FigureSpec] = {module.NAME: _spec(module) for module in _MODULES}
