"""Networks and losses in backend-neutral Keras 3: the same code trains on TensorFlow and on JAX."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BACKBONES": "backbones",
        "LOSSES": "losses",
        "ConserveMean": "conservation",
        "NonNegative": "conservation",
        "OnnxModel": "onnx",
        "ReceptiveField": "receptive",
        "PartialConv": "inpainting",
        "Style": "blocks",
        "blocks": "blocks",
        "build": "backbones",
        "discriminator": "discriminators",
        "export_onnx": "onnx",
        "gap_unet": "inpainting",
        "input_gradient": "gradients",
        "layers": "layers",
        "load": "files",
        "losses": "losses",
        "make_loss": "losses",
        "over_members": "members",
        "randomised": "gradients",
        "receptive_field": "receptive",
        "save": "files",
        "with_mean_penalty": "conservation",
    },
)
