"""What a configuration's programs would take on a machine that is not here.

The compilers of TPUs and GPUs run without their machines. In come a configuration and the name of a
machine (`machines`: chips, their published rates, how they are joined); `programs` describes what
would run there, pre-training, a sweep's fine-tuning, the simulation, by shapes alone, and has it
compiled; `hlo` reads the compiled program: bytes moved, collectives; `page` puts it beside the
chip's rates: what it holds, what takes the time, what follows. Nothing is run. Nothing is imported
before a module is asked for: `from imujax.compiled import page`.
"""

__all__ = ["machines", "page", "programs"]
