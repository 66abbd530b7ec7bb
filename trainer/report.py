"""Show people what is known of a model: one HTML page that needs nothing from elsewhere, and no script.

    manifest, history, pictures, perhaps practice  ->  report.html

Everything on it comes from the facts that are given; what they lack is said to be lacking. It reads
no model and no data, and asks no network. `python -m trainer report` makes the page of a bundle
anew, with what the service made of real handwriting since (`make evaluate ARGS="SET… --json FILE"`).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from digits import bundle
from digits.bundle import Bundle, Manifest
from trainer import named, plots
from trainer.console import say
from trainer.errors import DONE, BadInput
from trainer.evaluate import interval
from trainer.foreign import entry
from trainer.markup import Raw, data_url, day, duration, facts, figure, note, percent, plain, section, table
from trainer.reliability import BINS

if TYPE_CHECKING:
    from trainer.fit import History

CSS = Path(__file__).with_name("report.css")
AUGMENTATION, TILES = "augmentation.png", "tiles.png"  # the pictures that the page shows
Facts = Mapping[str, Any]


def render(manifest: Manifest, history: History, pictures: Mapping[str, bytes], practice: Facts | None = None) -> bytes:
    """Return the page. `pictures` are PNG by name, `practice` is what `make evaluate` wrote about this model."""
    is_ensemble = "members" in manifest
    sections = [
        headline(manifest), averaged(manifest) if is_ensemble else learning(history), mistaken(manifest),
        sureness(manifest), worst(manifest, pictures), "" if is_ensemble else varied(pictures),
        handwriting(manifest, practice), proof(manifest), making(manifest),
    ]  # fmt: skip
    title = f"Model {manifest['version']}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{CSS.read_text(encoding="utf-8")}</style>\n</head>\n'
        "<body>\n<main>\n"
        f"{''.join(sections)}"
        f"<footer>Made by the trainer of Digits from the facts of <code>{bundle.MANIFEST_NAME}</code>, which programs "
        "read at <code>/model</code>.</footer>\n</main>\n</body>\n</html>\n"
    ).encode()


# --- sections -----------------------------------------------------------------------------------


def headline(manifest: Manifest) -> str:
    model, test, seconds = (entry(manifest, key) for key in ("model", "test", "seconds"))
    about = ", ".join(
        known for known in (
            f"architecture {model['architecture']}" if "architecture" in model else "",
            f"{model['parameters']:,} parameters" if "parameters" in model else "",
            f"made on {day(manifest['created'])}" if "created" in manifest else "",
        ) if known
    )  # fmt: skip
    return (
        f'<header><p class="eyebrow">Digits · report of a model</p><h1>{escape(manifest["version"])}</h1>'
        f"<p>{escape(about)}</p></header>\n"
        f'<dl class="figures">{"".join(figures(test, entry(manifest, "calibration"), seconds))}</dl>\n'
    )


def figures(test: Facts, calibration: Facts, seconds: Facts) -> Iterator[str]:
    """Yield the figures that one looks for first."""
    if "accuracy" in test:
        n = test["images"]
        low, high = interval(test["accuracy"], n)
        wrong = n - round(test["accuracy"] * n)
        yield figure(
            "test accuracy",
            percent(test["accuracy"]),
            f"{wrong:,} of {n:,} wrong; 95% interval {low:.2%} to {high:.2%}",
        )
    if "loss" in test:
        yield figure("test loss", f"{test['loss']:.4f}", "mean cross-entropy, in nats")
    if "test_error" in calibration:
        before = calibration.get("test_error_before")
        was = f"{before:.4f} before the temperature" if before is not None else "after the temperature"
        yield figure("calibration error", f"{calibration['test_error']:.4f}", f"{was}; {BINS} bins, test set")
    if seconds:
        parts = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
        yield figure("made in", duration(sum(seconds.values())), parts)


def learning(history: History) -> str:
    if not history.get("accuracy"):
        return section("Learning", lacking("the history of the training"))
    charts = "".join(
        f'<div class="chart">{plots.svg(plots.curves(history, what))}</div>' for what in ("accuracy", "loss")
    )
    epochs, seconds = len(history["accuracy"]), sum(history.get("seconds", []))
    return section(
        "Learning",
        note(
            f"{epochs} epochs in {duration(seconds)}. Training images may be varied and mixed with others, which is "
            "harder than the validation set. No epoch was picked by a figure here: the weights are those of the end."
        ),
        f'<div class="pair">{charts}</div>',
    )


def averaged(manifest: Manifest) -> str:
    """What an ensemble has in the place of a training."""
    members = manifest["members"]
    head = ("member", "architecture", "parameters", "right, validation set", "right, test set")
    return section(
        "What it is the mean of",
        note(
            f"The probabilities, and the presence, are the means of those of {len(members)} networks, each trained by "
            "itself. How these did on the test set is what was found when they were published."
        ),
        f'<div class="scroll">{table(head, [member(facts) for facts in members])}</div>',
    )


def member(facts: Facts) -> tuple[str, ...]:
    shares = (dig(facts, where, "accuracy", default=None) for where in ("validation", "test"))
    return (
        facts["version"], str(dig(facts, "model", "architecture", default="not known")),
        plain(dig(facts, "model", "parameters", default=None)),
        *("not known" if share is None else percent(share) for share in shares),
    )  # fmt: skip


def mistaken(manifest: Manifest) -> str:
    test = entry(manifest, "test")
    if "confusion" not in test:
        return section("What was read as what", lacking("the figures of the test set"))
    return section(
        "What was read as what",
        note(
            "The test set, which nothing was chosen by. A row for each digit that was written, a column for each read."
        ),
        f'<div class="pair"><div class="scroll">{confusion(test["confusion"])}</div>'
        f'<div class="scroll">{per_class(test["per_class"])}</div></div>',
    )


def confusion(counts: Sequence[Sequence[int]]) -> str:
    """The colour of a cell says how many of all mistakes it holds, beside the worst cell."""
    most = max((count for i, row in enumerate(counts) for j, count in enumerate(row) if i != j), default=0) or 1

    def cell(i: int, j: int, count: int) -> str:
        if i == j:
            return f'<td class="right">{count:d}</td>'
        return f'<td style="--share:{0.85 * count / most:.2f}">{count:d}</td>' if count else '<td class="none">·</td>'

    head = "".join(f'<th scope="col">{digit}</th>' for digit in range(len(counts)))
    rows = "".join(
        f'<tr><th scope="row">{i}</th>{"".join(cell(i, j, count) for j, count in enumerate(row))}</tr>'
        for i, row in enumerate(counts)
    )
    return f'<table class="confusion"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'


def per_class(classes: Sequence[Facts]) -> str:
    most = max(1 - item["recall"] for item in classes) or 1
    rows = [
        (
            str(item["digit"]), f"{item['images']:,}", percent(item["recall"]),
            Raw(f'<i style="--share:{(1 - item["recall"]) / most:.3f}"></i>'), percent(item["precision"]),
        ) for item in classes
    ]  # fmt: skip
    head = ("digit", "images", "found", "missed", "right when read")
    return table(head, rows, bar=3)


def sureness(manifest: Manifest) -> str:
    calibration = entry(manifest, "calibration")
    thresholds = facts(entry(manifest, "thresholds"), "Thresholds: with less there is no digit")
    thresholds += facts(entry(manifest, "outliers"), "Images without a digit, told apart by presence")
    if "before" not in calibration or "after" not in calibration:
        return section("How sure it is", lacking("confidence in bins"), thresholds)
    chart = plots.svg(plots.reliability(calibration["before"], calibration["after"]))
    sure = calibration["after"][-1]
    is_ensemble = "members" in manifest
    whose, unless = (" of each member, for their mean", "") if is_ensemble else ("", ", and it changes no digit")
    return section(
        "How sure it is",
        note(
            f"One temperature, {calibration['temperature']:.2f}, fitted on the validation set, divides the logits"
            f"{whose}: below 1 it makes the network surer, above 1 less sure{unless}. Points on the line are as "
            f"often right as they say. Most images lie in the last bin: {sure['images']:,}, of which "
            f"{sure['accuracy']:.2%} are right at a mean confidence of {sure['confidence']:.2%}."
        ),
        f'<div class="pair"><div><div class="chart">{chart}</div>{thresholds}</div>'
        f"<div>{binned(calibration['after'])}</div></div>",
    )


def binned(bins: Sequence[Facts]) -> str:
    rows = [(f"{one['confidence']:.2f}", f"{one['accuracy']:.2f}", f"{one['images']:,}") for one in bins]
    return table(("confidence", "share right", "images"), rows, caption="After the temperature, in bins of equal width")


def worst(manifest: Manifest, pictures: Mapping[str, bytes]) -> str:
    mistakes = dig(manifest, "test", "worst", default=[])
    if TILES not in pictures or not mistakes:
        return section("The worst mistakes", lacking("what was read wrongly"))
    tiles = "".join(tile(place, mistake) for place, mistake in enumerate(mistakes))
    return section(
        "The worst mistakes",
        note(
            "Of the test set, first those in which the true digit was thought least likely: label, what was read, how "
            "sure that was, and the index of the image. A few labels of MNIST are wrong themselves."
        ),
        f'<div class="tiles" style="--sheet:url(\'{data_url(pictures[TILES])}\')">{tiles}</div>',
    )


def tile(place: int, mistake: Facts) -> str:
    label, digit = mistake["label"], mistake["digit"]
    row, column = divmod(place, plots.COLUMNS)
    return (
        f'<figure><i role="img" aria-label="an image of {label:d}" style="--x:{column};--y:{row}"></i>'
        f"<figcaption>{label:d} → {digit:d}<small>{mistake['confidence']:.0%} · #{mistake['index']:d}</small>"
        "</figcaption></figure>"
    )


def varied(pictures: Mapping[str, bytes]) -> str:
    if AUGMENTATION not in pictures:
        return section("What it learned from", lacking("a sheet of varied training images"))
    return section(
        "What it learned from",
        note("Training images, and how they were varied: as pens, hands and scanners do."),
        f'<img class="sheet" alt="training images and their variants" src="{data_url(pictures[AUGMENTATION])}">',
    )


def handwriting(manifest: Manifest, practice: Facts | None) -> str:
    title = "Real handwriting"
    if practice is None:
        return section(
            title,
            note(
                "Not measured yet for this page: MNIST's test set says little about other hands, pens and cameras. "
                'Serve the model, ask it with <code>make evaluate ARGS="SET… --json practice.json"</code>, and make '
                f"the page anew with <code>python -m trainer report {escape(manifest['version'])} --practice "
                "practice.json</code>."
            ),
        )
    head = ("set", "images", "right", "95% interval", "characters wrong", "of these without a digit")
    rows = [practised(item) for item in practice["sets"]]
    return section(
        title,
        note("Sets that nothing was trained on, through HTTP; what gets no digit counts as wrong, unless it is none."),
        f'<div class="scroll">{table(head, rows)}</div>',
    )


def practised(item: Facts) -> tuple[str, ...]:
    low, high = interval(item["right"] / item["images"], item["images"])
    wrong = item.get("character_error_rate")
    none = ", ".join(f"{count} {reason}" for reason, count in item.get("none", {}).items())
    return (
        item["name"], f"{item['images']:,}", percent(item["right"] / item["images"]), f"{low:.1%} to {high:.1%}",
        "" if wrong is None else percent(wrong), none,
    )  # fmt: skip


def proof(manifest: Manifest) -> str:
    checks = entry(manifest, "checks")
    if not checks:
        return section("Served as it was trained", lacking("what was checked before it was published"))
    rows = []
    if "parity" in checks:
        parity = checks["parity"]
        what = "largest difference of a probability between Keras and what is served"
        rows.append((what, f"{parity['max_difference']:.1e}", f"{parity['images']:,} images"))
    if "front_door" in checks:
        door = checks["front_door"]
        rows.append(("right when sent as PNG files", percent(door["accuracy"]), f"{door['images']:,} images"))
    compared = facts(entry(manifest, "compared"), "Against what was served before")
    return section("Served as it was trained", table(("check", "result", "on"), rows), compared)


def making(manifest: Manifest) -> str:
    tables = (
        facts(entry(manifest, "training"), "Training"),
        facts(entry(manifest, "data"), "Data"),
        facts(entry(manifest, "made_with"), "Environment"),
        facts(entry(manifest, "model"), "File"),
    )
    return section(
        "How it was made", f'<div class="pair">{"".join(f"<div>{some}</div>" for some in tables if some)}</div>'
    )


def lacking(what: str) -> str:
    return note(f"The bundle doesn't have {what}.")


def dig(facts: Facts, *keys: str, default: Any) -> Any:
    """Return what lies below several keys, or else the default."""
    found: Any = facts
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return default
        found = found[key]
    return found


# --- the command --------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    given = parser().parse_args(arguments)
    found = named.find(given.model, given.models)
    practice = read_practice(given.practice, found.version) if given.practice else None
    given.output.write_bytes(page(found, practice))
    say(f"wrote {given.output.resolve()}")
    return DONE


def page(found: Bundle, practice: Facts | None) -> bytes:
    """Return the page of a bundle, whose facts anybody may have written. Raises `BadInput`."""
    try:
        return render(found.manifest, read_history(found.path), read_pictures(found.path), practice)
    except KeyError as exc:
        raise BadInput(
            f"{found.path}: no page can be made of it, for its manifest or its history.csv lacks {exc}"
        ) from exc
    except (ValueError, TypeError, AttributeError, ArithmeticError) as exc:
        raise BadInput(f"{found.path}: no page can be made of it: {exc}") from exc


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m trainer report", description="Make the page of a bundle again.")
    where = "file to write the page to; the bundle keeps the page that it has (default: %(default)s)"
    made.add_argument("model", metavar="BUNDLE", help="folder or version of a bundle, or folder of models")
    named.add_models(made)
    made.add_argument("--practice", type=Path, metavar="FILE", help="what `make evaluate` wrote with --json")
    made.add_argument("--output", type=Path, default=Path(bundle.REPORT_NAME), help=where)
    return made


def read_practice(path: Path, version: str) -> Facts:
    """Read what `make evaluate` wrote. Raises `OSError`, and `BadInput` if it is no such thing, or of another model."""
    try:
        practice = json.loads(path.read_bytes())
        for item in practice["sets"]:
            practised(item)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as exc:
        raise BadInput(f"{path} is not what `make evaluate` writes with --json") from exc
    if dig(practice, "model", "version", default=None) != version:
        raise BadInput(f"{path} is about {dig(practice, 'model', 'version', default='no model')}, not {version}")
    return cast(Facts, practice)


def read_history(folder: Path) -> History:
    """Return the columns of `history.csv`; none where there is no such file."""
    path = folder / "history.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text()))) if path.exists() else []
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {}) if name != "epoch"}


def read_pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / bundle.PLOTS).glob("*.png")}
