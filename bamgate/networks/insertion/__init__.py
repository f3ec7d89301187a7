"""Insert modules into an existing network, by the names of its own modules."""

from bamgate.networks.insertion.dry_run import in_evaluation as in_evaluation
from bamgate.networks.insertion.insert import channels_at as channels_at
from bamgate.networks.insertion.insert import check_site as check_site
from bamgate.networks.insertion.insert import insert_module as insert_module
from bamgate.networks.insertion.insert import inserted as inserted
from bamgate.networks.insertion.insert import remove_module as remove_module
from bamgate.networks.insertion.stages import find_stages as find_stages
from bamgate.networks.insertion.untouched import same_draws as same_draws

__all__ = [
    "channels_at",
    "check_site",
    "find_stages",
    "in_evaluation",
    "insert_module",
    "inserted",
    "remove_module",
    "same_draws",
]
