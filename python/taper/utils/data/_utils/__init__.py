"""The inside of DataLoader."""
from . import collate, fetch, pin_memory, worker
