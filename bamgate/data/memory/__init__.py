"""Data sets whose images, all of one size, are kept in memory as bytes.

To add one, write a file that registers it, and import that file here.
"""

from bamgate.data.memory import cifar as cifar
from bamgate.data.memory import cluttered as cluttered
from bamgate.data.memory import digits as digits
from bamgate.data.memory import fashion as fashion
