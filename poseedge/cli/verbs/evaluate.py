"""``poseedge eval``: errors of an artefact on a data set, and parity with another artefact."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from poseedge.backends.registry import backend_for, load
from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.cli import options
from poseedge.cli.at_hand import reference_of
from poseedge.cli.console import emit_json, err, mm, next_step, out, print_notes, stage, table, warn
from poseedge.data.mistakes import warnings_of
from poseedge.data.sources import open_dataset
from poseedge.data.types import PoseDataset
from poseedge.engines.facts import bundle_of
from poseedge.errors import ArtefactError, DataError, PoseedgeError, require
from poseedge.evaluation.overlap import predict_overlapping
from poseedge.evaluation.parity import parity
from poseedge.evaluation.plausible import doubts
from poseedge.evaluation.predict import Prediction, RefinePoses, predict
from poseedge.evaluation.protocols import ONCE, PROTOCOLS, Protocol, plan, protocol, without_displaced
from poseedge.evaluation.results import ActionErrors, Compared, Evaluation, Limits, OverlapCompared
from poseedge.evaluation.score import score
from poseedge.export.known import known_error
from poseedge.lifter import ENGINE_SUFFIXES, Lifter
from poseedge.live.trained import trained_on
from poseedge.resources import SAMPLE_DATA, resource
from poseedge.settings import network_settings

PICTURES = (".png", ".jpg", ".jpeg", ".pdf", ".svg")
SEPARATE_SELECTIONS = (
    "note: this graph chooses frames in each pass of the flip test; the published test chooses once for both: export --flip"
)


def evaluate(
    artefact: Annotated[Path, typer.Argument(help="bundle folder, .onnx file, .engine or .pth checkpoint")],
    precision: options.Precision = None,
    against: Annotated[
        str | None, typer.Option(help="another artefact, or 'checkpoint': the one that the bundle came from")
    ] = None,
    model: options.CheckpointModel = None,
    settings: options.Settings = None,
    data: options.Data = None,
    keypoints: options.Keypoints = "gt",
    subjects: Annotated[str | None, typer.Option(help="comma-separated; default: the data set's test subjects")] = None,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored pass, as the papers test")] = False,
    like: Annotated[
        str, typer.Option("--as", help=f"score as a repository does: {', '.join(PROTOCOLS)}", metavar="PROTOCOL")
    ] = "once",
    p2_batch: Annotated[
        int, typer.Option(min=0, help="poses per batch of a test that credits P-MPJPE to actions by batch; 0: exact")
    ] = 0,
    refine: Annotated[Path | None, typer.Option(help="refine checkpoint; it is given the true depth of the root")] = None,
    every: options.Every = 1,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="average what overlapping windows say of a frame, as lift does; tells jitter both ways"),
    ] = False,
    threads: options.Threads = 1,
    backend: options.Backend = None,
    plot: Annotated[Path | None, typer.Option(help="folder for pictures: by joint, by action, worst frames")] = None,
    json: options.Json = False,
) -> None:
    """Evaluate an artefact: MPJPE and P-MPJPE by action and joint, and parity with another artefact.

    Example: poseedge eval build/nanohtnet --precision int8 --against checkpoint
    """
    scoring = protocol(like)
    check_overlap(overlap, every, scoring, refine)
    check_pictures(plot)
    dataset = evaluation_set(data, keypoints, subjects, scoring)
    bundle = bundle_behind(artefact)
    chosen = choices(artefact, against, precision, model, network_settings(settings or []))
    lifter = load(artefact, chosen[0].precision, threads, chosen[0].model, flip, backend, chosen[0].settings)
    mistaken = tell_first(lifter, dataset, flip)
    flipped = flip or lifter.spec.flip == "inside"
    # Opened before hours may be spent on the first.
    other = None if against is None else open_other(against, artefact, bundle, chosen[-1], threads, flipped, lifter)
    job = partial(predict_all, dataset=dataset, every=every, scoring=scoring, refine=open_refine_step(refine), overlap=overlap)
    found, averaged = job(lifter, flip=flip)
    warnings = doubts(found, known_error(lifter, dataset, bundle))
    compared: Compared | None = None
    if other is not None:
        theirs, _ = job(other, flip=flipped)
        compared = Compared(against=str(against), **dict(parity(found, theirs, limits_of(bundle, lifter.spec.precision), every)))
        its_bundle = bundle if against == "checkpoint" else None
        warnings += [f"{against}: {doubt}" for doubt in doubts(theirs, known_error(other, dataset, its_bundle))]
    warn(warnings)
    report = Evaluation(
        artefact=str(artefact),
        backend=lifter.backend,
        precision=lifter.spec.precision,
        dataset=dataset.name,
        keypoints=dataset.keypoints,
        flip=flipped,
        protocol=like,
        p2_batch=p2_batch,
        refine=str(refine) if refine else None,
        warnings=mistaken + warnings,
        overlap=averaged,
        parity=compared,
        **dict(score(found, every, p2_batch, scoring)),
    )
    if plot is not None:
        report = report.model_copy(update={"plots": pictures(report, found, plot)})
    if json:
        emit_json(report)
    else:
        show(report, reference_of(bundle, lifter.spec.precision))
    if compared is not None and compared.passed is False:
        raise typer.Exit(1)


def tell_first(lifter: Lifter, dataset: PoseDataset, flip: bool) -> list[str]:
    """Print what a reader should know before minutes are spent; return what is doubtful of the data."""
    print_notes(lifter)
    mistaken = warnings_of(dataset, lifter.spec.frames, trained_on(lifter).fps)
    warn(mistaken)
    if flip and lifter.spec.flip == "shared":
        err.print(SEPARATE_SELECTIONS, soft_wrap=True)
    return mistaken


def check_overlap(overlap: bool, every: int, scoring: Protocol, refine: Path | None) -> None:
    """Raise ``PoseedgeError`` if windows are to overlap and something says which one window a pose is of."""
    if overlap and (every != 1 or scoring != ONCE or refine is not None):
        raise PoseedgeError("--overlap cannot apply with --every, --as or --refine", "they say which one window a pose is of")


def check_pictures(folder: Path | None) -> None:
    """Raise ``PoseedgeError`` if pictures are wanted and cannot be drawn into ``folder``."""
    if folder is None:
        return
    require("matplotlib", "plot")
    if folder.exists() and not folder.is_dir():
        raise PoseedgeError(f"{folder}: is a file, and pictures need a folder", "choose another folder with --plot")
    if folder.suffix.lower() in PICTURES:
        raise PoseedgeError(f"{folder}: three pictures are drawn, into a folder", f"name one: --plot {folder.with_suffix('')}")


def pictures(report: Evaluation, found: list[Prediction], folder: Path) -> list[str]:
    """Draw a report into ``folder``; return the files."""
    from poseedge.evaluation.figures import draw_figures

    return [str(path) for path in draw_figures(report, found, folder)]


def evaluation_set(data: Path | None, keypoints: str, subjects: str | None, scoring: Protocol) -> PoseDataset:
    """Return the subjects to evaluate on, of ``data`` or of the bundled sample."""
    dataset = open_dataset(data or resource(*SAMPLE_DATA), keypoints)
    wanted = options.subject_names(subjects) if subjects else dataset.test
    if not wanted:
        raise DataError(f"{dataset.name} names no test subjects", "choose with --subjects")
    return without_displaced(dataset.of(wanted), scoring)


def open_other(
    against: str, artefact: Path, bundle: Bundle | None, chosen: Choice, threads: int, flip: bool, lifter: Lifter
) -> Lifter:
    """Open what ``artefact`` is compared with: another artefact, or the checkpoint that its bundle came from.

    Prints a note if it is another network than ``lifter``, which ``artefact`` is.
    """
    if against != "checkpoint":
        other = load(against, chosen.precision, threads, chosen.model, flip, settings=chosen.settings)
    elif bundle is None:
        hint = "give a path: --against model.pth"
        raise ArtefactError(f"{artefact}: only a bundle knows its checkpoint, and an engine that was built from one", hint)
    else:
        manifest = bundle.manifest
        other = load(bundle.checkpoint(), threads=threads, model=manifest.model, flip=flip, settings=manifest.config)
    if network(other) != network(lifter):
        err.print(f"note: {artefact} is {network(lifter)}, {against} is {network(other)}: not one network", soft_wrap=True)
    return other


def limits_of(bundle: Bundle | None, precision: str) -> Limits | None:
    """Return the limits that a bundle sets for a precision."""
    limits: dict[str, Limits] = dict(bundle.manifest.limits.items()) if bundle else {}
    return limits.get(precision)


class Choice(NamedTuple):
    """What to load one artefact with."""

    precision: str | None
    model: str | None
    settings: dict[str, Any]


def choices(
    artefact: Path, against: str | None, precision: str | None, model: str | None, settings: dict[str, Any]
) -> list[Choice]:
    """Return what to load each artefact with: a precision is for bundles, a model and its settings for checkpoints.

    Where that is none of them, each gets the option and ``load`` refuses it.
    """
    artefacts = [artefact, *([] if against in (None, "checkpoint") else [Path(str(against))])]
    bundles = [path.is_dir() for path in artefacts]
    checkpoints = [path.is_file() and backend_for(path).takes_model for path in artefacts]
    return [
        Choice(
            precision if bundle or not any(bundles) else None,
            model if checkpoint or not any(checkpoints) else None,
            settings if checkpoint or not any(checkpoints) else {},
        )
        for bundle, checkpoint in zip(bundles, checkpoints, strict=True)
    ]


def network(lifter: Lifter) -> str:
    """Say which network a lifter is, as far as its artefact tells."""
    return f"{lifter.spec.model} on windows of {lifter.spec.frames} frames"


def bundle_behind(artefact: Path) -> Bundle | None:
    """Return the bundle that ``artefact`` is, or was built from if it is an engine."""
    if artefact.is_dir():
        return open_bundle(artefact)
    return bundle_of(artefact) if artefact.suffix in ENGINE_SUFFIXES else None


def open_refine_step(path: Path | None) -> RefinePoses | None:
    """Return the refine checkpoint's step, if one is wanted."""
    if path is None:
        return None
    require("torch", "export")
    from poseedge.evaluation.refine import load_refine

    return load_refine(path)


