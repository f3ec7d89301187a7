"""Data sets in memory as bytes, all of one size. To add one: a file that registers it, and one import line here."""

from bamgate.data.memory import cifar as cifar
from bamgate.data.memory import cluttered as cluttered
from bamgate.data.memory import digits as digits
from bamgate.data.memory import fashion as fashion
