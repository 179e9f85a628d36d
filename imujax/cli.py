"""The command line: verbs, nothing else.  jax and tfds are imported by the verbs that need them."""

import argparse
import contextlib
import os
import pathlib
import sys

from imujax.errors import UserError
from imujax.runtime import host

EXAMPLES = {
    "quickstart": "imujax quickstart --workdir work/quick",
    "simulate": "imujax simulate --out raw/simulated --subjects 5 --sets loading_rate",
    "build": "imujax build sisfall --raw raw/sisfall --data data --window 128",
    "pretrain": "imujax pretrain --config configs/public.py --data data --workdir work",
    "sweep": "imujax sweep --config configs/public.py --data data --workdir work",
    "report": "imujax report work",
    "study": "imujax study --config configs/public.py:tiny --raw raw --data data --workdir work",
}


def parser() -> argparse.ArgumentParser:
    """The verbs and their arguments."""
    top = argparse.ArgumentParser(
        prog="imujax",
        description="Does pre-training on unlabelled recordings reduce the labels a task needs?",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, text, **paths):
        made = verbs.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: {EXAMPLES[name]}",
        )
        for path, (about, needed) in paths.items():
            made.add_argument(
                f"--{path}", required=needed, metavar="DIR", help=about, type=pathlib.Path
            )
        return made

    data, raw = "folder of the data sets", "folder of the raw files"
    work = "folder of the results; a run that was stopped goes on there"
    config = "configuration, FILE.py[:ARGUMENT] or the name of one that comes with imujax"
    config += "; change a field by --config.FIELD=VALUE"

    quick = verb(
        "quickstart", "the whole study on simulated people, without any data", workdir=(work, True)
    )
    quick.add_argument(
        "--config", default="simulated", metavar="FILE", help=config + "; simulated by default"
    )
    simulate = verb("simulate", "simulated people to raw files", out=("folder to write to", False))
    simulate.add_argument("--subjects", type=int, metavar="N", help="people in each set")
    simulate.add_argument("--sets", metavar="NAMES", help="sets with commas between; all of them")
    simulate.add_argument(
        "--layout", metavar="NAME", help="instead of sets: a file as this builder reads it"
    )
    simulate.add_argument("--seed", type=int, default=0, metavar="S", help="0 by default")
    simulate.add_argument(
        "--show",
        metavar="FILE",
        type=pathlib.Path,
        help="draw one of the people, FILE.png or FILE.gif",
    )
    simulate.add_argument(
        "--gait", default="walking", metavar="NAME", help="of --show: walking or running"
    )
    build = verb("build", "raw files to a data set", raw=(raw, True), data=(data, True))
    build.add_argument("name", metavar="NAME", help="a builder, for instance sisfall")
    build.add_argument(
        "--beam",
        nargs=argparse.REMAINDER,
        help="build on Apache Beam: a runner, DirectRunner by default, and its "
        "pipeline options; comes last",
    )
    build.epilog += "; further options are the builder's own, see its README"
    checkpoint = {"checkpoint": ("take the encoder of this folder for every arm", False)}
    for name, text, more in (
        ("pretrain", "train the encoders of a configuration without labels", {}),
        ("sweep", "fine-tune every fold, fraction, draw and arm of a configuration", checkpoint),
        ("study", "data sets, encoders, sweeps and report from one configuration", {}),
    ):
        build_from = (f"{raw}, to build the data sets that are not there yet", False)
        made = verb(name, text, data=(data, True), workdir=(work, True), raw=build_from, **more)
        made.add_argument("--config", required=True, metavar="FILE", help=config)
        if name == "sweep":
            made.add_argument("--task", metavar="NAME", help="this one alone, not all of them")
        if name == "pretrain":
            made.add_argument(
                "--coordinator",
                metavar="HOST:PORT",
                help="where process 0 is, if no launcher says it",
            )
            made.add_argument("--processes", metavar="N", help="how many there are; 1: alone")
            made.add_argument("--process", metavar="I", help="which one this is, from 0 on")
    report = verb(
        "report",
        "figures, tables and page of finished sweeps",
        out=("folder to write to, WORKDIR/report by default", False),
    )
    report.add_argument(
        "workdirs", metavar="WORKDIR", nargs="+", type=pathlib.Path, help="folder of a study"
    )
    return top


