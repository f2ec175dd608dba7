"""Several devices: DataParallel on one, DistributedDataParallel when torch.distributed exists."""
from .data_parallel import DataParallel, data_parallel
from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "data_parallel", "DistributedDataParallel"]
