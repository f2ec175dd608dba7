"""Averages of a model's weights over training."""
from copy import deepcopy

from .. import _C
from ..nn.modules.module import Module
from .lr_scheduler import LRScheduler

__all__ = ["AveragedModel", "SWALR", "update_bn", "get_ema_multi_avg_fn", "get_ema_avg_fn", "get_swa_avg_fn"]


def get_ema_avg_fn(decay=0.999):
    def average(ema, current, num_averaged):
        return decay * ema + (1 - decay) * current

    return average


def get_ema_multi_avg_fn(decay=0.999):
    def average(ema, current, num_averaged):
        for e, c in zip(ema, current):
            e.mul_(decay).add_(c, alpha=1 - decay)

    return average


def get_swa_avg_fn():
    def average(averaged, current, num_averaged):
        return averaged + (current - averaged) / (num_averaged + 1)

    return average


class AveragedModel(Module):
    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", _C.ops.tensor(0, dtype=_C.int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn or get_swa_avg_fn(), multi_avg_fn, use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def update_parameters(self, model):
        def of(m):
            return [*m.parameters(), *m.buffers()] if self.use_buffers else list(m.parameters())

        mine, theirs = of(self.module), of(model)
        previous = _C.set_grad_enabled(False)
        try:
            if self.n_averaged == 0:
                for a, b in zip(mine, theirs):
                    a.copy_(b)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn(mine, [b.detach().to(a.device) for a, b in zip(mine, theirs)], self.n_averaged)
            else:
                for a, b in zip(mine, theirs):
                    a.copy_(self.avg_fn(a, b.detach().to(a.device), self.n_averaged))
            if not self.use_buffers:
                for a, b in zip(self.module.buffers(), model.buffers()):
                    a.copy_(b)
            self.n_averaged += 1
        finally:
            _C.set_grad_enabled(previous)


def update_bn(loader, model, device=None):
    momenta = {m: m.momentum for m in model.modules() if hasattr(m, "reset_running_stats")}
    if not momenta:
        return
    was_training = model.training
    model.train()
    previous = _C.set_grad_enabled(False)
    try:
        for m in momenta:
            m.reset_running_stats()
            m.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x.to(device) if device is not None else x)
    finally:
        _C.set_grad_enabled(previous)
        for m, momentum in momenta.items():
            m.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Anneals to swa_lr over anneal_epochs, then stays."""

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        import math

        rates = swa_lr if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(optimizer.param_groups)
        for rate, group in zip(rates, optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError("anneal_strategy must by one of 'cos' or 'linear', instead got %s" % anneal_strategy)
        self.anneal_func = (lambda t: (1 - math.cos(math.pi * t)) / 2) if anneal_strategy == "cos" else (lambda t: t)
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = max(0, min(1, (step - 1) / max(1, self.anneal_epochs)))
        alpha_before = self.anneal_func(before)
        now = self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))
        result = []
        for group in self.optimizer.param_groups:
            start = group["swa_lr"] if alpha_before == 1 else (group["lr"] - alpha_before * group["swa_lr"]) / (1 - alpha_before)
            result.append(group["swa_lr"] * now + start * (1 - now))
        return result
