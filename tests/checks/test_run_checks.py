"""What is judged beside the expected alert: quiet, baseline, faults, load, restarts and the record itself."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks import alerts_proved, check_run
from harness.model import Expectation, Verdict
from tests.checks.timelines import (
    END_S,
    HOT,
    UNDONE_S,
    WATCHDOG,
    Timeline,
    alert_spec,
    expects_hot,
    experiment,
    judged,
    passing,
    route,
    spec,
)

PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL
COLD = {"alertname": "Cold", "severity": "warning"}
HEARTBEAT = "alert Watchdog: heartbeat"


def load_bound(stage: str, *, p95_s: float | None = None, error_ratio: float | None = None, within: float = 0.0) -> Any:
    params = {"stage": stage, "p95_s": p95_s, "error_ratio": error_ratio}
    return experiment(expects_hot(), Expectation("load", params, within if stage == "after" else None))


def restarts(count: int, workload: str = "inference") -> Any:
    return experiment(expects_hot(), Expectation("restarts", {"workload": workload, "count": count}))


def pod(timeline: Timeline, t_s: float, status: str, name: str = "inference-0", **data: Any) -> Timeline:
    return timeline.add(t_s, "pod", name, status=status, workload="inference", namespace="n", **data)


class TestQuiet:
    def test_an_undeclared_alert_fails_and_is_named(self) -> None:
        result = judged(passing().rule(30.0, "firing", COLD)).of("nothing else fired")
        assert (result.verdict, result.measured, "Cold" in result.summary) == (FAIL, 1, True)

    def test_an_allowed_alert_and_a_pending_one_pass(self) -> None:
        cold = passing().rule(30.0, "firing", COLD)
        assert judged(cold, run_experiment=experiment(allowed=["Cold"])).verdict("nothing else fired") is PASS
        assert judged(passing().rule(30.0, "pending", COLD)).verdict("nothing else fired") is PASS

    def test_an_alert_firing_since_before_is_unknown(self) -> None:
        result = judged(passing().rule(3.0, "firing", COLD)).of("nothing else fired")
        assert (result.verdict, "since before" in result.summary) == (UNKNOWN, True)

    def test_the_first_and_the_last_instant_of_the_window(self) -> None:
        assert judged(passing().rule(12.0, "firing", COLD)).verdict("nothing else fired") is FAIL
        after = passing().add(61.0, "rule", "Cold", labels=COLD, state="firing", at_s=60.0)
        assert judged(after).verdict("nothing else fired") is PASS

    def test_without_evaluations_silence_is_unknown(self) -> None:
        silent = passing().without_one("evaluation")
        assert judged(silent).verdict("nothing else fired") is UNKNOWN
        assert judged(silent).verdict("nothing else fired", "baseline") is UNKNOWN


class TestBaseline:
    def test_a_heartbeat_that_does_not_fire_fails(self) -> None:
        assert judged(passing().without_one("rule", labels=dict(WATCHDOG))).verdict(HEARTBEAT, "baseline") is FAIL

    def test_a_heartbeat_of_which_nothing_is_known_is_unknown(self) -> None:
        blind = passing().without(lambda e: e.kind == "evaluation" or e.name == "Watchdog")
        assert judged(blind).verdict(HEARTBEAT, "baseline") is UNKNOWN

    def test_a_heartbeat_that_reaches_nobody_fails(self) -> None:
        assert judged(passing().without_one("notice", alertname="Watchdog")).verdict(HEARTBEAT, "baseline") is FAIL

    def test_a_heartbeat_at_the_wrong_receiver_fails(self) -> None:
        wrong = passing().without_one("notice", alertname="Watchdog").notice(3.0, "firing", WATCHDOG, "chat")
        result = judged(wrong).of(HEARTBEAT, "baseline")
        assert (result.verdict, "it reached chat" in result.summary) == (FAIL, True)

    def test_a_heartbeat_that_only_resolved_fails(self) -> None:
        ended = passing().without_one("notice", alertname="Watchdog").notice(3.0, "resolved", WATCHDOG, "heartbeat")
        assert judged(ended).verdict(HEARTBEAT, "baseline") is FAIL

    def test_a_heartbeat_not_read_because_the_receiver_was_away_is_unknown(self) -> None:
        away = passing().without_one("notice", alertname="Watchdog").add(4.0, "gap", "receiver", error="refused")
        assert judged(away).verdict(HEARTBEAT, "baseline") is UNKNOWN

    def test_a_target_that_is_down_at_the_end_fails(self) -> None:
        down = passing().add(8.0, "target", "pool", instance="a:1", health="down", error="refused")
        assert judged(down).verdict("targets: up", "baseline") is FAIL
        back = down.add(9.0, "target", "pool", instance="a:1", health="up", error="")
        assert judged(back).verdict("targets: up", "baseline") is PASS

    def test_a_target_that_was_not_scraped_yet_is_unknown_and_hides_none_that_is_down(self) -> None:
        unseen = passing().add(8.0, "target", "pool", instance="b:1", health="unknown", error="")
        result = judged(unseen).of("targets: up", "baseline")
        assert (result.verdict, result.measured, "pool b:1" in result.summary) == (UNKNOWN, 0, True)
        assert len(result.evidence) == 1
        down = unseen.add(8.0, "target", "pool", instance="c:1", health="down", error="refused")
        assert judged(down).verdict("targets: up", "baseline") is FAIL
        scraped = passing().add(8.0, "target", "pool", instance="b:1", health="unknown", error="")
        scraped.add(9.0, "target", "pool", instance="b:1", health="up", error="")
        assert judged(scraped).verdict("targets: up", "baseline") is PASS

    @pytest.mark.parametrize("error", ['Get "http://a:1/": context deadline exceeded', "Client.Timeout exceeded"])
    def test_a_target_too_slow_for_a_compressed_interval_was_not_seen(self, error: str) -> None:
        late = passing().add(8.0, "target", "pool", instance="b:1", health="down", error=error)
        result = judged(late, scale=60.0).of("targets: up", "baseline")
        assert (result.verdict, "a smaller one leaves more" in result.summary) == (UNKNOWN, True)
        assert judged(late).verdict("targets: up", "baseline") is FAIL
        late.add(8.0, "target", "pool", instance="c:1", health="down", error="refused")
        assert judged(late, scale=60.0).verdict("targets: up", "baseline") is FAIL

    def test_a_target_that_is_no_longer_discovered_is_none(self) -> None:
        gone = passing().add(7.0, "target", "pool", instance="b:1", health="down", error="refused")
        gone.add(8.0, "target", "pool", instance="b:1", health="gone", error="")
        result = judged(gone).of("targets: up", "baseline")
        assert (result.verdict, result.summary) == (PASS, "all 1 targets answer")
        gone.add(9.0, "target", "pool", instance="a:1", health="gone", error="")
        assert judged(gone).verdict("targets: up", "baseline") is UNKNOWN

    def test_no_targets_are_unknown(self) -> None:
        assert judged(passing().without_one("target")).verdict("targets: up", "baseline") is UNKNOWN

    def test_a_run_without_a_baseline_is_unknown(self) -> None:
        assert judged(passing().without(lambda e: e.name == "baseline")).verdict("run", "baseline") is UNKNOWN


class TestFaults:
    def test_a_fault_without_effect_is_unknown(self) -> None:
        idle = passing().without_one("fault", status="effect").fault(25.0, "no-effect", observed="nothing in 30 s")
        result = judged(idle).of("fault gpu-cooling-lost: took effect")
        assert (result.verdict, "nothing in 30 s" in result.summary) == (UNKNOWN, True)

    def test_a_fault_that_was_never_injected_is_unknown(self) -> None:
        assert judged(passing(), run_experiment=experiment(faults=2)).verdict("faults: injected") is UNKNOWN
        assert judged(passing().without_one("fault")).verdict("faults: injected") is UNKNOWN

    def test_a_fault_that_could_not_be_put_in_is_unknown(self) -> None:
        begun = passing().without(lambda e: e.kind == "fault" and e.data["status"] != "injecting")
        assert judged(begun).verdict("fault gpu-cooling-lost: took effect") is UNKNOWN

    @pytest.mark.parametrize("status", ["undo-failed", "not-cleared"])
    def test_a_fault_that_stayed_fails(self, status: str) -> None:
        stuck = passing().without_one("fault", status="cleared").fault(41.0, status, observed="no such process")
        result = judged(stuck).of("fault gpu-cooling-lost: undone")
        assert (result.verdict, result.summary) == (FAIL, "no such process")

    def test_an_undo_nobody_saw_working_is_unknown(self) -> None:
        assert (
            judged(passing().without_one("fault", status="cleared")).verdict("fault gpu-cooling-lost: undone")
            is UNKNOWN
        )

    def test_an_activity_that_failed_is_unknown(self) -> None:
        failed = passing().add(22.0, "note", "activity failed", activity="hold", error="no rule")
        assert judged(failed).verdict("method: carried out") is UNKNOWN
        assert "method: carried out" not in {each.check for each in judged(passing()).all}


class TestLoad:
    @pytest.mark.parametrize(("errors", "verdict"), [(1, PASS), (2, FAIL)])
    def test_an_error_ratio_exactly_at_its_limit_passes(self, errors: int, verdict: Verdict) -> None:
        """Between 20.5 s and 40 s lie 19 whole windows with 190 requests; the limit is 1 of them."""
        some = passing().without_one("load", from_s=30.0).load(30.0, errors=errors)
        results = judged(some, run_experiment=load_bound("during", error_ratio=1 / 190))
        assert results.verdict("load: error ratio during") is verdict

    @pytest.mark.parametrize(("limit_s", "verdict"), [(0.102, PASS), (0.09, FAIL)])
    def test_p95_against_its_limit(self, limit_s: float, verdict: Verdict) -> None:
        results = judged(passing(), run_experiment=load_bound("during", p95_s=limit_s))
        assert results.verdict("load: p95 during") is verdict

    def test_only_windows_wholly_inside_the_fault_count(self) -> None:
        """The windows that begin at 20 and at 40 s lie across its edges; those at 21 and at 39 s lie within."""
        bound = load_bound("during", error_ratio=0.0)
        for from_s, verdict in ((20.0, PASS), (21.0, FAIL), (39.0, FAIL), (40.0, PASS)):
            spoilt = passing().without_one("load", from_s=from_s).load(from_s, errors=5)
            assert judged(spoilt, run_experiment=bound).verdict("load: error ratio during") is verdict, from_s

    def test_after_begins_when_the_time_to_recover_is_over(self) -> None:
        bound = load_bound("after", error_ratio=0.0, within=5.0)
        for from_s, verdict in ((44.0, PASS), (45.0, FAIL)):
            spoilt = passing().without_one("load", from_s=from_s).load(from_s, errors=5)
            assert judged(spoilt, run_experiment=bound).verdict("load: error ratio after") is verdict, from_s

    def test_the_time_to_recover_is_spec_time(self) -> None:
        spoilt = passing().without_one("load", from_s=45.0).load(45.0, errors=5)
        bound = load_bound("after", error_ratio=0.0, within=60.0)
        assert judged(spoilt, run_experiment=bound, scale=10.0).verdict("load: error ratio after") is PASS
        assert judged(spoilt, run_experiment=bound, scale=20.0).verdict("load: error ratio after") is FAIL

    @pytest.mark.parametrize(
        ("from_s", "to_s", "verdict"),
        [(25.0, 26.0, UNKNOWN), (38.0, 41.0, UNKNOWN), (None, None, UNKNOWN), (50.0, 55.0, PASS)],
    )
    def test_a_load_that_was_not_heard_throughout_proves_no_bound_but_can_break_it(
        self, from_s: float | None, to_s: float | None, verdict: Verdict
    ) -> None:
        gap = passing().add(30.0, "gap", "load", from_s=from_s, to_s=to_s, error="wrote no window")
        result = judged(gap, run_experiment=load_bound("during", p95_s=10.0)).of("load: p95 during")
        assert (result.verdict, "wrote no window" in result.summary) == (verdict, verdict is UNKNOWN)
        assert judged(gap, run_experiment=load_bound("during", p95_s=0.001)).verdict("load: p95 during") is FAIL

    @pytest.mark.parametrize("stage", ["during", "after"])
    def test_no_requests_are_unknown(self, stage: str) -> None:
        bound = load_bound(stage, error_ratio=0.5, p95_s=1.0)
        idle = passing().without_one("load")
        for second in range(5, 59):
            idle.load(float(second), requests=0)
        for silent in (passing().without_one("load"), idle):
            results = judged(silent, run_experiment=bound)
            assert results.verdict(f"load: error ratio {stage}") is UNKNOWN
            assert results.verdict(f"load: p95 {stage}") is UNKNOWN

    def test_without_a_seen_effect_there_is_nothing_to_measure(self) -> None:
        idle = passing().without_one("fault", status="effect")
        assert judged(idle, run_experiment=load_bound("during", p95_s=1.0)).verdict("load: p95 during") is UNKNOWN

    def test_windows_whose_times_are_no_numbers_do_not_count(self) -> None:
        broken = passing().without_one("load")
        broken.add(30.0, "load", "window", from_s="NaN", to_s=31.0, requests=5, errors=0, latency_buckets={"0": 5})
        results = judged(broken, run_experiment=load_bound("during", error_ratio=0.5))
        assert results.verdict("load: error ratio during") is UNKNOWN


class TestRestarts:
    @pytest.mark.parametrize(("count", "verdict"), [(1, PASS), (0, FAIL), (2, FAIL)])
    def test_exactly_as_many_as_expected(self, count: int, verdict: Verdict) -> None:
        once = pod(pod(passing(), 21.0, "exited"), 22.0, "started")
        assert judged(once, run_experiment=restarts(count)).verdict("pod inference: restarted") is verdict

    def test_a_pod_that_does_not_run_at_the_end_fails(self) -> None:
        gone = pod(pod(pod(passing(), 21.0, "exited"), 22.0, "started"), 23.0, "exited")
        result = judged(gone, run_experiment=restarts(1)).of("pod inference: restarted")
        assert (result.verdict, "inference-0" in result.summary) == (FAIL, True)

    def test_one_container_of_a_pod_that_is_down_is_not_hidden_by_another(self) -> None:
        mixed = pod(passing(), 21.0, "exited", container="server")
        pod(mixed, 22.0, "started", container="sidecar")
        assert judged(mixed, run_experiment=restarts(1)).verdict("pod inference: restarted") is FAIL

    def test_restarts_outside_the_window_and_of_others_do_not_count(self) -> None:
        others = pod(pod(passing(), 11.0, "started"), END_S, "started")
        others.add(30.0, "pod", "training-0", status="started", workload="training", namespace="n")
        assert judged(others, run_experiment=restarts(0)).verdict("pod inference: restarted") is PASS

    def test_pods_that_could_not_be_listed_are_unknown(self) -> None:
        away = passing().add(30.0, "gap", "pods", error="supervisor does not answer")
        assert judged(away, run_experiment=restarts(0)).verdict("pod inference: restarted") is UNKNOWN

    def test_no_restarts_in_an_empty_record_are_unknown(self) -> None:
        empty = passing().without(lambda e: e.kind != "phase")
        assert judged(empty, run_experiment=restarts(0)).verdict("pod inference: restarted") is UNKNOWN

    def test_pods_of_one_name_in_two_namespaces_are_two(self) -> None:
        both = pod(pod(passing(), 21.0, "exited"), 22.0, "started")
        other = {"status": "started", "workload": "inference", "namespace": "other"}
        both.add(23.0, "pod", "inference-0", **{**other, "status": "exited"})
        assert judged(both, run_experiment=restarts(1)).verdict("pod inference: restarted") is FAIL
        both.add(24.0, "pod", "inference-0", **other)
        assert judged(both, run_experiment=restarts(2)).verdict("pod inference: restarted") is PASS

    def test_restarts_may_be_expected_of_one_namespace_alone(self) -> None:
        once = pod(pod(passing(), 21.0, "exited"), 22.0, "started")
        here, there = (
            experiment(expects_hot(), Expectation("restarts", {"workload": "inference", "namespace": name, "count": 1}))
            for name in ("n", "other")
        )
        assert judged(once, run_experiment=here).verdict("pod n/inference: restarted") is PASS
        assert judged(once, run_experiment=here).verdict("pods: undisturbed") is PASS
        assert judged(once, run_experiment=there).verdict("pod other/inference: restarted") is FAIL
        assert judged(once, run_experiment=there).verdict("pods: undisturbed") is UNKNOWN


def job(timeline: Timeline, t_s: float, status: str, **data: Any) -> Timeline:
    """An event of a pod whose work has an end."""
    plain = {"exit_code": None, "completes": True, "first": False}
    return timeline.add(t_s, "pod", "job-1", status=status, workload="job", namespace="n", **{**plain, **data})


class TestUndisturbed:
    def test_a_pod_that_nobody_aimed_at_is_unknown(self) -> None:
        assert judged(passing()).verdict("pods: undisturbed") is PASS
        assert judged(pod(passing(), 22.0, "started")).verdict("pods: undisturbed") is UNKNOWN

    @pytest.mark.parametrize(("namespace", "verdict"), [("n", PASS), ("other", UNKNOWN)])
    def test_a_fault_is_aimed_at_a_pod_of_its_own_namespace(self, namespace: str, verdict: Verdict) -> None:
        killed = pod(passing(), 22.0, "started").fault(21.0, "injected", target="inference-0", namespace=namespace)
        assert judged(killed).verdict("pods: undisturbed") is verdict

    def test_a_fault_recorded_without_a_namespace_is_aimed_at_whatever_has_the_name(self) -> None:
        killed = pod(passing(), 22.0, "started").fault(21.0, "injected", target="inference-0")
        assert judged(killed).verdict("pods: undisturbed") is PASS

    @pytest.mark.parametrize("status", ["started", "exited", "gone"])
    def test_a_change_nobody_caused_fails_the_baseline_and_is_unknown_beside_a_fault(self, status: str) -> None:
        for changed in (pod(passing(), 5.0, status), job(passing(), 5.0, status, exit_code=1)):
            assert judged(changed).verdict("pods: undisturbed", "baseline") is FAIL
        for changed in (pod(passing(), 30.0, status), job(passing(), 30.0, status, exit_code=1)):
            assert judged(changed).verdict("pods: undisturbed") is UNKNOWN

    def test_nothing_but_a_record_of_nothing_passes(self) -> None:
        assert judged(passing()).verdict("pods: undisturbed", "baseline") is PASS
        assert judged(passing().without(lambda e: e.kind != "phase")).verdict("pods: undisturbed") is UNKNOWN

    @pytest.mark.parametrize(
        ("status", "data", "verdict"),
        [
            ("exited", {"exit_code": 0}, PASS),
            ("exited", {"exit_code": 0, "completes": False}, FAIL),
            ("exited", {"exit_code": 1}, FAIL),
            ("exited", {"exit_code": None}, FAIL),
            ("gone", {"exit_code": 0}, PASS),
            ("gone", {"exit_code": None}, FAIL),
            ("started", {"first": True}, PASS),
            ("started", {"first": False, "exit_code": 0}, FAIL),
            ("started", {"first": True, "completes": False}, FAIL),
        ],
    )
    def test_a_job_may_begin_and_be_done_and_nothing_else(
        self, status: str, data: dict[str, Any], verdict: Verdict
    ) -> None:
        assert judged(job(passing(), 5.0, status, **data)).verdict("pods: undisturbed", "baseline") is verdict

    @pytest.mark.parametrize(("exit_code", "verdict"), [(0, PASS), (1, FAIL)])
    def test_a_job_that_is_done_is_not_one_that_does_not_run(self, exit_code: int, verdict: Verdict) -> None:
        done = job(passing(), 30.0, "exited", exit_code=exit_code)
        assert judged(done, run_experiment=restarts(0, workload="job")).verdict("pod job: restarted") is verdict


class TestRecord:
    def test_a_source_that_was_away_is_unknown(self) -> None:
        away = passing().add(30.0, "gap", "prometheus", from_s=28.0, to_s=30.0, error="refused")
        result = judged(away).of("record: complete")
        assert (result.verdict, "refused" in result.summary) == (UNKNOWN, True)
        assert judged(away).verdict("record: complete", "baseline") is PASS

    @pytest.mark.parametrize(("from_s", "to_s"), [(25.0, 35.0), (11.0, 19.0), (50.0, 61.0)])
    def test_a_pause_in_the_evaluations_is_unknown_wherever_it_is(self, from_s: float, to_s: float) -> None:
        """In the middle, from the window's begin, or to its end: the last writes no later entry that could show it."""
        paused = passing().without(lambda e: e.kind == "evaluation" and from_s < e.t_s < to_s and e.name == "gpu")
        assert judged(paused).verdict("record: rules evaluated") is UNKNOWN

    @pytest.mark.parametrize(("pause_s", "verdict"), [(4.5, PASS), (4.51, UNKNOWN)])
    def test_a_pause_of_exactly_the_allowed_length_passes(self, pause_s: float, verdict: Verdict) -> None:
        """Four evaluations of 0.5 s, and the 2.5 s within which entries are written."""
        around = passing().without(lambda e: e.kind == "evaluation" and e.name == "gpu" and 24.9 < e.t_s < 31)
        for at_s in (25.0, 25.0 + pause_s):
            around.add(at_s, "evaluation", "gpu", last_s=at_s, interval_s=0.5, health="ok", error="")
        around.evaluations(26.0 + pause_s, 31.0)
        assert judged(around).verdict("record: rules evaluated") is verdict

    def test_a_rule_in_error_fails(self) -> None:
        broken = passing().add(30.0, "evaluation", "gpu", last_s=30.0, interval_s=0.5, health="err", error="bad")
        assert judged(broken).verdict("record: rules evaluated") is FAIL

    def test_a_stack_without_rules_proves_nothing(self) -> None:
        from harness.spec import Spec

        results = judged(passing(), Spec((), route("pager"), ()))
        assert results.verdict("record: rules evaluated") is UNKNOWN

    def test_a_group_never_evaluated_is_unknown(self) -> None:
        never = passing().without_one("evaluation", interval_s=0.5).evaluations(1.0, END_S, group="always")
        never.evaluations(1.0, END_S, health="unknown", last_s=None)
        assert judged(never).verdict("record: rules evaluated") is UNKNOWN


