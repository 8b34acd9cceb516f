"""What a study is, as data: cells, and the tables and figures that they fill."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from churn_jax import paper
from churn_jax.errors import UserError, suggest

# The paper's grids; and coarser ones for data it did not use, where β acts at other sizes.
PAPER_GRID = {
    "alpha": tuple(round(0.05 * i, 2) for i in range(1, 11)),
    "beta": tuple(round(0.01 * i, 2) for i in range(1, 9)),
}
OTHER_GRID = {"alpha": (0.05, 0.1, 0.2, 0.35, 0.5), "beta": (0.1, 0.5, 1.0, 2.0)}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a command may ask of a study.

    Attributes:
      dataset: name of a config file.
      runs: independent runs a cell; None is the paper's number.
      epochs: length of training, other durations scaled alike; None is the config's.
      grid: values of 'alpha' and 'beta' for sweeps, where not the default.
      overrides: {dotted config key: value}, for all cells.
    """

    dataset: str
    runs: int | None = None
    epochs: float | None = None
    grid: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def runs_or(self, published: int) -> int:
        """The runs asked for, or as many as the paper's."""
        return published if self.runs is None else self.runs

    def values(self, name: str) -> tuple[float, ...]:
        """The grid of 'alpha' or 'beta'."""
        usual = PAPER_GRID if paper.hyperparameters(self.dataset) else OTHER_GRID
        return tuple(self.grid.get(name, usual[name]))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One group of independent runs: a method of the data set's config file, and what is changed.

    Attributes:
      name: unique in its study.
      method: what stands after the config file's colon.
      runs: how many.
      first_run: index of the first.
      overrides: {dotted config key: value}.
      taught_by: names of the cells whose runs teach this one's.
      length: of training, relative to the recipe's; all other durations are scaled alike.
      trained_by: name of the cell whose training this one shares.
      counted: {dotted config key: value} of what then differs: which model of that training
        predicts, and the share of the previous one.
      updates: name of the cell whose runs this one's learn from (`config.previous`).
      replaces: name of the cell whose run r is in production, and is compared with run r of this
        one; by default the one that it updates.
    """

    name: str
    method: str
    runs: int
    first_run: int = 0
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    taught_by: tuple[str, ...] = ()
    length: float = 1.0
    trained_by: str = ""
    counted: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    updates: str = ""
    replaces: str = ""

    @property
    def old(self) -> str:
        """Name of the cell that is the old version of this one's model; '' where there is none."""
        return self.replaces or self.updates


def seen_as(cell: Cell, prediction: str) -> Cell:
    """The cell of the same training whose `prediction` is another one."""
    return counted_as(cell, prediction, {"method.prediction": prediction})


