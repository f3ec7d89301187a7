"""Gates: the functions g of F' = F * (1 + g(z)), built in, read from a formula or supplied by the user."""

from bamgate.gates.builtin import GATES as GATES
from bamgate.gates.check import GateReport as GateReport
from bamgate.gates.check import examine as examine
from bamgate.gates.curve import gate_curve as gate_curve
from bamgate.gates.formula import parse_formula as parse_formula
from bamgate.gates.gate import Gate as Gate
from bamgate.gates.identity import fingerprint as fingerprint
from bamgate.gates.identity import fingerprint_v1 as fingerprint_v1
from bamgate.gates.identity import gate_facts as gate_facts
from bamgate.gates.identity import has_fingerprint as has_fingerprint
from bamgate.gates.load import load_gate as load_gate
from bamgate.gates.load import plugin_gates as plugin_gates
from bamgate.gates.stored import Stored as Stored
from bamgate.gates.stored import gate_location as gate_location
from bamgate.gates.stored import named_gate as named_gate
from bamgate.gates.stored import path_from as path_from
from bamgate.gates.stored import places_of as places_of
from bamgate.gates.stored import stored_gate as stored_gate

__all__ = [
    *("GATES", "Gate", "GateReport", "Stored", "examine", "fingerprint", "fingerprint_v1", "gate_curve", "gate_facts"),
    *("gate_location", "has_fingerprint", "load_gate", "named_gate", "parse_formula", "path_from", "places_of"),
    *("plugin_gates", "stored_gate"),
]
