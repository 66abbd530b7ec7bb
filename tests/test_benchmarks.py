"""The arithmetic of the report: which try counts, medians over rounds, ratios within a round, targets."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import client, peers
from benchmarks.__main__ import parser
from benchmarks.asking import WrongAnswer, compare
from benchmarks.peer import post
from benchmarks.report import Target, best, cell, over_raw, ratio, second_worker, spread, target_row, values
from benchmarks.results import Round, Run, Try, counted, percentile
from benchmarks.soak import last_to_first
from tests.models import mnist
from tests.server import Server


def tried(rps: float, **more: Any) -> Try:
    whole: Any = {
        "requests": 1000, "seconds": 1, "rps": rps, "images_per_s": rps, "p50": 0.001, "p95": 0.002, "p99": 0.003,
        "max": 0.004, "errors": {"status": 0}, "wrong": [], "checked": 2, "foreign": 0.0, "stolen": 0.0,
        "server_cpu": 1.0, "generator_cpu": 0.1, "cpu_per_image": 1e-4,
    } | more  # fmt: skip
    made: Try = whole
    return made


def run(*tries: Try, loaded: int = 0) -> Run:
    return {"installed": 1, "memory": {"warm": 0, "loaded": loaded}, "cells": {"json@64": list(tries)}}


def one_round(**runs: Run) -> Round:
    return {"raw": {}, "peers": {name.replace("_", "-"): made for name, made in runs.items()}}


FAST = cell("digits", "json@64", "rps")
BEST = best("json@64", "rps", max)


def test_the_least_disturbed_try_counts_and_not_the_fastest() -> None:
    tries = [tried(900, foreign=0.5), tried(500, foreign=0.1), tried(700, foreign=0.0, stolen=0.3)]
    assert counted(tries)["rps"] == 500


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [
        one_round(digits=run(tried(300)), mosec=run(tried(100))),
        one_round(digits=run(tried(20)), ray=run(tried(10))),
    ]
    assert values(rounds, ratio(FAST, BEST)) == [3, 2]


def test_our_own_and_the_references_are_no_rivals() -> None:
    others = {"digits": run(tried(9)), "digits_2w": run(tried(8)), "hello_asgi": run(tried(7)), "ray": run(tried(1))}
    assert BEST(one_round(**others)) == 1


@pytest.mark.parametrize("flaw", [{"errors": {"status": 1}}, {"wrong": ["other digits"]}, {"requests": 0}])
def test_an_unsound_load_counts_for_nobody(flaw: dict[str, Any]) -> None:
    one = one_round(digits=run(tried(300)), mosec=run(tried(900, **flaw)), ray=run(tried(100)))
    assert ratio(FAST, BEST)(one) == 3
    assert FAST(one_round(digits=run(tried(300, **flaw)))) is None


def test_raw_is_the_faster_of_its_ways() -> None:
    one = one_round(digits=run(tried(80)))
    slow, quick = {"images_per_s": 50.0, "cpu_per_image": 1e-5}, {"images_per_s": 100.0, "cpu_per_image": 5e-5}
    calm: Any = {"foreign": 0.0, "stolen": 0.0}
    one["raw"] = {"one process": [slow | calm], "one thread each": [quick | calm]}
    assert over_raw("json@64", "images_per_s")(one) == pytest.approx(0.8)
    assert over_raw("json@64", "cpu_per_image")(one) == pytest.approx(2)


def test_the_second_worker_costs_what_two_take_more_than_one() -> None:
    assert second_worker(one_round(digits_1w=run(loaded=90), digits_2w=run(loaded=150))) == 60
    assert second_worker(one_round(digits_1w=run(loaded=90))) is None


@pytest.mark.parametrize(
    ("speeds", "reached", "holds"),
    [((9, 40, 20), "20.0 (9.00–40.0)", "yes"), ((9, 40, 8), "9.00 (8.00–40.0)", "**no**"), ((), "–", "–")],
)
def test_a_target_is_held_against_the_median(speeds: tuple[float, ...], reached: str, holds: str) -> None:
    rounds = [one_round(digits=run(tried(speed))) for speed in speeds]
    assert target_row(rounds, Target("W1", FAST, 15, True)) == ["W1", "≥ 15", reached, holds]


def test_a_target_may_be_a_ceiling_in_other_units() -> None:
    ceiling = Target("p99", cell("digits", "json@64", "p99"), 3, False, 1e3, " ms")
    assert ceiling.holds(0.003)
    assert not ceiling.holds(0.0031)


def test_one_value_has_no_spread() -> None:
    assert spread([1234.4]) == "1,234"
    assert spread([]) == "–"


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([3, 1, 2, 4], share) for share in (0, 0.5, 0.75, 1)] == [1, 2, 3, 4]


def test_a_soak_compares_its_quarters() -> None:
    assert last_to_first([100, 50, 50, 102]) == "1.020 (alike)"
    assert last_to_first([100, 50, 50, 80]) == "0.800 (they differ)"


def test_answers_must_be_close_and_say_the_same_digit() -> None:
    _, labels = mnist(2)
    rows = (labels[:, None] == range(10)).astype(float)
    compare(rows + 9e-5, rows)
    for wrong in (rows + 2e-4, rows[:1], rows * float("nan")):
        with pytest.raises(WrongAnswer):
            compare(wrong, rows)


def test_a_request_is_whole_on_the_wire() -> None:
    assert post("/predict", b"abc", "image/png").wire(80) == (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\nabc"
    )


def test_help_names_every_command() -> None:
    told = parser().format_help()
    assert all(f"\n    {command} " in told for command in ("run", "report", "chart", "soak", "client", "sprint"))


def test_peers_are_chosen_by_name_and_once() -> None:
    assert [peer.name for peer in peers.choose(["digits", "own"])][:2] == ["digits", "hello-asgi"]
    assert len(peers.choose(["own", "all"])) == len(peers.choose(["all"]))
    with pytest.raises(ValueError, match="no peer 'nobody'"):
        peers.choose(["nobody"])


def test_the_client_and_curl_are_compared_wherever_the_address_ends(server: Server) -> None:
    told = client.compare(f"{server.url}/", rounds=1)
    assert "| `Client.predict` | " in told
    assert "| curl, a process for each request | " in told
