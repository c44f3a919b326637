"""The command line: ``worldmodel <command> key=value group=choice … [-m] [--debug] [--help]``."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from worldmodel.cli.listing import COMMANDS
from worldmodel.endings import Ending, ending_signals
from worldmodel.errors import UserError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from worldmodel.cli.composition import Loader

__all__ = ["main", "with_subject"]

USAGE = """\
usage: worldmodel <command> key=value group=choice …

commands
{commands}

options
  -m, --multirun  sweep: task=reach,push runs both; results go to out/0, out/1, …
  --debug         show the traceback of an error
  -h, --help      after a command: its keys, groups and defaults
  --version       the version of this program

for every command
  plugins=[MODULE]         imports modules that register planners, environments, … of your own
  +experiment=NAME         the settings of a reported figure

options of Hydra, after a command
  -c, --cfg job|hydra|all  print the composed configuration; --resolve, --package PART
  -i, --info [PART]        how it was composed: all, config, defaults, defaults-tree, plugins, …
  -cd, --config-dir DIR    look for YAML in DIR, too; -cn, --config-name NAME begins with NAME.yaml
  -sc, --shell-completion  install=bash, zsh or fish: prints what to put into the shell's start-up\
"""

_PARTS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_OF_SWEEPS = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.sweep.")
_REFUSED = {  # of Hydra's own
    "--experimental-rerun": "it unpickles a file, which may run code",
    "--config-path": "the commands' configurations are a package; --config-dir adds a folder",
    "-cp": "the commands' configurations are a package; --config-dir adds a folder",
}
_CLOSED = 128 + 13  # what a shell says of a program that SIGPIPE ended