class TestProved:
    def test_an_alert_with_any_stage_short_of_pass_is_not_proved(self) -> None:
        results = judged(passing()).all
        assert alerts_proved(results, spec()) == (("Hot", "Watchdog"), ())
        from dataclasses import replace

        for number, result in enumerate(results):
            if result.check.startswith("alert Hot"):
                spoilt = [*results[:number], replace(result, verdict=UNKNOWN), *results[number + 1 :]]
                assert alerts_proved(spoilt, spec()) == (("Watchdog",), ("Hot",))

    def test_an_alert_nobody_tested_is_unproved(self) -> None:
        more = spec(alert_spec(), alert_spec("Cold"))
        assert alerts_proved(judged(passing(), more).all, more) == (("Hot", "Watchdog"), ("Cold",))
        assert alerts_proved((), more)[0] == ()

    @pytest.mark.parametrize("kind", ["notice", "rule", "fault"])
    def test_leaving_out_one_cited_event_never_leaves_the_alert_proved(self, kind: str) -> None:
        events = passing().rule(21.0, "pending", {**HOT, "gpu_id": "1"}).rule(31.0, "firing", {**HOT, "gpu_id": "1"})
        events.rule(41.0, "inactive", {**HOT, "gpu_id": "1"}).notice(32.0, "firing", {**HOT, "gpu_id": "1"})
        whole = events.notice(42.0, "resolved", {**HOT, "gpu_id": "1"}).events()
        results = check_run(whole, [experiment()], spec(), time_scale=1)
        assert alerts_proved(results, spec())[0] == ("Hot", "Watchdog")
        for name in ("Hot", "Watchdog"):
            cited = {n for each in results if each.check.startswith(f"alert {name}:") for n in each.evidence}
            for number in cited:
                event = whole[number]
                if event.kind != kind or (kind == "fault" and event.data["status"] != "effect"):
                    continue
                rest = [*whole[:number], *whole[number + 1 :]]
                left = check_run(rest, [experiment()], spec(), time_scale=1)
                assert name not in alerts_proved(left, spec())[0], event


def test_an_experiment_that_was_not_run_is_unknown() -> None:
    only = passing().without(lambda e: e.name == "overheat")
    assert judged(only).verdict("run") is UNKNOWN


def test_an_experiment_that_expects_no_alert_is_judged_by_what_fires() -> None:
    calm = experiment(Expectation("quiet", {}))
    assert judged(passing(), run_experiment=calm).verdict("nothing else fired") is FAIL
    none = passing().without(lambda e: e.kind in ("rule", "notice") and e.data["labels"] == HOT)
    assert judged(none, run_experiment=calm).merged is PASS


def test_an_unknown_kind_of_expectation_is_a_defect_and_not_skipped() -> None:
    with pytest.raises(ValueError, match="no check"):
        judged(passing(), run_experiment=experiment(Expectation("wish", {})))


def test_undone_is_the_end_of_the_fault() -> None:
    assert UNDONE_S < END_S
