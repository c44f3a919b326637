"""The command line: ``worldmodel <command> key=value group=choice … [-m] [--debug] [--help]``."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worldmodel.commands.registry import COMMANDS
from worldmodel.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["main", "with_subject"]

USAGE = """\
usage: worldmodel <command> key=value group=choice …

commands
{commands}

options
  -m, --multirun  sweep: task=reach,push runs both; results go to out/0, out/1, …
  --debug         show the traceback of an error
  -h, --help      after a command: its keys, groups and defaults\
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: What follows the program name; ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, 1 after an error (one line on stderr), 2 for wrong usage, 130 when
        interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags = {word for word in words if word.startswith("-")}
    command, *overrides = [word for word in words if word not in flags] or [""]
    if unknown := flags - {"-m", "--multirun", "--debug", "-h", "--help"}:
        return _usage_error(f"unknown option '{min(unknown)}'")
    if not command:
        listing = "\n".join(f"  {name:<14}  {known.summary}" for name, known in COMMANDS.items())
        print(USAGE.format(commands=listing))
        return 0 if flags & {"-h", "--help"} else 2
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(COMMANDS)}"
        return _usage_error(f"unknown command '{command}'; {hint}")
    overrides = with_subject(command, overrides)
    try:
        if flags & {"-h", "--help"}:
            _print_help(command, overrides)
        elif flags & {"-m", "--multirun"}:
            _sweep(command, overrides)
        else:
            _run(command, overrides)
    except KeyboardInterrupt:
        print("interrupted: what was written so far is kept", file=sys.stderr)
        return 130
    except Exception as error:  # the one place where errors become lines
        if "--debug" in flags:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def with_subject(command: str, words: list[str]) -> list[str]:
    """The first word as ``key=value``, if it is a value alone and the command has a key for it."""
    key = COMMANDS[command].subject
    if key is None or not words or "=" in words[0]:
        return words
    quoted = words[0].replace("\\", "\\\\").replace("'", "\\'")
    return [f"{key}='{quoted}'", *words[1:]]


def _run(command: str, overrides: Sequence[str]) -> None:
    from worldmodel.commands.configuration import composed, load, typed

    _, run = load(command)
    run(typed(composed(command, overrides)))


def _sweep(command: str, overrides: Sequence[str]) -> None:
    """Hand the sweep to Hydra: its sweepers and launchers (SLURM, Ray …) are an override away."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from worldmodel.commands.configuration import explained, load, typed

    _, run = load(command)

    def job(config: DictConfig) -> None:
        OmegaConf.update(config, "out", HydraConfig.get().runtime.output_dir)
        run(typed(config))

    if not any(word.startswith("out=") for word in overrides):
        raise UserError("missing value: out=…")
    folders = ["hydra.sweep.dir=${out}", "hydra.sweep.subdir=${hydra.job.num}"]
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["worldmodel", *folders, *overrides, "--multirun"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing; main prints
    try:
        hydra.main(version_base="1.3", config_path="pkg://configs", config_name=command)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, command, overrides) from error
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]


def _print_help(command: str, overrides: Sequence[str]) -> None:
    import inspect

    from worldmodel.commands.configuration import assignments, composed, load, options

    config, _ = load(command)
    print(f"worldmodel {command}: {COMMANDS[command].summary}\n")
    print(inspect.getdoc(config), end="\n\n")
    for group in COMMANDS[command].groups:
        print(f"{group}={'|'.join(options(group))}")
    print("\nDefaults:")
    for assignment in assignments(composed(command, overrides)):
        print(f"    {assignment}")


def _one_line(error: Exception) -> str:
    from worldmodel.settings import described

    message = described(error) if isinstance(error, ValueError) else " ".join(str(error).split())
    if isinstance(error, ValueError | OSError) and message:
        return message
    return f"{type(error).__name__}: {message} (--debug shows the traceback)"


def _usage_error(message: str) -> int:
    print(f"error: {message}; see worldmodel --help", file=sys.stderr)
    return 2