class _UsageError(Exception):
    """The words do not make a command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: What follows the program name; ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, 1 after an error (one line on stderr), 2 for wrong usage, 141 when nobody
        reads the output any more, 130 when interrupted, 143 when terminated.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with ending_signals() as ending:
        try:
            code = _answer(words)
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a closed pipe or a full disk can still be told of
            return code
        except KeyboardInterrupt:
            return _ended(ending)
        except _UsageError as error:
            return _told(f"error: {error}; see worldmodel --help", 2)
        except Exception as error:  # the one place where errors become lines
            if ending.number is not None:
                return _ended(ending)
            if _is_of_a_pipe(error) and _deserted():
                return _CLOSED
            if "--debug" in words:
                raise
            return _told(f"error: {_one_line(error)}", 1)


def _answer(words: list[str]) -> int:
    options = _parsed(words)
    command, *overrides = options.words or [""]
    if command == "help":
        options.help, (command, *overrides) = True, overrides or [""]
    if options.version or command == "version":
        print(f"worldmodel {version('worldmodel')}")
        return 0
    if options.shell_completion:
        return _complete(options.words)
    if not command:
        if asked := _asked(options):
            raise _UsageError(f"{asked} needs a command before it")
        listing = "\n".join(f"  {name:<14}  {known.summary}" for name, known in COMMANDS.items())
        print(USAGE.format(commands=listing))
        return 0 if options.help else 2
    if command not in COMMANDS:
        raise _UsageError(f"unknown command '{command}'; {nearest(command, COMMANDS)}")
    _do(command, with_subject(command, overrides), options, words)
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="worldmodel", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    for names in (
        ("-m", "--multirun"),
        ("--debug",),
        ("-h", "--help"),
        ("--version",),
        ("-r", "--run"),
        ("--resolve",),
        ("-sc", "--shell-completion"),
        ("--hydra-help",),
    ):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("-i", "--info", choices=_PARTS, nargs="?", const="all")
    parser.add_argument("-p", "--package")
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("-cn", "--config-name")
    options, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        raise _UsageError(_unknown_option(unknown[0], words))
    if options.resolve and options.cfg is None:
        raise _UsageError("--resolve belongs to --cfg")
    if options.package is not None and options.cfg is None:
        raise _UsageError("--package belongs to --cfg")
    if options.multirun and (asked := _asked(options)):
        raise _UsageError(f"expected one of --multirun and {asked}, got both")
    return options


def _asked(options: argparse.Namespace) -> str | None:
    """The flag that asks Hydra for something else than to run."""
    flags = ("cfg", "info", "shell_completion", "hydra_help")
    asked = [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]
    return asked[0] if asked else None


def _unknown_option(option: str, words: list[str]) -> str:
    """What to say of ``--task push`` and the like."""
    name, equals, value = option.partition("=")
    if name in _REFUSED:
        return f"{name} is refused: {_REFUSED[name]}"
    key = name.lstrip("-").replace("-", "_")
    following = words[words.index(option) + 1 :] if option in words else []
    if not equals and following and not following[0].startswith("-") and "=" not in following[0]:
        value = following[0]
    if value:
        return f"unknown option '{name}'; keys have no dashes: {key}={value}"
    known = [f"--{flag}" for flag in ("multirun", "debug", "help", "version", "info", "config-dir")]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    hint = f"did you mean '{near[0]}'?" if near else "keys have no dashes, as in episodes=3"
    return f"unknown option '{name}'; {hint}"


def with_subject(command: str, words: list[str]) -> list[str]:
    """The first word as ``key=value``, if it is a value alone and the command has a key for it."""
    key = COMMANDS[command].subject
    if key is None or not words or re.match(r"[+~]*(hydra/)?[\w.@]+=", words[0]):
        return words
    from worldmodel.cli.words import quoted

    return [f"{key}={quoted(words[0])}", *words[1:]]


def _do(command: str, overrides: list[str], options: argparse.Namespace, words: list[str]) -> None:
    from worldmodel.cli.composition import loader
    from worldmodel.cli.configuration import load
    from worldmodel.cli.hydra_program import HydraProgram

    load(command)
    source, name = loader(options.config_dir), options.config_name or command
    if options.help:
        _print_help(command, overrides, source, name)
    elif options.cfg or options.info or options.hydra_help:
        program = HydraProgram(command, overrides, source, name)
        if options.cfg:
            program.show(options.cfg, options.package, resolve=options.resolve)
        elif options.info:
            program.inform(options.info)
        else:
            program.help()
    elif options.multirun or "hydra.mode=MULTIRUN" in overrides:
        HydraProgram(command, overrides, source, name).sweep(_job(command, words))
    else:
        for word in overrides:
            if word.lstrip("+").startswith(_OF_SWEEPS):
                raise UserError(f"{word} is of sweeps only: add -m, or leave it out")
        _run(command, overrides, source, name, words)


def _run(
    command: str, overrides: Sequence[str], source: Loader, name: str, words: Sequence[str]
) -> None:
    from worldmodel.cli.configuration import composed, load, typed
    from worldmodel.cli.provenance import keep

    _, run = load(command)
    composition = composed(command, overrides, source, name)
    config = typed(composition)
    try:
        run(config)
    except KeyboardInterrupt:
        keep(command, words, composition, Path(config.out), finished=False)
        raise
    keep(command, words, composition, Path(config.out))


def _job(command: str, words: Sequence[str]) -> Callable[[DictConfig], float | None]:
    """One job of a sweep; the sweeper sees what it returns."""

    def job(config: DictConfig) -> float | None:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        from worldmodel.cli.configuration import load, typed
        from worldmodel.cli.provenance import describe

        _, run = load(command)
        out = HydraConfig.get().runtime.output_dir
        OmegaConf.update(config, "out", out)
        settings = typed(config)
        describe(command, words, Path(out))
        return run(settings)

    return job


def _complete(words: list[str]) -> int:
    """Answer a shell, which asks without a command and has the line so far in its environment."""
    from worldmodel.cli.composition import loader
    from worldmodel.cli.configuration import load
    from worldmodel.cli.hydra_program import HydraProgram

    command = words.pop(0) if words and words[0] in COMMANDS else next(iter(COMMANDS))
    if any(word.startswith("query=") for word in words):
        program, *line = os.environ.get("COMP_LINE", "").split(" ")
        if len(line) < 2:
            print(" ".join(COMMANDS))
            return 0
        command, *rest = line
        if command not in COMMANDS:
            return 0
        os.environ["COMP_LINE"] = " ".join([program, *rest])
    load(command)
    HydraProgram(command, words, loader(), command).complete()
    return 0


def _print_help(command: str, overrides: Sequence[str], source: Loader, name: str) -> None:
    import inspect

    from worldmodel.cli.configuration import assignments, composed, load, options
    from worldmodel.cli.options import experiments

    config, _ = load(command)
    shown = list(assignments(composed(command, overrides, source, name)))
    print(f"worldmodel {command}: {COMMANDS[command].summary}\n")
    print(inspect.getdoc(config), end="\n\n")
    for group in COMMANDS[command].groups:
        print(f"{group}={'|'.join(options(group))}")
    if names := experiments(command):
        print(f"+experiment={'|'.join(names)}")
    print("\nDefaults:")
    for assignment in shown:
        print(f"    {assignment}")


def _ended(ending: Ending) -> int:
    """Tell which signal it was that ended the command."""
    number = ending.number or signal.SIGINT
    name = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return _told(f"{name}: what was written so far is kept", 128 + number)


def _told(line: str, code: int) -> int:
    with suppress(OSError):
        print(line, file=sys.stderr)
    return code


def _is_of_a_pipe(error: BaseException | None) -> bool:
    """Whether a broken pipe is behind an error, be it that of a progress bar inside a command."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__cause__ or error.__context__
    return error is not None


def _deserted() -> bool:
    """Whether nobody reads the output any more, as behind ``| head``; if so, it goes nowhere."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _unread(stream)]
    for stream in gone:  # or Python fails once more when it flushes them at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(gone)


def _unread(stream: IO[str] | None) -> bool:
    try:
        poll = select.poll()
        poll.register(stream, 0)  # type: ignore[arg-type]
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (AttributeError, OSError, TypeError, ValueError):  # a stream without a file
        return False


def _one_line(error: Exception) -> str:
    from pydantic import ValidationError

    from worldmodel.settings import described

    message = " ".join(str(error).split())
    if isinstance(error, ValidationError):
        message = described(error)
    ours = type(error).__module__.partition(".")[0] == "worldmodel"
    if message and (ours or isinstance(error, ValueError | OSError | FloatingPointError)):
        return message
    return f"{type(error).__name__}: {message} (--debug shows the traceback)"
