"""imujax: does pre-training on unlabelled IMU recordings reduce the labels that a task needs?"""

from imujax.errors import UserError

__all__ = ["Encoder", "UserError", "load"]


def __getattr__(name: str):
    # `import imujax` and `imujax --help` must not wait for jax.
    if name in ("Encoder", "load"):
        from imujax.pretrain import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module 'imujax' has no attribute {name!r}")
