"""What Hydra itself does for a command: sweeps, and what its own flags ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from worldmodel.cli.composition import Loader
from worldmodel.cli.configuration import explained
from worldmodel.cli.provenance import FOLDERS
from worldmodel.errors import UserError

__all__ = ["HydraProgram"]


class HydraProgram:
    """A command as a program of Hydra's; the schemas of the command must be registered.

    Args:
        command: Of the command line.
        words: Its ``key=value`` and ``group=option``.
        source: Where configurations are looked for.
        config_name: The configuration to begin with.
    """

    def __init__(
        self, command: str, words: Sequence[str], source: Loader, config_name: str
    ) -> None:
        self._command, self._words = command, list(words)
        self._source, self._name = source, config_name
        self._hydra = Hydra(task_name=command, config_loader=source)

    def sweep(self, job: Callable[[DictConfig], float | None]) -> None:
        """Run a job for every combination, in whichever way sweeper and launcher do that.

        Raises:
            UserError: The sweep cannot be composed, or there is no ``out`` for it.
        """
        with self._explained():
            given = self._source.load_configuration(self._name, self._words, RunMode.MULTIRUN)
            if OmegaConf.is_missing(given, "out"):
                raise UserError("missing value: out=…")
            record = f"{FOLDERS.get(self._command, '.')}/{given.hydra.output_subdir}"
            defaults = ["hydra.sweep.dir=${out}", "hydra.sweep.subdir=${hydra.job.num}"]
            if given.hydra.output_subdir is not None:
                defaults.append(f"hydra.output_subdir={os.path.normpath(record)}")
            words = [*defaults, *self._words, "hydra.mode=MULTIRUN"]
            self._hydra.multirun(self._name, job, words)

    def show(self, part: str, package: str | None, *, resolve: bool) -> None:
        """Print ``job``, ``hydra`` or ``all`` of the composed configuration, or a package of it."""
        with self._explained():
            config = self._source.load_configuration(self._name, self._words, RunMode.RUN)
            if package not in (None, "_global_") and OmegaConf.select(config, package) is None:
                raise UserError(f"--package {package}: the configuration has no such part")
            self._hydra.show_cfg(self._name, self._words, part, package, resolve)

    def inform(self, part: str) -> None:
        """Print how the configuration comes about."""
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        try:
            with self._explained():
                self._hydra.show_info(part, self._name, self._words)
        finally:  # Hydra prints by a handler of the root logger
            root.handlers, root.level = handlers, level

    def complete(self) -> None:
        """Do what ``install=bash``, ``uninstall=bash`` or ``query=bash`` says."""
        with self._explained():
            self._hydra.shell_completion(self._name, self._words)

    def help(self) -> None:
        """Print Hydra's own help."""
        parser = get_args_parser()
        with self._explained():
            self._hydra.hydra_help(self._name, parser, parser.parse_args(self._words))

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            raise explained(error, self._command, self._words) from error
