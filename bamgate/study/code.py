"""Gates of a study that are code: where they are, whether they may be run, and whether they are what they were."""

from pathlib import Path
from typing import Any

from bamgate.config.gate_names import code_refusal, is_code, short_name
from bamgate.errors import UsageError
from bamgate.gates import Gate, Stored, gate_location, load_gate, path_from, places_of, stored_gate
from bamgate.gates.code import find_code
from bamgate.record.study_file import read_declared
from bamgate.run.resolve import Loader
from bamgate.study.study import Study, gates_of_code

_OTHER_WAY = "write it as a formula (expr:...)"


def require_code(study: Study, allowed: bool) -> None:
    """UsageError where a gate would run code and nobody has said that it may."""
    gates = gates_of_code(study)
    if gates and not allowed:
        raise code_refusal(f"study {study.name}", gates[0], _OTHER_WAY)


def gate_loader(study: Study, *, allowed: bool, file: Path | None, out: Path) -> Loader:
    """What makes the gates of a study from their names.

    Code is compared with the source that study.json in `out` holds, if it is there, before any of it is executed.

    Args:
        allowed: whether gates that are code may be run.
        file: the study's; paths in it lead from there. None for a study that was read from `out`.
        out: the folder of the study.

    Raises:
        UsageError: a gate is code, and that is not allowed.
    """
    require_code(study, allowed)
    records = _records(read_declared(out) or {})
    loaded: dict[str, Gate] = {}

    def load(spec: str) -> Gate:
        if spec not in loaded:
            loaded[spec] = _load(study, spec, records.get(short_name(spec)) if is_code(spec) else None, file, out)
            _refuse_namesake(study, spec, loaded)
        return loaded[spec]

    return load


def _records(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a study.json holds of gates that are code, by their names; of what was edited, all that has its form."""
    code = content.get("code")
    facts = code.items() if isinstance(code, dict) else ()
    return {name: record for name, record in facts if isinstance(record, dict)}


def _load(study: Study, spec: str, record: dict[str, Any] | None, file: Path | None, out: Path) -> Gate:
    if not is_code(spec):
        return load_gate(spec)
    if file is None:
        places = places_of({**(record or {}), "name": short_name(spec)}, out)
        sha256 = (record or {}).get("source_sha256")
        other_way = "go on with the study's file, in another --out if the gate has changed"
        stored = Stored(source=str(out), name=spec, sha256=sha256, places=places, other_way=other_way)
        return stored_gate(stored, allow_code=True)
    if record is not None and find_code(spec, file.parent).sha256 != record.get("source_sha256"):
        raise UsageError(
            f"gate {spec!r} is not the code it was when {out} was begun, and none of it was run; "
            "give it another name or choose another --out"
        )
    return load_gate(spec, file.parent)


def _refuse_namesake(study: Study, spec: str, loaded: dict[str, Gate]) -> None:
    """UsageError where two files of a study would go by one name."""
    gate = loaded[spec]
    for other, known in loaded.items():
        if known.name == gate.name and known.source_sha256 != gate.source_sha256:
            raise UsageError(
                f"study {study.name}: {other!r} and {spec!r} are different gates, both called {gate.name!r}; "
                "rename one of the files"
            )


def code_facts(gate: Gate, out: Path) -> dict[str, dict[str, str]]:
    """What study.json in `out` holds of a gate that is code, by its name; empty for all others."""
    if not is_code(gate.name):
        return {}
    return {gate.name: {"source_sha256": gate.source_sha256, **gate_location(gate, out)}}


def with_code_from(part: Path, content: dict[str, Any], out: Path) -> dict[str, Any]:
    """study.json of the folder `part`, as it stands in `out`: code is found again from there."""
    records = _records(content)
    if not records or part.resolve() == out.resolve():
        return content
    return {**content, "code": {name: _moved(facts, part, out) for name, facts in records.items()}}


def _moved(facts: dict[str, Any], part: Path, out: Path) -> dict[str, Any]:
    location = facts.get("location")
    moved = {"location": path_from(part.resolve() / location, out)} if isinstance(location, str) else {}
    return {**facts, **moved}