def predict_all(
    lifter: Lifter, dataset: PoseDataset, flip: bool, every: int, scoring: Protocol, refine: RefinePoses | None, overlap: bool
) -> tuple[list[Prediction], OverlapCompared | None]:
    """Predict with a progress bar; where windows ``overlap``, the mean of what they say, and how it compares."""
    what = f"{lifter.path.name} ({lifter.spec.precision})"
    if overlap:
        with stage(what, sum(int(s.counted.sum()) for s in dataset.sequences)) as advance:
            both = predict_overlapping(lifter, dataset, flip, advance=advance)
        return both.mean, both.compared
    with stage(what, sum(len(plan(s, lifter.spec, scoring, every).frames) for s in dataset.sequences)) as advance:
        return predict(lifter, dataset, flip, every, advance, scoring, refine), None


def figures(row: ActionErrors | Evaluation) -> list[str]:
    """Return the errors of a row, formatted."""
    return [mm(value) for value in (row.mpjpe_mm, row.p_mpjpe_mm, row.n_mpjpe_mm, row.mpjve_mm)]


def show(report: Evaluation, reference: list[str]) -> None:
    """Print the tables; ``reference`` are the words that name what to compare with next."""
    what = f"{report.artefact} ({report.precision}, {report.backend})"
    flipped, how = (", flip" if report.flip else ""), ("" if report.protocol == "once" else f", as {report.protocol}")
    title = f"{what} on {report.dataset}, {report.keypoints} keypoints{flipped}{how} (mm)"
    rows = [[name, str(row.frames), *figures(row)] for name, row in report.by_action.items()]
    names = ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve")
    rows.append(["mean over actions", "", *(mm(getattr(report, f"action_mean_{name}_mm")) for name in names)])
    rows.append(["mean over frames", str(report.frames), *figures(report)])
    table(title, ["action", "frames", "MPJPE", "P-MPJPE", "N-MPJPE", "MPJVE"], rows)
    between = report.parity
    joints = [
        [name, mm(value)] + ([mm(between.by_joint_mm[name])] if between else []) for name, value in report.by_joint_mm.items()
    ]
    table("by joint (mm)", ["joint", "MPJPE", *(["distance"] if between else [])], joints)
    out.print(f"PCK at 150 mm: {mm(report.pck_percent)} %, AUC: {mm(report.auc_percent)} %")
    if (both := report.overlap) and both.jitter_mm is not None and both.alone_jitter_mm is not None:
        out.print(
            f"averaged over windows, one every {both.every} frames: jitter {both.jitter_mm:.3f} mm per frame squared; "
            f"by one window alone {both.alone_jitter_mm:.3f}, MPJPE {mm(both.alone_mpjpe_mm)} mm"
        )
    for path in report.plots or []:
        out.print(f"written: {path}", soft_wrap=True)
    if between:
        distance, jitter = between.distance_mm, between.jitter_mm
        there, change = mm(between.mpjpe_mm), f"{between.delta_mpjpe_mm:+.4f}"
        out.print(f"parity with {between.against}: MPJPE {there} mm there, change {change} mm")
        out.print(f"  joint distance: mean {mm(distance.mean, 3)}, p99 {mm(distance.p99, 3)}, max {mm(distance.max, 3)} mm")
        if jitter:
            out.print(f"  jitter: {jitter.this:.3f} against {jitter.against:.3f} mm per frame squared")
        verdict = {True: "within the limits", False: "LIMITS MISSED", None: "no limits are set for this artefact"}[between.passed]
        out.print(f"  {verdict}")
    if between or not reference:
        next_step("poseedge", "bench", report.artefact)
    else:
        precision = ["--precision", report.precision] if Path(report.artefact).is_dir() else []
        next_step("poseedge", "eval", report.artefact, *precision, *reference)
