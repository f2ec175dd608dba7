"""torch.utils.tensorboard: event files that TensorBoard reads, without the tensorboard package."""
from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
