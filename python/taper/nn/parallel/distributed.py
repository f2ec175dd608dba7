"""DistributedDataParallel: not before torch.distributed."""
from ..modules.module import Module


class DistributedDataParallel(Module):
    def __init__(self, module, device_ids=None, output_device=None, dim=0, broadcast_buffers=True, init_sync=True, process_group=None,
                 bucket_cap_mb=None, find_unused_parameters=False, check_reduction=False, gradient_as_bucket_view=False,
                 static_graph=False, delay_all_reduce_named_params=None, param_to_hook_all_reduce=None, mixed_precision=None,
                 device_mesh=None):
        raise NotImplementedError("DistributedDataParallel: this build of taper has no torch.distributed yet; run the script in one process "
                                  "(without torchrun) or with PyTorch")
