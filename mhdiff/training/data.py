"""The DataModule: cohort, task and graph to batches, with everything that is fitted fitted on the training split."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from graph_builders import Evidence, PatientGraph
from graph_builders.nulls import Null, find_null, make_null
from mhdiff.builtin import Builtin
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.deidentify.same import NOT_STORED, check_rules
from mhdiff.cohort.measurements import Analytes
from mhdiff.cohort.measurements.same import check_table
from mhdiff.cohort.splits import assign
from mhdiff.cohort.window import look_back
from mhdiff.corruption import Corruption, EventCorruption, PixelCorruption, Record, Source
from mhdiff.encoders.events import latest_text
from mhdiff.encoders.preprocess import EventReader, FileReader, Preprocessor, restore
from mhdiff.encoders.preprocess_image import ImageReader
from mhdiff.encoders.preprocess_structured import CodeTable, LabTable
from mhdiff.encoders.preprocess_text import HubText, WordPieceText
from mhdiff.encoders.specs import EmbeddingSpec
from mhdiff.image_cache.cache import ImageCache
from mhdiff.training.dataset import Files, Outlines, SampleDataset
from mhdiff.training.embeddings import Embeddings, reads
from mhdiff.training.graph_in_use import check_samples, open_graph
from mhdiff.training.sampler import EpochShuffle, SharedBatches
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology


@dataclass
class Fitted:
    """What was learned from the training split, and how the samples were split.

    Attributes:
        preprocessors: By modality.
        reports: What each of them could not use, by reason.
    """

    preprocessors: dict[str, Preprocessor] = field(default_factory=dict)
    reports: dict[str, Any] = field(default_factory=dict)


class MultimodalData(LightningDataModule):
    """A cohort's samples for one task, with the evidence that the graph holds.

    Args:
        cohort: The cohort's folder.
        graph: The graph's folder, built from the same cohort and task.
        task: Name of a task or path of its YAML.
        ontology: The ontology's folder; where given, its fingerprint must be the one that the graph was built from.
        builtin: Make all three from the built-in terminology where they are not there yet.
        modalities: Which of the task's modalities are used; None for all.
        among: Over which modalities patterns are named, if over more than are used: a model of one modality is then
            predicted under every pattern of all, as if it had been offered the rest, and stands in a table with others.
        split: `stored`, `file:<path>`, `site:<name>`, `after:<date>`, `fold:<i>/<k>` or `nested:<j>/<m>:<outer>`, see
            `mhdiff.cohort.splits`.
        split_seed: Seed of the folds.
        null: `none`, or a control in place of the real graph: a name in `graph_builders.NULLS`, such as `permuted`,
            `rewired`, `random`, `cooccurrence`, `shuffled` or `severed`.
        null_seed: Which draw of it.
        null_within: Among which concepts `permuted` permutes, see `graph_builders.Permuted`.
        image: How images are read.
        text: How notes are made tokens.
        labs: How laboratory values are scaled.
        codes: How codes get columns.
        readers: How further modalities are read, by name, or one of the above in another way.
        embeddings: A folder that `mhdiff embed` wrote: modalities in it are not read and encoded again.
        max_concepts: Evidence a modality, at most.
        batch_size: Samples a step; four times as many where nothing is learned.
        num_workers: Processes that read images.
        cache_images: Hold all images in memory.
        image_cache: A folder that keeps what is made of images, see `mhdiff.image_cache`; None keeps nothing.
        image_cache_gib: How much it may hold, in GiB; None for as much as its disk has, but for a rest.
        masks: Folder of the cohort with outlines of findings, each named like its image, as .png, for losses that ask
            whether attributions lie there; an image without such a file has none. The model never sees them.
    """

    def __init__(
        self,
        cohort: str,
        graph: str,
        task: str,
        ontology: str | None = None,
        builtin: Builtin | None = None,
        modalities: list[str] | None = None,
        among: list[str] | None = None,
        split: str = "stored",
        split_seed: int = 0,
        null: str = "none",
        null_seed: int = 0,
        null_within: Literal["all", "depth", "modality"] = "modality",
        image: ImageReader | None = None,
        text: WordPieceText | HubText | None = None,
        labs: LabTable | None = None,
        codes: CodeTable | None = None,
        readers: dict[str, Preprocessor] | None = None,
        embeddings: str | None = None,
        max_concepts: int = 8,
        batch_size: int = 32,
        num_workers: int = 0,
        cache_images: bool = False,
        image_cache: str | None = None,
        image_cache_gib: float | None = None,
        masks: str | None = None,
    ) -> None:
        super().__init__()
        self.cohort_path, self.graph_path, self.ontology_path = cohort, graph, ontology
        self.task_name, self.builtin = task, builtin
        self.chosen, self.among = modalities, among
        self.split, self.split_seed = split, split_seed
        if null != "none":
            find_null(null)  # a wrong name is refused before any data are read
        self.null, self.null_seed, self.null_within = null, null_seed, null_within
        self.control: Null | None = None
        self.readers: dict[str, Preprocessor] = {
            "image": image if image is not None else ImageReader(224),
            "note": text if text is not None else WordPieceText(),
            "labs": labs if labs is not None else LabTable(),
            "codes": codes if codes is not None else CodeTable(),
            **(readers or {}),
        }
        self.embeddings_path = embeddings
        self.stored: Embeddings | None = None
        self.max_concepts, self.batch_size = max_concepts, batch_size
        self.num_workers, self.cache_images = num_workers, cache_images
        self.image_cache, self.image_cache_gib = image_cache, image_cache_gib
        self.masks = masks
        self.seed = 0
        self.fitted: Fitted | None = None
        self._stored_rules: Any = NOT_STORED
        self.analytes: Analytes | None = None
        self.warnings: list[str] = []  # what whoever trains or predicts should know, a sentence each
        self._ready = False

    def prepare_data(self) -> None:
        """Make the built-in data where they are asked for and not there."""
        if self.builtin is not None:
            self.builtin.prepare(self.ontology_path, self.cohort_path, self.graph_path, self.task_name)

    def setup(self, stage: str | None = None) -> None:
        """Open the folders, split, fit on the training split, and make tensors of all samples.

        Args:
            stage: Not read: all splits are made at once.

        Raises:
            InputError: If a folder is missing or does not belong to the others.
        """
        if self._ready:
            return
        self.cohort, self.task = Cohort.open(self.cohort_path), self._told
        known = None if self.ontology_path is None else self._open_ontology
        self.graph = open_graph(self.graph_path, self.cohort, self.task, known)
        self.modalities = self.used_modalities()
        places = {"cohort": self.cohort_path, "graph": self.graph_path, "ontology": self.ontology_path}
        gib = self.image_cache_gib
        self.kept = None if self.image_cache is None else ImageCache(self.image_cache, gib, places)
        samples = self.task.samples(self.cohort)
        check_samples(self.graph, samples, self.graph_path)
        self.samples = assign(samples, self.split, self.split_seed, groups=self._groups())
        learns = (
            self.fitted is None or self.null != "none"
        )  # nothing is, where the readers were fitted before
        if learns and self.samples.filter(pl.col("split") == "train").is_empty():
            raise InputError(f"split '{self.split}' leaves no sample to train on", path=self.cohort_path)
        self.graph = self._controlled(self.graph)
        evidence = self.graph.evidence.report
        check_rules(self.task, self.task_name, self.graph_path, evidence, self._stored_rules)
        if self.analytes is None:
            self.analytes = self.task.measures
        self.warnings = check_table(
            self.analytes,
            self.cohort.codes["code"],
            self.graph.meta,
            self.graph_path,
            of_run=self.fitted is not None,
            exported=self.fitted is not None and self._stored_rules is NOT_STORED,
        )
        window = look_back(self.task, self.cohort, analytes=self.analytes)
        defining = self.graph.evidence.report.get("blinded", {}).get("codes")
        if defining is None:
            raise InputError(
                "the graph does not say which codes define the label",
                path=self.graph_path,
                remedy="Build it again with this version: mhdiff graph build",
            )
        self.label_codes = defining
        self.window = window.events.filter(~pl.col("code").is_in(defining))
        self.window_report = window.report | {
            "events whose code defines the label": window.events.height - self.window.height
        }
        if self.embeddings_path is not None:
            self.stored = Embeddings.open(self.embeddings_path)
            self.stored.check(self.reads, self.modalities, self.samples)
        for reader in self.readers.values() if self.fitted is None else self.fitted.preprocessors.values():
            reader.use(known)
        if self.fitted is None:
            self.fitted = self._fit()
        inputs = {m: self._spec_of(m) for m in self.modalities}
        classes = list(self.task.classes)
        self.spec = DataSpec(
            self.modalities, inputs, classes, self.graph.concept_graph(), self._counts(len(classes))
        )
        self._ready = True

    @property
    def reads(self) -> dict[str, str]:
        """What the encoders are shown, see `mhdiff.training.embeddings.reads`."""
        return reads(self.cohort.fingerprint, self.task, self.label_codes)

    def _open_ontology(self) -> "Ontology":
        from ontology import Ontology

        assert self.ontology_path is not None
        return Ontology.open(self.ontology_path)

    def _controlled(self, graph: PatientGraph) -> PatientGraph:
        """Give the null of the graph that was asked for; what it learns from samples comes from the training split."""
        if self.null == "none":
            return graph
        names = self.samples["split"].unique().sort().to_list()
        split = {n: self.samples.filter(pl.col("split") == n)["sample_id"].to_list() for n in names}
        self.control = make_null(self.null, self.null_seed, within=self.null_within, split=split)
        return graph.transform(self.control)

    @cached_property
    def _told(self) -> Task:
        """The task as its file says it: read once, since everything asks for it."""
        return Task.load(self.task_name)

    @property
    def offered(self) -> list[str]:
        """The modalities that patterns are named over, in the task's order: those that are used, or `among`.

        Raises:
            InputError: If `among` names one that the task does not have, or leaves out one that is used.
        """
        used = self.used_modalities()
        if self.among is None:
            return used
        known = list(self._told.modalities)
        if not set(used) <= set(self.among) <= set(known):
            raise InputError(
                f"data.among names {', '.join(self.among)}, and {', '.join(used)} are used",
                remedy=f"Name those and others of {', '.join(known)}",
            )
        return [m for m in known if m in self.among]

    def used_modalities(self) -> list[str]:
        """Give the modalities that are used, in the task's order; of all data only the task is read.

        Raises:
            InputError: If one is asked for that the task does not have, or that nothing reads.
        """
        task = self._told
        known = list(task.modalities)
        unknown = sorted(set(self.chosen or []) - set(known))
        if unknown:
            raise InputError(
                f"data.modalities names {', '.join(unknown)}",
                remedy=f"Task '{task.name}' has {', '.join(known)}",
            )
        chosen = [m for m in known if self.chosen is None or m in self.chosen]
        strange = [m for m in chosen if m not in self.readers]
        if strange:
            raise InputError(
                f"no reader for modality {', '.join(strange)}",
                remedy=f"Add one under data.readers; there are readers for {', '.join(self.readers)}",
            )
        return chosen

    def _groups(self) -> pl.DataFrame | None:
        return None if self.split == "stored" else self.cohort.groups

    def events(self, modality: str) -> pl.DataFrame:
        """Give a modality's events of all samples: at or before prediction_time, and none that defines the label.

        Args:
            modality: Its name.
        """
        return self.window.filter(pl.col("modality") == modality)

    def _fit(self) -> Fitted:
        train = self.samples.filter(pl.col("split") == "train")["sample_id"]
        fitted = Fitted()
        for modality in self.modalities:
            if self._is_stored(modality):
                continue
            reader = self.readers[modality]
            events = self.events(modality).filter(pl.col("sample_id").is_in(train.implode()))
            reader.learn(events, train.to_list())
            fitted.preprocessors[modality] = reader
            if isinstance(reader, EventReader):
                fitted.reports[modality] = {"fit": dict(reader.report)}
        return fitted

    def _is_stored(self, modality: str) -> bool:
        return self.stored is not None and modality in self.stored.modalities

    def are_stored(self, modalities: Sequence[str]) -> bool:
        """Say whether one of some modalities is stored as embeddings, so that its records cannot be spoilt.

        Args:
            modalities: Their names.
        """
        return any(self._is_stored(m) for m in modalities)

    def _counts(self, classes: int) -> tuple[int, ...]:
        """How many training samples each class has."""
        train = self.samples.filter(pl.col("split") == "train")
        of = dict(train.group_by("label").len().iter_rows())
        return tuple(int(of.get(c, 0)) for c in range(classes))

    def _spec_of(self, modality: str) -> Any:
        if self.stored is not None and modality in self.stored.modalities:
            return EmbeddingSpec(self.stored.width(modality), self.stored.is_latent(modality))
        assert self.fitted is not None
        return self.fitted.preprocessors[modality].spec

    def dataset(
        self,
        splits: Sequence[str],
        sample_ids: Sequence[int] | None = None,
        corruption: Corruption | None = None,
    ) -> SampleDataset:
        """Make tensors of some samples.

        Args:
            splits: Names of splits.
            sample_ids: Only these of them; None for all.
            corruption: What is spoilt in them, see `mhdiff.corruption`; the cohort on disk stays as it is.

        Raises:
            InputError: If a file cannot be read, or a corruption acts on a modality that is stored as embeddings.
        """
        assert self.fitted is not None
        rows = self.samples.filter(pl.col("split").is_in(list(splits))).sort("sample_id")
        if sample_ids is not None:
            rows = rows.filter(pl.col("sample_id").is_in(list(sample_ids)))
        ids = rows["sample_id"].to_list()
        tensors: dict[str, dict[str, torch.Tensor]] = {}
        files: dict[str, Files] = {}
        masks: Outlines | None = None
        present = torch.zeros(len(ids), len(self.modalities), dtype=torch.bool)
        graph = self.graph if corruption is None else self._spoilt_graph(corruption, ids)
        for column, modality in enumerate(self.modalities):
            if self.stored is not None and modality in self.stored.modalities:
                tensors[modality], present[:, column] = self.stored.rows(modality, ids)
                continue
            tool = self.fitted.preprocessors[modality]
            events = self._spoilt(corruption, modality, ids).events if corruption else self.events(modality)
            if isinstance(tool, FileReader):
                names = latest_text(events, ids)
                if isinstance(tool, ImageReader) and self.masks is not None:
                    folder = self.cohort.path / self.masks
                    masks = Outlines.among(folder, modality, names, tool, self.cache_images)
                paths = [None if n is None else self.cohort.image_path(n) for n in names]
                present[:, column] = torch.tensor([p is not None for p in paths], dtype=torch.bool)
                spoil = (
                    partial(
                        corruption.tensors, present=dict(zip(ids, present[:, column].tolist(), strict=True))
                    )
                    if isinstance(corruption, PixelCorruption) and corruption.acts_on(tool)
                    else None
                )
                read = tool.transform if self.kept is None else self.kept.reading(tool)
                files[modality] = Files(paths, read, spoil)
                if self.cache_images:
                    tensors[modality] = files.pop(modality).of(range(len(ids)), ids)
            elif isinstance(tool, EventReader):
                tensors[modality] = tool.tensors(events, ids)
                present[:, column] = tool.present(events, ids)
            else:
                raise InputError(
                    f"the reader of modality {modality} reads neither events nor files",
                    remedy="Make it a subclass of EventReader or FileReader (mhdiff.encoders.preprocess)",
                )
            if corruption is None:
                report = dict(tool.report)
                if masks is not None and masks.modality == modality:
                    report["images with a mask"] = len(masks)
                self.fitted.reports.setdefault(modality, {})["+".join(splits)] = report
        tokens = graph.tokens(ids, self.modalities, self.max_concepts)
        return SampleDataset(
            ids, rows["label"].to_list(), self.modalities, present, tensors, files, tokens, masks
        )

    def corruptible(self, corruption: Corruption) -> list[str]:
        """Name the modalities that a corruption acts on.

        Args:
            corruption: The corruption.
        """
        return [m for m in self.modalities if corruption.acts_on(self.readers[m])]

    def _spoilt(self, corruption: Corruption, modality: str, ids: Sequence[int]) -> Record:
        """Give the events and evidence of some samples as a corruption leaves them."""
        table = self.graph.evidence.table.filter(pl.col("modality") == modality)
        source = Source(self.events(modality), table, self.samples)
        record = Record(source.events, table).of(ids)
        if isinstance(corruption, EventCorruption) and corruption.acts_on(self.readers[modality]):
            return corruption.record(record, source) if corruption.severity else record
        return record

    def _spoilt_graph(self, corruption: Corruption, ids: Sequence[int]) -> PatientGraph:
        """Give the graph whose evidence is what a corruption leaves of it; its edges are those of the clean one."""
        if stored := [m for m in self.corruptible(corruption) if self._is_stored(m)]:
            raise InputError(
                f"modality {', '.join(stored)} is stored as embeddings, which '{corruption}' cannot act on",
                remedy="Evaluate the run whose encoders wrote them, or train without data.embeddings",
            )
        tables = [self._spoilt(corruption, modality, ids).evidence for modality in self.modalities]
        return replace(self.graph, evidence=Evidence(pl.concat(tables), blinded=self.graph.evidence.blinded))

    def _loader(self, split: str, shuffle: bool) -> DataLoader[Any]:
        data = self.dataset([split])
        if split == "train" and data.masks is not None and not len(data.masks):
            raise InputError(
                "data.masks: this folder holds no mask of any training image",
                path=self.cohort.path / str(self.masks),
                remedy="Give each mask the name of its image, as .png, or leave data.masks out",
            )
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order: dict[str, Any] = {"batch_size": self.batch_size}
        if not shuffle:
            order["batch_size"] *= 4  # nothing is kept for a way back
            if len(data) < world:
                raise InputError(
                    f"{len(data)} samples of split '{split}' cannot be shared by {world} processes",
                    remedy="Take fewer trainer.devices",
                )
            order["sampler"] = range(rank, len(data), world)
        elif world == 1:
            order["sampler"] = EpochShuffle(len(data), self.seed)
        else:
            every = EpochShuffle(len(data), self.seed)
            order = {"batch_sampler": SharedBatches(every, self.batch_size, rank, world)}
        return DataLoader(
            data,
            num_workers=self.num_workers,
            collate_fn=data.collate,
            generator=torch.Generator().manual_seed(self.seed),  # or it would draw from the model's numbers
            **order,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the training split in an order that seed and epoch decide."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the tuning split."""
        if self.samples.filter(pl.col("split") == "tuning").is_empty():
            raise InputError(f"split '{self.split}' leaves no sample to choose the checkpoint on")
        return self._loader("tuning", shuffle=False)

    def state(self) -> dict[str, Any]:
        """Give what a run folder must hold to read new data the same way: fitted preprocessors and counts."""
        assert self.fitted is not None
        return {
            "modalities": self.modalities,
            "preprocessors": {m: p.state() for m, p in self.fitted.preprocessors.items()},
            "analytes": None if self.analytes is None else self.analytes.state(),
            "reports": self.fitted.reports,
            "window": self.window_report,
            "deidentify": None if self.task.deidentify is None else self.task.deidentify.describe(),
            "splits": {s: int(n) for s, n in self.samples.group_by("split").len().sort("split").iter_rows()},
        }

    @property
    def null_facts(self) -> dict[str, Any] | None:
        """What a run folder says of its null graph: the transform, and what it did; None for the real graph."""
        if self.control is None:
            return None
        return {"transform": str(self.control), **self.control.report}

    def load_fitted(self, state: dict[str, Any]) -> None:
        """Use preprocessors that were fitted before, instead of fitting.

        Args:
            state: What `state` gave.
        """
        if "window" in state:  # a run's; what is exported is read with lists of names of another place
            self._stored_rules = state.get("deidentify")
        self.fitted = Fitted({m: restore(s, self.readers.get(m)) for m, s in state["preprocessors"].items()})
        # A run from before there were such tables read its numbers as they were.
        self.analytes = Analytes.from_state(state.get("analytes") or [])
