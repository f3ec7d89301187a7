"""Gates: the functions g of F' = F * (1 + g(z)), built in, read from a formula or brought by the user."""

from bamgate.gates.builtin import GATES as GATES
from bamgate.gates.check import GateReport as GateReport
from bamgate.gates.check import examine as examine
from bamgate.gates.formula import parse_formula as parse_formula
from bamgate.gates.gate import Gate as Gate
from bamgate.gates.gate import fingerprint as fingerprint
from bamgate.gates.gate import gate_facts as gate_facts
from bamgate.gates.load import load_gate as load_gate
from bamgate.gates.load import plugin_gates as plugin_gates

__all__ = [
    *("GATES", "Gate", "GateReport", "examine", "fingerprint", "gate_facts", "load_gate"),
    *("parse_formula", "plugin_gates"),
]