def counted_as(cell: Cell, name: str, counted: Mapping[str, Any]) -> Cell:
    """The cell of the same training of which something else counts."""
    return dataclasses.replace(
        cell, name=f"{cell.name}-{name}", trained_by=cell.name, counted=counted
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """A table's row: its leading columns, the cell it shows, and what the paper printed.

    `cell` may be the method of a `Selection`: then it is the cell chosen on the validation split.
    `published` is {measure: {'mean', 'std'}} in percent; other keys are ignored. `against` names
    the cells of whose churn the row's share is shown, one for each of the table's `shares`.
    """

    labels: tuple[str, ...]
    cell: str
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    against: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
      name: of its files.
      title: above it.
      columns: of the rows' labels.
      measures: keys of `churn_jax.metrics.definitions`; each gets our column and the paper's.
      rows: in the paper's order.
      source: what the paper's columns are of.
      settings: keys of `Objective` to show instead; `published` then has them as they are.
      bold: whether the best are set in bold.
      notes: sentences under it.
      shares: headings of the columns that show what a row leaves of a measure of other cells.
      share_of: that measure.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str = ""
    settings: tuple[str, ...] = ()
    bold: bool = True
    notes: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    share_of: str = "churn"


# Points of a curve: (coefficient, cell).
Points = tuple[tuple[float, str], ...]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Measures against a coefficient, one panel each; `reference` is the cell without the term."""

    name: str
    title: str
    axis: str
    series: Mapping[str, Points]
    measures: tuple[str, ...]
    reference: str


@dataclasses.dataclass(frozen=True)
class Tradeoff:
    """Churn, or another measure, against accuracy: a curve for each method's coefficient."""

    name: str
    title: str
    series: Mapping[str, Points]
    reference: str
    measure: str = "churn"


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How confidence γ is distributed over the test set, for several cells."""

    name: str
    title: str
    cells: Mapping[str, str]  # {label: cell}


@dataclasses.dataclass(frozen=True)
class Analytic:
    """A figure that follows from formulas: the name of a function of `analytic`."""

    name: str
    title: str


@dataclasses.dataclass(frozen=True)
class Divergence:
    """How far the runs of each cell are from its first run, over the steps of training."""

    name: str
    title: str
    cells: tuple[str, ...]  # trained with config.log_distances


@dataclasses.dataclass(frozen=True)
class Frontier:
    """Churn against accuracy, a point for each cell, the larger the more its training costs.

    The line joins those that no other beats in both.
    """

    name: str
    title: str
    cells: Mapping[str, str]  # {label: cell}; cells as in a `Row`


@dataclasses.dataclass(frozen=True)
class Sources:
    """The part of all churn that each source makes, as a variance is split (Sobol).

    Attributes:
      name, title: of the figure.
      sources: {label: (the cell in which it alone varies, the cell in which all others do)}.
      everything: the cell in which all vary; a row's `against` asks for the shares of its churn.
    """

    name: str
    title: str
    sources: Mapping[str, tuple[str, str]]
    everything: str


CHOICE_SLACK = 0.005  # of accuracy, below that of the reference


def choice_examples(dataset: str) -> int:
    """How many training examples are held out where settings are chosen by validation."""
    return {"digits": 400, "fashion_mnist": 6000}.get(dataset, 5000)


@dataclasses.dataclass(frozen=True)
class Selection:
    """A method's setting to be chosen, among `points`, by smallest churn or another measure `by`.

    Where `reference` names a cell, only among those whose accuracy is at most `slack` below its
    accuracy; where none is, the most accurate.
    """

    method: str
    coefficient: str
    points: Points
    reference: str = ""
    slack: float = 0.0
    by: str = "churn"


Figure = Sweep | Tradeoff | Histogram | Divergence | Frontier | Sources | Analytic


@dataclasses.dataclass(frozen=True)
class Study:
    """Cells, and what is made of them.

    `spreads` names the cells whose variance of accuracy is shown, over runs and over examples.
    """

    name: str
    title: str
    cells: tuple[Cell, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    selections: tuple[Selection, ...] = ()
    notes: tuple[str, ...] = ()
    spreads: tuple[str, ...] = ()

    def cell(self, name: str) -> Cell:
        """The cell called `name`."""
        by_name = {cell.name: cell for cell in self.cells}
        if name not in by_name:
            near = suggest(name, by_name)
            near = near if "did you mean" in near else ""  # else it is the list that follows
            raise UserError(
                f"--cell: study {self.name} has no cell {name!r}{near}; "
                f"its cells are {', '.join(by_name) or 'none'}"
            )
        return by_name[name]


def resolved(study: Study, chosen: Mapping[str, str]) -> Study:
    """The study with the cells that its selections have chosen, {method: cell}, in their place."""

    def of_figure(figure: Figure) -> Figure:
        if not isinstance(figure, Frontier):
            return figure
        cells = {label: chosen.get(cell, cell) for label, cell in figure.cells.items()}
        return dataclasses.replace(figure, cells=cells)

    tables = [
        dataclasses.replace(
            table,
            rows=tuple(
                dataclasses.replace(row, cell=chosen.get(row.cell, row.cell)) for row in table.rows
            ),
        )
        for table in study.tables
    ]
    figures = tuple(of_figure(figure) for figure in study.figures)
    return dataclasses.replace(study, tables=tuple(tables), figures=figures)


GetStudy = Callable[[Options], Study]


def restrict(study: Study, finished: Collection[str]) -> Study:
    """What can be shown of a study while only some of its cells are finished.

    A row may show the choice of a selection, which is made among its finished cells.
    """

    def kept(points: Points) -> Points:
        return tuple(point for point in points if point[1] in finished)

    selections = [
        dataclasses.replace(s, points=points)
        for s in study.selections
        if (points := kept(s.points)) and (not s.reference or s.reference in finished)
    ]
    known = {*finished, *(selection.method for selection in selections)}

    def restricted(figure: Figure) -> Figure | None:
        match figure:
            case Sweep() | Tradeoff():
                if figure.reference not in finished:
                    return None
                series = {label: kept(points) for label, points in figure.series.items()}
                return dataclasses.replace(figure, series={k: v for k, v in series.items() if v})
            case Histogram() | Frontier():
                cells = {label: cell for label, cell in figure.cells.items() if cell in known}
                return dataclasses.replace(figure, cells=cells)
            case Sources():
                needed = {figure.everything}.union(*figure.sources.values())
                return figure if needed <= set(finished) else None
            case Divergence():
                shown = tuple(cell for cell in figure.cells if cell in finished)
                return dataclasses.replace(figure, cells=shown) if shown else None
        return figure

    tables = [
        dataclasses.replace(t, rows=tuple(row for row in t.rows if row.cell in known))
        for t in study.tables
    ]
    missing = [cell.name for cell in study.cells if cell.name not in finished]
    notes = (f"Not finished, and so not shown: {', '.join(missing)}.",) if missing else ()
    return dataclasses.replace(
        study,
        cells=tuple(cell for cell in study.cells if cell.name in finished),
        tables=tuple(table for table in tables if table.rows),
        figures=tuple(filter(None, map(restricted, study.figures))),
        selections=tuple(selections),
        spreads=tuple(cell for cell in study.spreads if cell in finished),
        notes=(*notes, *study.notes),
    )


def method_cells(methods: Sequence[str], runs: int) -> tuple[Cell, ...]:
    """One cell for each method, and one of further teachers where distillation is among them.

    Teachers are baseline runs: those of the baseline's own row teach the first students, and as
    many more as are missing make the cell `baseline_more`.
    """
    cells = []
    for name in methods:
        if name == "ensemble_distill":
            cells.append(Cell("baseline_more", "baseline", runs, first_run=runs))
            taught_by = ("baseline", "baseline_more")
            cells.append(Cell(name, name, runs, taught_by=taught_by))
        else:
            cells.append(Cell(name, name, runs))
    return tuple(cells)


def swept(method: str, coefficient: str, values: Sequence[float], runs: int) -> tuple[Cell, ...]:
    """One cell for each value of a method's α or β."""
    key = f"method.{coefficient}"
    return tuple(
        Cell(f"{method}_{coefficient}_{value:g}", method, runs, overrides={key: value})
        for value in values
    )


def points(cells: Sequence[Cell], coefficient: str) -> Points:
    """The cells of a sweep as points of a curve."""
    return tuple((cell.overrides[f"method.{coefficient}"], cell.name) for cell in cells)


def reference_dataset(dataset: str) -> str:
    """Whose published numbers stand beside a data set's: its own, or CIFAR-10's for others."""
    return dataset if paper.hyperparameters(dataset) else "cifar10"


def paper_source(dataset: str) -> str:
    """What the published columns are of, for their heading."""
    shown = reference_dataset(dataset)
    return "paper" if shown == dataset else f"paper ({shown})"
