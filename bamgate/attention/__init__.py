"""Attention modules with a pluggable gate: BAM, and SE and CBAM for comparison; and a block without any."""

from bamgate.attention.bam import BAM as BAM
from bamgate.attention.cbam import CBAM as CBAM
from bamgate.attention.extra_block import ExtraBlock as ExtraBlock
from bamgate.attention.scale import AttentionModule as AttentionModule
from bamgate.attention.scale import GateFactory as GateFactory
from bamgate.attention.scale import Scale as Scale
from bamgate.attention.squeeze import SqueezeExcitation as SqueezeExcitation

__all__ = ["BAM", "CBAM", "AttentionModule", "ExtraBlock", "GateFactory", "Scale", "SqueezeExcitation"]
