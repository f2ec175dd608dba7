"""The case of test_modes that needs torch.utils.checkpoint."""


def run(case, torch):
    checkpoint = torch.utils.checkpoint.checkpoint if hasattr(torch.utils, "checkpoint") else None
    if checkpoint is None:
        import importlib

        checkpoint = importlib.import_module(torch.utils.__name__ + ".checkpoint").checkpoint
    nn = torch.nn
    for reentrant in (True, False):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4))
        x = torch.randn(3, 4, requires_grad=reentrant)
        torch.manual_seed(1)
        checkpoint(layers, x, use_reentrant=reentrant).sum().backward()
        grads = [p.grad.clone() for p in layers.parameters()]
        layers.zero_grad()
        torch.manual_seed(1)
        layers(x).sum().backward()
        for a, p in zip(grads, layers.parameters()):
            case.assertTrue(torch.equal(a, p.grad))
