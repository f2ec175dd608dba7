"""torch._inductor: settings only."""
from . import config
