"""The command line: verbs, nothing else.  jax and tfds are imported by the verbs that need them."""

import argparse
import contextlib
import itertools
import os
import pathlib
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from imujax.errors import UserError
from imujax.runtime import host, interrupt

if TYPE_CHECKING:
    from ml_collections import ConfigDict

# What a wrong configuration file or override may raise while it is read.
CONFIGURATION_ERRORS = (
    ImportError,
    NameError,
    SyntaxError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
Option = tuple[str, dict[str, Any]]


def folder_option(flag: str, text: str, required: bool = False) -> Option:
    """An option that takes a folder."""
    return flag, {"metavar": "DIR", "type": pathlib.Path, "help": text, "required": required}


def option(flag: str, metavar: str, text: str, **more) -> Option:
    """An option that takes anything else."""
    return flag, {"metavar": metavar, "help": text, **more}


class Verb(NamedTuple):
    """A command: what it does, an example, its options; extra: what the help says at the end."""

    text: str
    example: str
    options: tuple[Option, ...]
    extra: str = ""


CONFIG = (
    "configuration, FILE.py[:ARGUMENT] or the name of one that comes with imujax; change a field "
    "by --config.FIELD=VALUE"
)
DATA = folder_option("--data", "folder of the data sets", required=True)
RAW = folder_option("--raw", "folder of the raw files", required=True)
WORKDIR = folder_option(
    "--workdir", "folder of the results; a run that was stopped goes on there", required=True
)
SETTINGS = (
    DATA,
    folder_option(
        "--raw", "folder of the raw files, to build the data sets that are not there yet"
    ),
    option("--config", "FILE", CONFIG, required=True),
)
EXPERIMENT = (WORKDIR, *SETTINGS)
CHECKPOINT = folder_option(
    "--checkpoint",
    "take this encoder for every arm: a folder, a packed one, or the name of one "
    "that comes with imujax",
)
SHARE = option(
    "--share",
    "K/N",
    "the Kth of N shares alone, for N machines; N alone: K as SLURM or Kubernetes says it",
)
BEAM = (
    "build on Apache Beam: a runner, DirectRunner by default, and its pipeline options; comes last"
)
DRY_RUN = "read a few files only, say what comes of them and draw it, and write nothing else"
MODEL = (
    "finetuned, probe, average of the network and the best reference, or a reference, say stack; "
    "best by default: of least error on people who were held out"
)
LEVEL = "of the intervals, or of the sets of classes, 0.9 by default"
CARD = (
    "card of the recordings (data_builders/tabular); its labels are left aside, its [events] say "
    "where windows lie if no option does"
)
CONTACTS = (
    "windows at the contacts that a unit shows: foot, shank or back, and the sensor that it is"
)
MACHINE = "a slice of TPUs, v5e:16x16, or GPUs, h100:8, h200:8x4"
SHOW = "draw one of the people, FILE.png or FILE.gif"
VERBS = {
    "quickstart": Verb(
        "the whole study on simulated people, without any data",
        "imujax quickstart --workdir work/quick",
        (
            WORKDIR,
            option("--config", "FILE", f"{CONFIG}; simulated by default", default="simulated"),
        ),
    ),
    "simulate": Verb(
        "simulated people to raw files",
        "imujax simulate --out raw/simulated --subjects 5 --sets loading_rate",
        (
            folder_option("--out", "folder to write to"),
            option("--subjects", "N", "people in each set", type=int),
            option("--sets", "NAMES", "sets with commas between; all of them"),
            option("--layout", "NAME", "instead of sets: a file as this builder reads it"),
            option("--seed", "S", "0 by default", type=int, default=0),
            option("--show", "FILE", SHOW, type=pathlib.Path),
            option("--gait", "NAME", "of --show: walking or running", default="walking"),
        ),
    ),
    "card": Verb(
        "look at a folder of recordings and write a card for `build tabular`",
        "imujax card recordings --out recordings/card.toml",
        (
            option("folder", "DIR", "folder of the recordings", type=pathlib.Path),
            option("--out", "FILE", "where to write it, else it is printed", type=pathlib.Path),
        ),
    ),
    "build": Verb(
        "raw files to a data set",
        "imujax build sisfall --raw raw/sisfall --data data --window 128",
        (
            RAW,
            DATA,
            option("name", "NAME", "a builder, for instance sisfall"),
            option("--dry-run", "PNG", DRY_RUN, type=pathlib.Path),
            ("--beam", {"nargs": argparse.REMAINDER, "help": BEAM}),
        ),
        extra="; further options are the builder's own (see its README), such as --card FILE.toml "
        "of tabular; --workers N limits the processes that read",
    ),
    "config": Verb(
        "print a configuration with a sentence beside each field, or write one to fill in",
        "imujax config public:tiny",
        (
            option("config", "FILE", CONFIG, nargs="?"),
            option(
                "--new", "FILE", "write a configuration of your own to fill in", type=pathlib.Path
            ),
        ),
    ),
    "audit": Verb(
        "compare all signals of a configuration: is anybody trained on and tested, or there twice?",
        "imujax audit --config configs/public.py --data data",
        (
            *SETTINGS,
            folder_option("--workdir", "compare with what the encoders of this folder have seen"),
        ),
    ),
    "pretrain": Verb(
        "train the encoders of a configuration without labels",
        "imujax pretrain --config configs/public.py --data data --workdir work",
        (
            *EXPERIMENT,
            option("--coordinator", "HOST:PORT", "where process 0 is, if no launcher says it"),
            option("--processes", "N", "how many there are; 1: alone"),
            option("--process", "I", "which one this is, from 0 on"),
        ),
    ),
    "pack": Verb(
        "write an encoder to one file, to pass on",
        "imujax pack work/encoders/waist waist.safetensors",
        (
            option("folder", "DIR", "folder of an encoder", type=pathlib.Path),
            option("file", "FILE", "NAME.safetensors", type=pathlib.Path),
        ),
    ),
    "sweep": Verb(
        "fine-tune every fold, fraction, draw and arm of a configuration",
        "imujax sweep --config configs/public.py --data data --workdir work",
        (
            *EXPERIMENT,
            CHECKPOINT,
            option("--task", "NAME", "this one alone, not all of them"),
            SHARE,
        ),
    ),
    "study": Verb(
        "data sets, encoders, sweeps and report from one configuration",
        "imujax study --config configs/public.py:tiny --raw raw --data data --workdir work",
        (*EXPERIMENT, CHECKPOINT, SHARE),
    ),
    "compile": Verb(
        "what a configuration's programs would take on a machine that is not here",
        "imujax compile --config configs/pretrain_pod.py --for v5e:16x16",
        (
            option("--config", "FILE", CONFIG, required=True),
            option("--for", "MACHINE", MACHINE, required=True, dest="machine"),
            option("--what", "KIND", "pretrain, sweep or simulate alone"),
            folder_option("--data", "folder of the data sets; a sweep needs its labelled one"),
        ),
    ),
    "fit": Verb(
        "fit a model on all subjects of a task, with intervals or sets, to keep and to use",
        "imujax fit --config configs/public.py --data data --workdir work",
        (
            *EXPERIMENT,
            CHECKPOINT,
            option("--task", "NAME", "of this one alone, not of all of them"),
            option("--model", "NAME", MODEL, default="best"),
            option("--arm", "NAME", "whose network it is; the first pre-trained one by default"),
            option("--level", "L", LEVEL, type=float, default=0.9),
        ),
    ),
    "predict": Verb(
        "estimate new recordings with a model",
        "imujax predict work/models/peak_force --card new/card.toml --contacts foot:foot_r "
        "--out estimates.csv",
        (
            option("model", "MODEL", "folder of a model", type=pathlib.Path),
            option(
                "files",
                "FILE",
                "these alone, behind the model",
                nargs="*",
                type=pathlib.Path,
            ),
            option("--card", "FILE", CARD, type=pathlib.Path, required=True),
            folder_option("--raw", "folder that the card is about, its own by default"),
            option("--contacts", "UNIT:SENSOR", CONTACTS),
            option(
                "--events",
                "FILE",
                "windows at these events: subject, recording, time [s]",
                type=pathlib.Path,
            ),
            option("--stride", "S", "windows so many seconds apart", type=float),
            option("--out", "FILE", "table to write, .csv or .parquet", type=pathlib.Path),
            folder_option("--plot", "where to draw each recording"),
        ),
    ),
    "report": Verb(
        "figures, tables and page of finished sweeps",
        "imujax report work",
        (
            folder_option("--out", "folder to write to, WORKDIR/report by default"),
            option("workdirs", "WORKDIR", "folder of a study", nargs="+", type=pathlib.Path),
        ),
    ),
}


def make_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    top = argparse.ArgumentParser(
        prog="imujax",
        description="Does pre-training on unlabelled recordings reduce the labels a task needs?",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        sentence = verb.text[0].upper() + verb.text[1:] + "."
        epilog = f"example: {verb.example}{verb.extra}"
        subparser = verbs.add_parser(name, help=verb.text, description=sentence, epilog=epilog)
        for flag, settings in verb.options:
            subparser.add_argument(flag, **settings)
    return top


def parse_builder_options(words: list[str]) -> dict[str, Any]:
    """`--key value` or `--key=value` pairs as a dict; numbers stay text for the builder to read."""
    options, words = {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UserError(f"{word!r} is no option; write --option VALUE")
        key, equals, text = word[2:].partition("=")
        if not equals:
            if not words:
                raise UserError(f"option --{key} needs a value")
            text = words.pop(0)
        options[key.replace("-", "_")] = text
    workers = options.get("workers", "0")
    if not workers.isdigit():
        raise UserError(f"option --workers must be a number, not {workers!r}")
    reserved = {"name", "raw", "data"} & options.keys()
    if reserved:
        raise UserError(f"--{min(reserved)} stands twice or is no option of a builder")
    return options | ({"workers": int(workers)} if "workers" in options else {})


def load_configuration(path: str, words: list[str]) -> "ConfigDict":
    """The configuration of a file, with the overrides --config.FIELD=VALUE among `words`."""
    from absl import flags
    from ml_collections import config_flags

    refuse_words(word for word in words if not word.startswith("--config."))
    path = locate_configuration(path)
    argv = ["imujax", f"--config={path}", *words]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except (flags.Error, *CONFIGURATION_ERRORS) as error:
        raise UserError(f"{path}: {_last_words(str(error), path)}") from error
    config = values["config"].value
    if not hasattr(config, "items"):
        raise UserError(f"{path}: get_config gives {config!r}: does it end in `return config`?")
    return config


def _last_words(text: str, path: str) -> str:
    """An error in one sentence: of a traceback the line of the configuration and what was said."""
    if "Traceback" not in text:
        return " ".join(text.split())
    file = re.escape(path.partition(":")[0])
    places = re.findall(rf'File "{file}", line (\d+)', text)
    place = f"line {places[-1]}: " if places else ""
    return place + text.strip().splitlines()[-1]


def locate_configuration(path: str) -> str:
    """A configuration FILE.py[:ARGUMENT]; a bare NAME is one of those that come with imujax."""
    from importlib import resources

    folder = resources.files("imujax.configs")
    file, colon, argument = path.partition(":")
    if not file.endswith(".py"):
        file = str(folder / f"{file}.py")
    if not pathlib.Path(file).is_file():
        names = sorted(f.name[:-3] for f in folder.iterdir() if f.name.endswith(".py"))
        names = [name for name in names if name not in ("__init__", "common", "published")]
        raise UserError(
            f"no configuration {path.partition(':')[0]}; give a file, or {', '.join(names)}"
        )
    return file + colon + argument


def refuse_words(words: Iterable[str]) -> None:
    """UserError for the first word that no option has taken."""
    for word in words:
        raise UserError(f"no option {word!r} here; --help lists them")


def run_command(words: list[str]) -> None:
    """Run one command; mistakes a user can mend are raised as UserError."""
    args, other_words = make_parser().parse_known_args(words)
    COMMANDS[args.verb](args, other_words)


def build(args, words: list[str]):
    """Raw files to a data set."""
    from imujax.data import builders

    options = parse_builder_options(words)
    if args.dry_run is not None:
        lines = builders.try_out(args.name, args.raw, args.data, args.dry_run, **options)
        print(*lines, args.dry_run, sep="\n")
        return
    print(builders.build(args.name, args.raw, args.data, beam=args.beam, **options))


def card(args, words: list[str]):
    """A card with comments, from what the files look like."""
    from imujax.data import builders
    from imujax.runtime import files

    refuse_words(words)
    if not args.folder.is_dir():
        raise UserError(f"{args.folder} is no folder")
    if args.out is not None and args.out.exists():
        raise UserError(f"{args.out} is there already: give another name, or delete it")
    text = builders.propose_card(args.folder)
    if args.out is None:
        print(text, end="")
        return
    files.write_text(args.out, text)
    print(args.out)


def config(args, words: list[str]):
    """A configuration in words, or a new one."""
    from imujax.runtime import files

    if (args.config is None) == (args.new is None):
        raise UserError("give a configuration to print, or --new FILE.py to write one")
    if args.new is not None:
        from imujax import explain

        refuse_words(words)
        if args.new.suffix != ".py":
            raise UserError(f"{args.new}: a configuration is a file of Python, NAME.py")
        if args.new.exists():
            raise UserError(f"{args.new} is there already: give another name, or delete it")
        text = explain.template(str(args.new))
        files.write_text(args.new, text)
        print(args.new)
        return
    chosen = checked_configuration(args, words)
    from imujax import explain

    print(explain.explain(chosen))


def report(args, words: list[str]):
    """Figures, tables and page of finished sweeps."""
    from imujax.report import report

    refuse_words(words)
    print_lines(report.write_report(args.workdirs, args.out or args.workdirs[0] / "report"))


def simulate(args, words: list[str]):
    """Write sets of simulated recordings, or draw one person."""
    use_cache()
    from imujax.simulate import layouts, people

    refuse_words(words)
    if (args.out is None) == (args.show is None):
        raise UserError("give --out DIR to write recordings, or --show FILE for a picture")
    if args.show is not None:
        print(people.draw_person(args.show, args.gait, args.seed))
        return
    if args.layout is not None:
        if args.sets is not None:
            raise UserError("give --layout or --sets, not both")
        print(layouts.write_stand_in(args.layout, args.subjects, args.out, args.seed))
        return
    changes = {"seed": args.seed}
    if args.subjects is not None:
        changes["subjects"] = args.subjects
    names = args.sets.split(",") if args.sets else list(people.SETS)
    settings = {name: people.simulation_settings(name, changes) for name in names}
    for name in names:
        print(people.write_set(name, settings[name], args.out))


def quickstart(args, words: list[str]):
    """The whole study on simulated people."""
    use_cache()
    config = load_configuration(args.config, words)
    from imujax import study

    print_lines(study.run_quickstart(config, args.workdir))


def audit(args, words: list[str]):
    """Compare the signals of all data sets, before anything is trained."""
    config = checked_configuration(args, words)
    from imujax import study
    from imujax.sweep import audit

    data_sets = {
        name: study.find_or_build(section, args.data, args.raw)
        for name, section in config.data_sets.items()
    }
    encoders = args.workdir and study.checkpoint_folders(config, args.workdir)
    for line in audit.audit_configuration(config, data_sets, encoders):
        print(line)


def pretrain(args, words: list[str]):
    """Pre-train, alone or as one of several processes."""
    host.run_on_calling_thread()
    config = checked_configuration(args, words)
    from imujax import study
    from imujax.runtime import cluster, processes

    flags = {name: getattr(args, name) for name in cluster.PLACE_FIELDS}
    with processes.join_run(flags):
        folders = study.pretrain_all(config, args.data, args.workdir, args.raw)
        print_lines(itertools.chain(*folders.values()) if processes.is_main() else ())


def pack(args, words: list[str]):
    """One file of an encoder."""
    from imujax.pretrain import encoder

    refuse_words(words)
    print_lines([encoder.pack(args.folder, args.file)])


def sweep(args, words: list[str]):
    """Fine-tune the runs of all tasks, or of one."""
    config = checked_configuration(args, words)
    from imujax import study

    checkpoints = study.checkpoint_folders(config, args.workdir, args.checkpoint)
    print_lines(
        study.sweep_all(
            config, args.data, checkpoints, args.workdir, args.raw, args.task, read_share(args)
        )
    )


def compile_programs(args, words: list[str]):
    """Have the compiler of another machine say what programs would take there."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    config = checked_configuration(args, words)
    from imujax import study
    from imujax.compiled import page

    def find(name: str) -> pathlib.Path:
        return study.find_or_build(config.data_sets[name], args.data)

    data = None if args.data is None else find
    for lines in page.describe_all(config, args.machine, args.what, data):
        print(*lines, "", sep="\n", flush=True)
    print(page.WHAT_IT_IS_NOT)


def fit(args, words: list[str]):
    """Fit a model for all tasks, or for one."""
    config = checked_configuration(args, words)
    from imujax import study

    checkpoints = study.checkpoint_folders(config, args.workdir, args.checkpoint)
    options = {"kind": args.model, "arm": args.arm, "level": args.level}
    print_lines(
        study.fit_all(config, args.data, checkpoints, args.workdir, args.raw, args.task, **options)
    )


def predict(args, words: list[str]):
    """Estimate new recordings."""
    refuse_words(words)
    use_cache()
    from imujax.data import builders
    from imujax.models import cutting, keeping, predict

    if args.out is None:
        raise UserError("give --out FILE, a table to write: .csv or .parquet")
    predict.require_name(args.out, args.events, args.card)
    ways = (args.contacts, args.events, args.stride)
    if sum(one is not None for one in ways) > 1:
        raise UserError("say once where windows lie: by --contacts, --events or --stride")
    events = None if args.events is None else cutting.read_events(args.events)
    opened = keeping.open_model(args.model)
    by_card = not any(one is not None for one in ways)
    recordings = builders.read_recordings(args.card, args.raw, args.files, by_card, args.out)
    cut = cutting.Cut(args.stride, args.contacts, events)
    rows = predict.predict_recordings(opened, recordings, cut)
    print(predict.write_table(rows, args.out))
    windows = [row for row in rows if row["target"] == opened.card["targets"][0]["name"]]
    unlike = sum(row["unlike"] for row in windows)
    count = len({(row["subject"], row["recording"]) for row in rows})
    print(
        f"{len(windows)} {'values' if opened.every else 'windows'} of {count} recordings, {unlike} "
        "unlike what the model has seen",
        file=sys.stderr,
    )
    if args.plot is not None:
        print_lines(predict.draw(rows, opened, args.plot))


def run_study(args, words: list[str]):
    """Data sets, encoders, sweeps and report."""
    config = checked_configuration(args, words)
    from imujax import study

    arguments = config, args.data, args.workdir, args.raw, read_share(args), args.checkpoint
    print_lines(study.run_study(*arguments))


COMMANDS = {
    "quickstart": quickstart,
    "simulate": simulate,
    "card": card,
    "build": build,
    "config": config,
    "audit": audit,
    "pretrain": pretrain,
    "pack": pack,
    "sweep": sweep,
    "compile": compile_programs,
    "fit": fit,
    "predict": predict,
    "study": run_study,
    "report": report,
}
# Verbs that keep freed memory.  Not the quick start: many small programs, whose compilers want
# arenas.
LONG = {"pretrain", "sweep", "fit", "study"}


STOPPED = "imujax: stopped; the same command goes on from here"


def checked_configuration(args, words: list[str]) -> "ConfigDict":
    """The configuration of a command, which can be."""
    use_cache()
    config = load_configuration(args.config, words)
    from imujax import study

    study.check_config(config)
    return config


def read_share(args) -> Any:
    """The share of a sweep that is asked for, None for all of it."""
    from imujax.sweep import shares

    return None if args.share is None else shares.parse_share(args.share, os.environ)


def print_lines(paths: Iterable[pathlib.Path]) -> None:
    for path in paths:
        print(path)


def use_cache() -> None:
    """Keep compiled programs between runs, unless the user has said where or that not."""
    os.environ.setdefault(
        "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path.home() / ".cache" / "imujax" / "jax")
    )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def main() -> None:
    """Entry point: exit status 2 and one sentence for what a user can mend, 130 at Ctrl-C."""
    interrupt.watch(STOPPED)
    try:
        if len(sys.argv) > 1 and sys.argv[1] in LONG:
            host.keep_freed_memory()
        run_command(sys.argv[1:])
    except UserError as error:
        print(f"imujax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        interrupt.leave(STOPPED)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
    except OSError as error:
        file = error.filename or "a file"
        print(
            f"imujax: {file}: {error.strerror or error}; mend that and run the same command "
            "again, it goes on from here",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