def parse_builder_options(words: list[str]) -> dict:
    """`--key value` or `--key=value` pairs as a dict; numbers stay text for the builder to read."""
    found, rest = {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UserError(f"{word!r} is no option; write --option VALUE")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise UserError(f"option --{key} needs a value")
            value = rest.pop(0)
        found[key.replace("-", "_")] = value
    if "workers" in found and not found["workers"].isdigit():
        raise UserError(f"option --workers must be a number, not {found['workers']!r}")
    taken = {"name", "raw", "data"} & found.keys()
    if taken:
        raise UserError(f"--{min(taken)} stands twice or is no option of a builder")
    return found | {key: int(found[key]) for key in found.keys() & {"workers"}}


def load_configuration(path: str, words: list[str]):
    """The configuration of a file, with the overrides --config.FIELD=VALUE among `words`."""
    from absl import flags
    from ml_collections import config_flags

    strange = [word for word in words if not word.startswith("--config.")]
    if strange:
        raise UserError(f"no option {strange[0]!r} here; --help lists them")
    path = locate_configuration(path)
    argv = ["imujax", f"--config={path}", *words]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except (
        flags.Error,
        ImportError,
        NameError,
        SyntaxError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
    return values["config"].value


def locate_configuration(path: str) -> str:
    """A configuration FILE.py[:ARGUMENT]; a bare NAME is one of those that come with imujax."""
    from importlib import resources

    ours = resources.files("imujax.configs")
    file, colon, argument = path.partition(":")
    if not file.endswith(".py"):
        file = str(ours / f"{file}.py")
    if not pathlib.Path(file).is_file():
        names = sorted(f.name[:-3] for f in ours.iterdir() if f.name.endswith(".py"))
        names = [name for name in names if name not in ("__init__", "common", "published")]
        raise UserError(
            f"no configuration {path.partition(':')[0]}; give a file, or {', '.join(names)}"
        )
    return file + colon + argument


def run_command(words: list[str]):
    """Run one command; mistakes a user can mend are raised as UserError."""
    args, rest = parser().parse_known_args(words)
    if args.verb == "build":
        from imujax.data import datasets

        print(
            datasets.build(
                args.name, args.raw, args.data, beam=args.beam, **parse_builder_options(rest)
            )
        )
        return
    if args.verb == "report":
        from imujax.report import report

        if rest:
            raise UserError(f"no option {rest[0]!r} here; --help lists them")
        out = args.out or args.workdirs[0] / "report"
        for path in report.write_report(args.workdirs, out):
            print(path)
        return
    use_cache()
    if args.verb == "simulate":
        simulate(args, rest)
        return
    if args.verb != "quickstart":  # which is many small programs: their compilers want arenas
        host.keep_freed_memory()
    if args.verb == "pretrain":
        host.run_on_calling_thread()
    config = load_configuration(args.config, rest)
    from imujax import study

    if args.verb == "quickstart":
        for path in study.run_quickstart(config, args.workdir):
            print(path)
        return

    study.check_config(config)
    if args.verb == "study":
        for path in study.run_study(config, args.data, args.workdir, args.raw):
            print(path)
        return
    if args.verb == "pretrain":
        pretrain(args, config)
        return
    checkpoints = study.checkpoint_folders(config, args.workdir, args.checkpoint)
    for path in study.sweep_all(config, args.data, checkpoints, args.workdir, args.raw, args.task):
        print(path)


def pretrain(args, config):
    """Pre-train, alone or as one of several processes."""
    from imujax import study
    from imujax.runtime import processes

    given = {name: getattr(args, name) for name in processes.PLACE_FIELDS}
    with processes.join_run(given):
        for path in study.pretrain_all(config, args.data, args.workdir, args.raw).values():
            if processes.is_main():
                print(path)


def simulate(args, rest: list[str]):
    """Write sets of simulated recordings, or draw one person."""
    from imujax.simulate import layouts, people

    if rest:
        raise UserError(f"no option {rest[0]!r} here; --help lists them")
    if (args.out is None) == (args.show is None):
        raise UserError("give --out DIR to write recordings, or --show FILE for a picture")
    if args.show is not None:
        print(people.draw(args.show, args.gait, args.seed))
        return
    if args.layout is not None:
        if args.sets is not None:
            raise UserError("give --layout or --sets, not both")
        print(layouts.write(args.layout, args.subjects, args.out, args.seed))
        return
    changes = {"seed": args.seed}
    if args.subjects is not None:
        changes["subjects"] = args.subjects
    names = args.sets.split(",") if args.sets else list(people.SETS)
    for name, spec in [(name, people.spec(name, changes)) for name in names]:
        print(people.write(name, spec, args.out))


def use_cache():
    """Keep compiled programs between runs, unless the user has said where or that not."""
    os.environ.setdefault(
        "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path.home() / ".cache" / "imujax" / "jax")
    )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def main():
    """Entry point: exit status 2 and one sentence for what a user can mend."""
    try:
        run_command(sys.argv[1:])
    except UserError as error:
        print(f"imujax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("imujax: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
    except OSError as error:
        where = error.filename or "a file"
        print(
            f"imujax: {where}: {error.strerror or error}; mend that and run the same command "
            "again, it goes on from here",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
