"""Where the numbers come from: runs, seeds, machines, versions, files."""

from collections.abc import Mapping
from typing import Any

from bamgate.record.environment import EXECUTION
from bamgate.reports.words.document import Block, Bullets, Callout, Details, Facts, Facts_, Paragraph, Section, Table
from bamgate.reports.words.numbers import NONE, count, number, seeds, whole
from bamgate.reports.words.peeking import PRICE
from bamgate.reports.words.sections.common import Stats, complete, context_cell, make_table, with_context

Provenance = Mapping[str, Any]


def provenance(stats: Stats, known: Provenance) -> Section:
    """What was planned and executed; versions and checksums as they are given."""
    blocks: list[Block] = [Facts(_plan(stats))]
    if stats["design"]["added_seeds"]:
        blocks.append(_added(stats))
    if stats["execution"]["mixed"]:
        blocks.append(_mixed(stats))
    declared = stats["design"]["arm_settings"]
    arms = tuple((arm, _settings(declared[arm])) for arm in stats["design"]["arms"] if declared.get(arm))
    blocks += [Details("Settings of each arm", (Facts(arms),))] if arms else []
    blocks += [_ways(stats), _costs(stats)]
    blocks.append(Facts(_sources(known)))
    versions = tuple((name, str(text)) for name, text in sorted(known["versions"].items()))
    blocks.append(Details("Versions that made this report", (Facts(versions),)))
    files = tuple(f"{path}: {digest[:16]}" for path, digest in sorted(known["inputs_sha256"].items()))
    lead = Paragraph("The first 16 digits of their sha256; provenance.json has them all.")
    blocks.append(Details("Files that it was made from", (lead, Bullets(files))))
    return Section("provenance", "Provenance", tuple(blocks))


def _sources(known: Provenance) -> Facts_:
    runs = known["runs"]
    return (
        ("Commits of the runs", ", ".join(runs["git_commit"]) or "not recorded"),
        ("Environments of the runs", ", ".join(runs["env_id"]) or "not recorded"),
    )


def _plan(stats: Stats) -> Facts_:
    design, progress = stats["design"], stats["progress"]
    runs = (
        f"{progress['planned']} planned; {progress['finished']} finished, {progress['diverged']} diverged, "
        f"{progress['missing']} missing."
    )
    rows = [
        ("Study", ", ".join(dict.fromkeys([design["name"], *design["sources"]]))),
        ("Question", design["question"]),
        ("Cost as declared", design["cost"]),
        ("Expected, before the runs", design["expected"]),
        ("Runs", runs),
        ("Seeds", seeds(design["seeds"])),
        ("Settings of all runs", _settings(design["settings"])),
    ]
    return tuple((term, text) for term, text in rows if text)


def _settings(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} = {value}" for name, value in sorted(values.items()))


def _added(stats: Stats) -> Callout:
    added = stats["design"]["added_seeds"]
    effect = (
        f"{PRICE} Seeds added before anyone saw results change nothing."
        if complete(stats)
        else "Whether they were added before or after a look at the results decides what later tests are worth."
    )
    which = f"Seed {seeds(added)} is" if len(added) == 1 else f"Seeds {seeds(added)} are"
    text = f"{which} not in the plan that the study declared. {effect}"
    return Callout(tone="warning", word="Seeds were added", text=text)


def _mixed(stats: Stats) -> Callout:
    execution = stats["execution"]
    text = (
        f"The runs were executed in {len(execution['ways'])} ways. Runs that were executed differently make no pair; "
        f"that left out {count(execution['left_out_pairs'], 'pair')}."
    )
    return Callout(tone="warning", word="Mixed executions", text=text)


def _ways(stats: Stats) -> Table:
    names = (*EXECUTION, "runs")
    titles = ("torch", "Device", "Its name", "Threads", "Compiled", "Executor", "Runs")
    columns: list[Any] = [
        (title, "right" if name in ("threads", "runs") else "left") for name, title in zip(names, titles, strict=True)
    ]
    rows = [[way[name] for name in names] for way in stats["execution"]["ways"]]
    return make_table(
        "executions",
        "How the runs were executed.",
        columns,
        [[NONE if value is None else str(value) for value in row] for row in rows],
        names,
        rows,
    )


def _costs(stats: Stats) -> Table:
    columns: list[Any] = [("Arm", "left"), ("Parameters", "right"), ("Operations of an image", "right")]
    columns += [("Images/s", "right"), ("Seconds a run", "right")]
    parts = ("params", "macs", "images_per_s", "wall_s")
    return make_table(
        "costs",
        "Size and time of a run, means over seeds; times are of the devices above, operations are multiply-adds.",
        with_context(stats, columns),
        [
            [
                *context_cell(stats, row),
                row["arm"],
                *(whole(row[part]) for part in parts[:3]),
                number(row["wall_s"], 1),
            ]
            for row in stats["costs"]
        ],
        ["context", "arm", *parts],
        [[row["context"], row["arm"], *(row[part] for part in parts)] for row in stats["costs"]],
    )
