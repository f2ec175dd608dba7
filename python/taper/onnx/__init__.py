"""torch.onnx: models are not exported."""


def export(*args, **kwargs):
    raise NotImplementedError("torch.onnx.export: taper does not write ONNX; save the weights as safetensors (taper convert) instead")


dynamo_export = _export = export


def is_in_onnx_export():
    return False


class OperatorExportTypes:
    ONNX = ONNX_ATEN = ONNX_ATEN_FALLBACK = 0


class TrainingMode:
    EVAL = PRESERVE = TRAINING = 0
